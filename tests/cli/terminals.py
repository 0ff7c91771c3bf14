"""A terminal of 80 columns, and someone who types on it."""

import os
import pty
import re
import sys
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread

import pytest

from cleanup_job.cli.main import main

_UP, _ERASE = "\x1b[1A", "\x1b[2K"
_PARTS = re.compile(r"(\n|\r|\x1b\[1A|\x1b\[2K)")
_OTHER = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\]8;[^\\]*\\")
"""Colours, links and the like."""
QUESTION = "[y/N]"


class Terminal:
    """What a command shows, and what is typed when it asks."""

    def __init__(self, types: Callable[[], str]) -> None:
        """``types`` gives the answer to a question."""
        self._types = types
        self._raw = ""
        self._error: Exception | None = None
        self._news = Condition()
        self.end, self.other = pty.openpty()
        tty.setraw(self.other)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        answered = 0
        while True:
            try:
                found = os.read(self.end, 65_536)
            except OSError:
                return
            if not found:
                return
            with self._news:
                self._raw += found.decode(errors="replace")
                self._news.notify_all()
            if self.text.count(QUESTION) > answered:
                answered += 1
                os.write(self.end, self._answer().encode())

    def _answer(self) -> str:
        try:
            return self._types()
        except Exception as error:  # noqa: BLE001 -- it is raised where the test runs
            self._error = error
            return "\n"

    def waits_for(self, text: str) -> None:
        """Return once this is shown."""
        with self._news:
            assert self._news.wait_for(lambda: text in " ".join(self.text.split()), timeout=60), self.text

    @property
    def text(self) -> str:
        """What stays on the screen."""
        return "\n".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """The same line by line. A line that was erased is gone; one that is too long is not broken."""
        lines, at = [""], 0
        for part in _PARTS.split(self._raw):
            if part == "\n":
                at += 1
                lines += [""] * (at + 1 - len(lines))
            elif part == _UP:
                at = max(0, at - 1)
            elif part in {"\r", _ERASE}:
                lines[at] = ""
            else:
                lines[at] += _OTHER.sub("", part)
        return [line.rstrip() for line in lines]

    def run(self, *words: str) -> int:
        """Run a command on it."""
        with self._standard_streams():
            code = main(words)
        if self._error is not None:
            raise self._error
        return code

    @contextmanager
    def _standard_streams(self) -> Iterator[None]:
        with (
            pytest.MonkeyPatch.context() as patch,
            os.fdopen(os.dup(self.other), "r") as stdin,
            os.fdopen(os.dup(self.other), "w") as stdout,
        ):
            patch.setattr(sys, "stdin", stdin)
            patch.setattr(sys, "stdout", stdout)
            patch.setenv("COLUMNS", "80")
            patch.setenv("TERM", "xterm-256color")
            yield
        self.waits_until_all_is_read()

    def waits_until_all_is_read(self) -> None:
        """Return once everything that was written has been read."""
        os.write(self.other, b"\x1b[0z")
        with self._news:
            assert self._news.wait_for(lambda: "\x1b[0z" in self._raw, timeout=60)
            self._raw = self._raw.replace("\x1b[0z", "")

    def close(self) -> None:
        """Nobody looks any more."""
        os.close(self.other)
        self._reader.join(5)
        os.close(self.end)


@contextmanager
def terminal(types: str | Callable[[], str] = "") -> Iterator[Terminal]:
    """A terminal on which this is typed when a command asks."""
    made = Terminal(types if callable(types) else lambda: types)
    try:
        yield made
    finally:
        made.close()
