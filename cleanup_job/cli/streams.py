"""Standard output and standard error as they are on a bad day: a closed pipe, a full disk.

Nobody can be told anything there any more. A pass then ends after the batches in progress, as if it was told to stop: it
deletes nothing that it can't tell of. Any other command ends at once.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from cleanup_job.exit_codes import StopReason

if TYPE_CHECKING:  # `--help` doesn't wait for what a pass needs
    from cleanup_job.passes.cleanup import Stop


class OutputError(Exception):
    """Nothing more can be written."""


class Guarded:
    """A stream of text that is written to as long as somebody takes it."""

    def __init__(self, stream: TextIO) -> None:
        """Writes to a stream, which it leaves open."""
        self._stream = stream
        self.error: OSError | None = None
        """Why nothing is written any more."""
        self.told: Callable[[], None] | None = None
        """Called when that happens; without it, an ``OutputError`` is raised."""

    def write(self, text: str) -> int:
        """Write a text, or forget it."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """See that it is written."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            action()
        except OSError as error:
            self.error = error
            with suppress(OSError, ValueError):  # what is in its buffer would be written once more at the very end
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self.told is None:
                raise OutputError(str(error)) from None
            self.told()

    def __getattr__(self, name: str) -> Any:
        """Whatever else the stream has."""
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[Guarded]:
    """Guard both streams; gives standard output."""
    before = sys.stdout, sys.stderr
    out, err = Guarded(before[0]), Guarded(before[1])
    err.told = lambda: None
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def watched(stop: "Stop") -> Iterator[None]:
    """Stop a run when nothing can be written to standard output any more, in place of an error there."""

    def stop_run() -> None:
        stop.reason = stop.reason or StopReason.OUTPUT

    out = sys.stdout
    if not isinstance(out, Guarded):
        yield
        return
    out.told = stop_run
    try:
        yield
    finally:
        out.told = lambda: None  # what is left to do is to tell of it elsewhere
