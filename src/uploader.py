"""Uploads W&B logs in a process of its own: whatever a server does, the training does not wait for it.

`src.upload` starts it and writes to its stdin the paths of logs to upload, one a line, and an empty line where no more
will come. Stdin that ends without one is a training that was killed: this process ends too, for the training may be
begun again at any moment, with an uploader of its own. It writes to its stdout, as JSON lines, who it is to the
server and what went wrong. What has arrived is marked by a `.synced` file beside the log, which `wandb sync` writes.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from src.online import Account, Unreachable, account, quiet_environment

_AGAIN = 5.0  # seconds until a server that did not answer is asked again
_IDLE = 2.0  # seconds without a log arriving after which, at the end, the server is asked whether it lives
_BATCH = 100  # logs for one `wandb sync`


class Uploader:
    """The process's state.

    Args:
        live: the one log that comes is still being written; it is followed until its run ends.
        patience: seconds without a log arriving after which, at the end, it has failed, though the server lives.
    """

    def __init__(self, live: bool, patience: float) -> None:
        self._live, self._patience = live, patience
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._logs: list[str] = []
        self._failed = False
        self._since = time.time()
        self._account: Account | None = None
        self._told = os.fdopen(os.dup(1), "w", buffering=1)
        silence = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):  # wandb prints its progress
            os.dup2(silence, number)

    def run(self) -> None:
        """Uploads until stdin ends, or the server turns out not to be there at the end."""
        threading.Thread(target=self._listen, daemon=True).start()
        while self._account is None:
            self._reach()
        self._tell(entity=self._account.entity, app_url=self._account.app_url)
        while batch := self._next_batch():
            self._sync(batch)

    def _listen(self) -> None:
        for line in sys.stdin:
            if not line.strip():
                self._queue.put(None)
                self._watch()
            self._logs.append(line.strip())
            self._queue.put(line.strip())
        os._exit(1)

    def _watch(self) -> None:
        """Once no more will come: ends the process where nothing arrives any more."""
        if self._failed and self._account is None:
            os._exit(1)
        arrived, since = -1, time.monotonic()
        while True:
            if (now := sum(map(is_uploaded, map(Path, self._logs)))) > arrived:
                arrived, since = now, time.monotonic()
            idle = time.monotonic() - since
            if idle > self._patience:
                self._give_up("the server answers, but the upload does not get on")
            if idle > _IDLE and self._account is not None:
                try:
                    account()
                except Unreachable as problem:
                    self._give_up(str(problem))
            time.sleep(0.1 if idle < _IDLE else 2.0)

    def _reach(self) -> None:
        try:
            self._account = account()
        except Unreachable as problem:
            self._failed = True
            self._tell(problem=str(problem))
            if problem.final or None in self._waiting():
                os._exit(1)
            time.sleep(_AGAIN)

    def _waiting(self) -> list[str | None]:
        """What is in the queue, which stays as it is."""
        items = [self._queue.get() for _ in range(self._queue.qsize())]
        for item in items:
            self._queue.put(item)
        return items

    def _next_batch(self) -> list[str]:
        """The logs that have come; empty at the end."""
        batch = [self._queue.get()]
        while batch[-1] is not None and not self._queue.empty() and len(batch) < _BATCH:
            batch.append(self._queue.get())
        if batch[-1] is None and len(batch) > 1:
            self._queue.put(None)
        return [log for log in batch if log is not None]

    def _sync(self, logs: list[str]) -> None:
        from wandb.cli.cli import cli

        how = ["beta", "sync", "--live", "--yes"] if self._live else ["sync", "-n", "20", "--include-online"]
        try:
            cli.main([*how, *logs], standalone_mode=False)
        except Exception as error:  # one that cannot be uploaded is left where it is, and the others go on
            self._tell(problem=f"{type(error).__name__}: {error}")
        for log in _refused(self._since):
            self._tell(problem=f"the server refused rows of {log.parent.name}")
            log.with_suffix(".wandb.synced").unlink(missing_ok=True)

    def _give_up(self, problem: str) -> None:
        self._tell(problem=problem)
        os._exit(1)

    def _tell(self, **values: Any) -> None:
        with suppress(BrokenPipeError):  # the training was killed: nobody listens, and this process ends all the same
            print(json.dumps(values), file=self._told)


def _refused(since: float) -> set[Path]:
    """Logs of which the server refused rows, as with a key that was taken back: wandb marks these as uploaded too."""
    notes = Path(os.environ["WANDB_DIR"], "wandb", "logs").glob("debug-sync.*.log")
    lines = [line for note in notes if note.stat().st_mtime >= since for line in note.read_text().splitlines()]
    return {Path(json.loads(line)["sync_path"]) for line in lines if "filestream: fatal error" in line}


def is_uploaded(log: Path) -> bool:
    """Whether all of a W&B log has arrived."""
    return any(log.glob("*.synced"))


if __name__ == "__main__":
    os.nice(10)  # on a machine with few cores the training comes first
    quiet_environment()
    Uploader(live="--live" in sys.argv, patience=float(sys.argv[1])).run()
    os._exit(0)  # wandb's own end may wait for a server
