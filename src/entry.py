"""The frame of a Hydra command: a user's mistake is told in a few lines, a bug keeps its traceback.

`HYDRA_FULL_ERROR=1` always shows the traceback.
"""

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from src import ranks
from src.errors import Carried, ConfigError, Interrupted, die, disk_problem
from src.hydra_words import explained
from src.output import keep_going
from src.secrecy import check_no_secret
from src.typed import check_line

_FULL = "HYDRA_FULL_ERROR"
_HIDDEN = (r"Callback \w+\.\w+ raised", r"provider=.*is not available")
"""Hydra makes warnings of a callback's exceptions, and of a folder that is not there."""


@contextmanager
def reported() -> Iterator[None]:
    """Runs a Hydra entry: a user's mistake is told in a few lines with exit code 2, a bug keeps its traceback."""
    keep_going()
    asked = os.environ.get(_FULL) == "1"
    os.environ[_FULL] = "1"  # Hydra then raises instead of printing
    for message in _HIDDEN:
        warnings.filterwarnings("error", message, UserWarning)
    try:
        if secret := check_no_secret(sys.argv[1:]):
            raise ConfigError(*secret)
        check_line(sys.argv[1:])
        yield
    except Carried as carried:
        _end(carried.error, asked)
    except Exception as error:
        _end(error, asked)
    except Interrupted as stop:
        if not ranks.RANK:  # of the processes of one run the first one says it
            print(f"\nstopped by {stop}; go on with: {stop.resume}", flush=True)
        raise SystemExit(128 + stop.signum) from None
    except KeyboardInterrupt:  # before anything was begun
        if asked:
            raise
        print("\nstopped by SIGINT", flush=True)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        if not asked:
            os.environ.pop(_FULL, None)


def _end(error: Exception, asked: bool) -> NoReturn:

    if isinstance(error, UserWarning) and isinstance(error.__context__, Exception):
        error = error.__context__  # what the callback raised
    if not asked and (problem := disk_problem(error)):
        raise SystemExit(f"{problem}, then type the same command again") from None
    answer = error if isinstance(error, ConfigError) or asked else explained(error)
    if not asked and isinstance(answer, ConfigError):
        die(answer)
    context = answer.__context__
    try:
        raise answer
    finally:
        answer.__context__ = context  # and not what Hydra made of it
