"""How wandb itself is run: what it does not collect, what it reads from its environment, and on which core."""

import ctypes
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_CHOSEN = {name: os.environ.get(name) for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")}

LEAN: dict[str, Any] = {
    # The record and the config hold what these would collect again for every run.
    "console": "off",
    "silent": True,
    "disable_git": True,
    "disable_code": True,
    "x_save_requirements": False,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    # A run killed before the first flush leaves nothing: flush every second instead of every 15.
    "x_transaction_log_flush_interval": 1,
}
"""Settings of each of our W&B runs."""

OF_A_RUN = (
    "MODE", "DISABLED", "PROJECT", "ENTITY", "NAME", "TAGS", "NOTES", "RUN_GROUP", "JOB_TYPE", "DIR", "RUN_ID",
    "RESUME", "RESUME_FROM", "FORK_FROM", "CONFIG_PATHS", "SWEEP_ID", "SWEEP_PARAM_PATH", "SERVICE",
)  # fmt: skip
"""What W&B's environment variables say of a run, each after `WANDB_`: our runs are told all of it themselves."""
_AGENTS = ("PROJECT", "ENTITY", "RUN_ID", "SWEEP_ID")


def prepare(run_id: str | None = None) -> None:
    """Imports wandb, with what it reads at import: without it even an offline run looks a host up.

    Args:
        run_id: of the run that begins. Where an agent of a W&B sweep has made that id, the run is part of that sweep.
    """
    is_agents = run_id is not None and run_id == agents_run()
    for name in OF_A_RUN:
        if not (is_agents and name in _AGENTS) and not (name == "SERVICE" and "wandb" in sys.modules):
            os.environ.pop(f"WANDB_{name}", None)
    os.environ["WANDB_MODE"] = "offline"
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb.sdk.launch  # noqa: F401  # which wandb.init would import, in twice the time once torch is there


def agents_run() -> str | None:
    """The id that an agent of a W&B sweep has made for the one run that it starts; None without an agent."""
    return os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None


def write_within(folder: Path | None) -> None:
    """Has wandb write nothing outside a run folder, unless the user says where.

    Args:
        folder: the run folder; None once the run has ended, so that no process that starts later takes it for the
            user's choice.
    """
    for name in (name for name, chosen in _CHOSEN.items() if chosen is None):
        if folder is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = str(folder / "wandb")


def bring_wandb_here() -> None:
    """Moves wandb's threads to the core that this one runs on, where the system lets us.

    Every row is handed to a thread of wandb's and waited for; between two cores that takes up to twice as long.
    """
    if _LIBC:
        for thread in threading.enumerate():
            if thread.name.startswith("wandb") and thread.native_id:
                with suppress(OSError, ValueError):  # a sandbox may forbid it, or not say which core it is
                    os.sched_setaffinity(thread.native_id, {_LIBC.sched_getcpu()})
