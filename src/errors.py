"""What ends a command: a user's mistake in a few lines (exit code 2), a signal, a bug with its traceback."""

import errno
import json
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

from omegaconf import OmegaConf

from src.secrecy import hidden

P = ParamSpec("P")
T = TypeVar("T")
_UNSET: Any = object()


class ConfigError(Exception):
    """A mistake in what the user typed or configured.

    Args:
        law: what must hold, naming the config key.
        got: the value received.
        remedy: what to type instead.
    """

    def __init__(self, law: str, got: Any = _UNSET, remedy: str = "") -> None:
        lines = [f"error: {law}"]
        if got is not _UNSET:
            lines.append(f"  got: {_shown(got)}")
        if remedy:
            lines.append(f"  try: {remedy}")
        super().__init__(hidden("\n".join(lines)))


_DISK = {
    errno.ENOSPC: ("the disk is full", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EROFS: ("the disk is read-only", "make it writable"),
    errno.EFBIG: ("a file is larger than this shell allows", "ulimit -f unlimited"),
}


def disk_problem(error: BaseException | None) -> str | None:
    """What keeps files from being written, where that has led to an error, and what to do; None for any other error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK:
            problem, remedy = _DISK[error.errno]
            return hidden(f"{problem}: {error}; {remedy}")
        error = error.__cause__ or error.__context__
    return None


def die(error: Exception) -> NoReturn:
    """Prints a user's mistake and leaves with exit code 2."""
    print(error, file=sys.stderr, flush=True)
    raise SystemExit(2) from None


class Interrupted(BaseException):
    """A signal asked a run or a sweep to stop; a training has written its checkpoint, unless a second signal came.

    Attributes:
        signum: the signal's number.
        resume: the command that goes on with it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.resume = ""


class Carried(BaseException):
    """Carries an exception past those who would tell it as something else; `src.entry` takes it out again.

    Attributes:
        error: the exception.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(repr(error))
        self.error = error


def carrying(resolver: Callable[P, T]) -> Callable[P, T]:
    """A resolver whose bugs stay bugs: OmegaConf tells all that a resolver raises as a mistake in the config."""

    @wraps(resolver)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return resolver(*args, **kwargs)
        except Exception as error:
            raise Carried(error) from error

    return call


def _shown(value: Any) -> str:
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    text = plain if isinstance(plain, str) and plain.strip() else json.dumps(plain, default=str, ensure_ascii=False)
    text = "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
    return text if len(text) <= 120 else text[:117] + "..."
