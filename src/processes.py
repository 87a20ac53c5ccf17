"""The processes of a run, as Lightning is told of them: it would believe the environment."""

import os
import socket

from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only

from src import ranks

rank_zero_only.rank = ranks.RANK  # type: ignore[attr-defined]
# Where this is true, a run that begins takes the checkpoint that another one, requeued by SLURM, left in the current
# folder; and to find it out, Lightning warns of every `srun` on the PATH.
SLURMEnvironment.detect = staticmethod(lambda: False)  # type: ignore[method-assign]


class OwnProcesses(LightningEnvironment):
    """A run's processes are on one machine, and its first one starts the others.

    Args:
        num_threads: CPU threads of each.
    """

    def __init__(self, num_threads: int) -> None:
        super().__init__()
        self._num_threads = num_threads

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Called before the others are started."""
        ranks.announce()
        os.environ.setdefault("OMP_NUM_THREADS", str(self._num_threads))  # else Lightning chooses a number

    @property
    def creates_processes_externally(self) -> bool:
        """Whether the others are there: this is one of them, or it has chosen the port at which they meet."""
        return ranks.RANK > 0 or self._main_port != -1

    @property
    def main_address(self) -> str:
        """Where they meet."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """At which port."""
        if self._main_port == -1:
            self._main_port = int(os.environ["MASTER_PORT"]) if ranks.RANK else _free_port()
        return self._main_port

    def local_rank(self) -> int:
        """Which of them this is."""
        return ranks.RANK

    def node_rank(self) -> int:
        """There is one machine."""
        return 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])
