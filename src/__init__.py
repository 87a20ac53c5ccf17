import os
import sys


def _look_for_no_code_in_data() -> None:
    """Takes the folder that the user stands in off Python's path where it is a run's or a sweep's.

    `python -m` puts it first: whoever sent the folder could have put a `yaml.py` into it.
    """
    first = sys.path[0] if sys.path else ""
    is_data = any(os.path.exists(os.path.join(first, name)) for name in ("record.json", "sweep.json", ".hydra"))
    if is_data and not os.path.exists(os.path.join(first, "src", "__init__.py")):
        del sys.path[0]


_look_for_no_code_in_data()

from src import ranks  # noqa: E402, F401  # before anything imports Lightning
