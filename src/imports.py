"""Imports that are heavy, done quickly."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Collects no garbage while torch and Lightning are imported: there is none, and looking for it takes a second."""
    gc.disable()
    try:
        yield
        gc.freeze()  # what an import leaves stays to the end
    finally:
        gc.enable()
