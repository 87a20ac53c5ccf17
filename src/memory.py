"""How much memory there is, and what the C library does with what is freed."""

import ctypes
import os
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_TRIM_BYTES, _MMAP_BYTES = 2**30, 2**25  # the second is glibc's own maximum


def keep_freed_memory() -> None:
    """Lets the process keep what it frees, up to 1 GiB.

    Every step of a stack takes the same megabytes again. By default glibc hands them back to the system in between, and
    the system fills them with zeros page by page: a fifth of a step of 256 trials. Other C libraries are left alone.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)
        libc.mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes that this process may take: its machine's memory, or less where a container or a SLURM job sets a limit.

    What is free at the moment does not count: a sweep would be cut into other stacks at each launch.

    Args:
        root: of the file system in which Linux tells of control groups.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    own = root / "proc/self/cgroup"
    for line in own.read_text().splitlines() if own.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):  # of the second and of the first version of cgroups
            group = root / "sys/fs/cgroup" / controllers / path.lstrip("/")
            limits += [limit for each in (group, *group.parents) for limit in _limits_in(each)]
    return min(limits)


def _limits_in(group: Path) -> list[int]:
    files = [group / "memory.max", group / "memory.limit_in_bytes"]
    texts = [file.read_text().strip() for file in files if file.is_file()]
    return [int(text) for text in texts if text.isdigit()]
