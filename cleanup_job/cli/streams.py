"""Standard output and standard error as they are on a bad day: a closed pipe, a full disk.

Once nothing can be written there, a pass ends after the batches in progress, as on a signal, so that nothing is deleted without
a line in the log. Any other command ends at once.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from cleanup_job.exit_codes import StopReason

if TYPE_CHECKING:  # `--help` doesn't wait for what a pass needs
    from cleanup_job.passes.stop import Stop


class OutputError(Exception):
    """Nothing more can be written."""


class Guarded:
    """A text stream that is written to until that fails for the first time."""

    def __init__(self, stream: TextIO) -> None:
        """The stream is left open."""
        self._stream = stream
        self.error: OSError | None = None
        """Why writing failed."""
        self.on_error: Callable[[], None] | None = None
        """Called when writing fails; without it, an ``OutputError`` is raised."""

    def write(self, text: str) -> int:
        """Write a text, or drop it after a failure."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            action()
        except OSError as error:
            self.error = error
            with suppress(OSError, ValueError):  # or Python would try to write its buffer once more at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self.on_error is None:
                raise OutputError(str(error)) from None
            self.on_error()

    def __getattr__(self, name: str) -> Any:
        """All other attributes are the stream's own."""
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[Guarded]:
    """Guard both streams; gives standard output."""
    before = sys.stdout, sys.stderr
    out, err = Guarded(before[0]), Guarded(before[1])
    err.on_error = lambda: None
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def watched(stop: "Stop") -> Iterator[None]:
    """Stop a run when nothing more can be written to standard output, instead of raising an error there."""
    out = sys.stdout
    if not isinstance(out, Guarded):
        yield
        return
    out.on_error = lambda: stop.ask(StopReason.OUTPUT)
    try:
        yield
    finally:
        out.on_error = lambda: None  # the run has ended; its report and Kubernetes say why
