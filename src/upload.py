"""Starts the uploader of W&B logs beside a training, feeds it, and says at the end what became of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from src.lean_wandb import OF_A_RUN
from src.online import Account
from src.uploader import is_uploaded

_ROOT = Path(__file__).parent.parent
_NOT_ITS_OWN = {f"WANDB_{name}" for name in OF_A_RUN}  # each log says it of its run


@dataclass
class Outcome:
    """What became of an upload.

    Attributes:
        account: who we are to the server; None where it was never reached.
        problem: the last thing that went wrong, None if nothing did.
        left: the logs that have not arrived.
    """

    account: Account | None
    problem: str | None
    left: list[Path]


class Upload:
    """Logs on their way to the server, in another process.

    Args:
        folder: where wandb may write its own notes about the upload.
        live: the one log that will be added is still being written.
        patience: seconds that a log may take to arrive, once no more will come, at a server that answers.
    """

    def __init__(self, folder: Path, live: bool = False, patience: float = 30.0) -> None:
        self._folder, self._live, self._patience = folder, live, patience
        self._logs: list[Path] = []
        self._process: subprocess.Popen[str] | None = None

    def add(self, *logs: Path) -> None:
        """Logs to upload; those that were added before are not taken twice."""
        known = set(self._logs)
        new = [log.absolute() for log in logs if log.absolute() not in known]
        self._logs += new
        if new:
            self._process = self._process or self._start()
            self._write("".join(f"{log}\n" for log in new))

    def end(self, limit: float | None = None) -> Outcome:
        """Says that no more will come, and waits for the logs to arrive, or for the server to be given up.

        Args:
            limit: seconds after which it is over in any case.
        """
        if self._process is None:
            return Outcome(None, None, [])
        self._write("\n")
        process, self._process = self._process, None
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            output = (process.communicate()[0] or "") + json.dumps({"problem": f"it took over {limit:g} s"})
        return self._outcome(map(json.loads, output.splitlines()))

    def _outcome(self, told: Iterable[dict[str, str]]) -> Outcome:
        account, problem = None, None
        for line in told:
            problem = line.get("problem")
            account = Account(**line) if "entity" in line else account
        left = [log for log in self._logs if not is_uploaded(log)]
        return Outcome(account, (problem or "the upload ended early") if left else None, left)

    def _start(self) -> "subprocess.Popen[str]":
        # W&B shows the program that uploads as the run's, unless it is told.
        own = {name: value for name, value in os.environ.items() if name not in _NOT_ITS_OWN}
        own |= {"WANDB_PROGRAM": "src/train.py", "WANDB_DIR": str(self._folder.absolute())}
        for place in ("DATA", "CACHE", "CONFIG"):  # as for a run: in the folder, unless the user says where
            own.setdefault(f"WANDB_{place}_DIR", str(self._folder.absolute() / "wandb"))
        found = [str(_ROOT), own.get("PYTHONPATH", "")]
        own["PYTHONPATH"] = os.pathsep.join(path for path in found if path)
        command = [sys.executable, "-m", "src.uploader", str(self._patience), *(["--live"] if self._live else [])]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=own,
            start_new_session=True,  # Ctrl-C is for the training, which then ends this one
        )

    def _write(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended, and says why at the end
            pass


class Uploads(Protocol):
    """What takes the W&B logs of a sweep's trials."""

    def add(self, *logs: Path) -> None:
        """Logs to upload."""


_shared: list[Uploads] = []


@contextmanager
def shared_upload(folder: Path) -> Iterator[Upload]:
    """The trials of a sweep share one upload: it goes on in the background from the first one that ends."""
    upload = Upload(folder)
    _shared.append(upload)
    try:
        yield upload
    except BaseException:  # a sweep that is stopped ends soon; it goes on with the upload when it goes on
        upload.end(limit=10)
        raise
    else:
        upload.end()
    finally:
        _shared.remove(upload)


def share_upload(upload: Uploads) -> None:
    """Lets every run of this process hand its W&B log to this upload."""
    _shared[:] = [upload]


def uploads() -> Uploads | None:
    """What runs of this process share, if they share an upload."""
    return _shared[0] if _shared else None
