"""A stand-in server for each test, and commands that know of no other: no test reaches a real host."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.online.server import KEY, Server
from tests.sweep.commands import Done, environment, quick

SMALL = ("trainer.max_epochs=4", "trainer.accelerator=cpu", "tracking=online")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that works, until a test says otherwise."""
    server = Server()
    yield server
    if server.listens:
        server.stop()


@dataclass
class User:
    """Someone who works in a folder and has an account on the server.

    Attributes:
        folder: where commands are typed.
        server: the one that `WANDB_BASE_URL` names.
        key: None for someone who has none.
    """

    folder: Path
    server: Server
    key: str | None = KEY

    @property
    def settings(self) -> dict[str, str]:
        """The environment that makes wandb talk to the server, and to it alone."""
        told = {"WANDB_BASE_URL": self.server.url, "NO_PROXY": "*"}
        return told | ({"WANDB_API_KEY": self.key} if self.key else {})

    def train(self, *words: str, first: Callable[[], None] | None = None) -> Done:
        """`python -m src.train tracking=online <words>`, in a process that has torch in it already."""
        return quick(self.folder, *words[:1], *SMALL, *words[1:], first=partial(_begin, self.settings, first))

    def types(self, module: str, *words: str) -> Done:
        """`python -m <module> <words>`, at a terminal where nobody answers."""
        ours, terminal = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=self.folder,
            env=environment(self.folder) | self.settings,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=120,
        )
        for end in (ours, terminal):
            os.close(end)
        return Done(done.returncode, done.stdout, done.stderr)

    def seconds_after_training(self) -> float:
        """Since the last row was written, of any run."""
        rows = [path.stat().st_mtime for path in self.folder.glob("outputs/**/metrics.csv")]
        return time.time() - max(rows)


@pytest.fixture
def user(tmp_path: Path, server: Server) -> User:
    return User(tmp_path, server)


def _begin(settings: dict[str, str], first: Callable[[], None] | None) -> None:
    os.environ.update(settings)
    if first is not None:
        first()
