"""Stdout and stderr that never end a program: not a pager that quits, nor a terminal that closes, nor a full disk."""

import atexit
import errno
import io
import os
import select
import sys
import time

_PATIENCE = 10.0  # seconds that the end of a program waits for a reader that does not read
_CHUNK = 512  # bytes that a pipe which takes any takes at once: POSIX's PIPE_BUF


def keep_going() -> None:
    """From now on, what cannot be printed is dropped, and what nobody reads yet waits without holding anything up."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its number, and what is printed
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None or _is_own(stream, number):
            guarded = _guarded(number, stream)
            setattr(sys, name, guarded)
            setattr(sys, f"__{name}__", guarded)


class Outlet(io.FileIO):
    """A file descriptor that is written to as far as it takes something.

    Args:
        number: the descriptor's.

    Attributes:
        problem: why what was printed is not all there, where somebody may look for it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self._waiting = bytearray()
        self.problem: str | None = None

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        """Takes all of it."""
        self._waiting += data
        self.pass_on(0.0)
        return len(data)

    def pass_on(self, patience: float) -> None:
        """Writes what waits, as long as it is taken within so many seconds."""
        until = time.monotonic() + patience
        try:
            while self._waiting:
                if select.select([], [self], [], max(until - time.monotonic(), 0))[1]:
                    del self._waiting[: super().write(self._waiting[:_CHUNK]) or 0]
                    until = time.monotonic() + patience
                elif time.monotonic() >= until:
                    return
        except OSError as error:
            self._waiting.clear()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # a disk may have room again
                self.problem = error.strerror
            else:  # nobody comes back to a pipe or a terminal
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.fileno())
                os.close(nowhere)

    def forget(self) -> None:
        """In a process that was forked: what waits is the other's to write."""
        self._waiting.clear()


def _is_own(stream: io.TextIOWrapper, number: int) -> bool:
    """Whether a stream is this process's stdout or stderr, not guarded yet, and not what a test has put there."""
    try:
        return stream.fileno() == number and not isinstance(getattr(stream.buffer, "raw", None), Outlet)
    except (OSError, ValueError):
        return False


def _guarded(number: int, stream: io.TextIOWrapper | None) -> io.TextIOWrapper:
    outlet = Outlet(number)
    guarded = io.TextIOWrapper(
        io.BufferedWriter(outlet),  # type: ignore[type-var]  # a FileIO, but for the types that it may be given
        stream.encoding if stream else "utf-8",
        "replace",  # a letter that the encoding lacks, such as ±, becomes a question mark
        line_buffering=bool(stream and stream.line_buffering),
        write_through=bool(stream and stream.write_through),
    )
    os.register_at_fork(after_in_child=outlet.forget)
    atexit.register(_end, guarded, outlet, stream)
    return guarded


def _end(guarded: io.TextIOWrapper, outlet: Outlet, stream: io.TextIOWrapper | None) -> None:
    """At the end of the program; the stream that was replaced is kept until then, since it may close the descriptor."""
    guarded.flush()
    outlet.pass_on(_PATIENCE)
    if outlet.problem:
        print(f"not all that was printed could be written: {outlet.problem}", file=sys.stderr)
