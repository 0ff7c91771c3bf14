"""Which forms of call the product sends in its own tests; one that is not in the table of known forms fails the run.

What no recording shows is imagined: a form that is new needs a recording, or a reason. In a whole run a form of the table
that nobody sends any more fails as well.
"""

from collections.abc import Callable
from typing import Any

import pytest
from forms import TABLE, forms, table

from cleanup_job.server.session import Transport

SENT: set[str] = set()


def listen() -> None:
    """Note each call that is sent from this process from now on."""
    ask_once: Callable[..., Any] = Transport.ask_once

    def noted(self: Transport, name: str, body: object, *args: Any, **options: Any) -> Any:
        SENT.update(forms(name, body))
        return ask_once(self, name, body, *args, **options)

    Transport.ask_once = noted  # type: ignore[method-assign]  # for the whole run


def complaints(*, whole: bool) -> list[str]:
    """What is wrong with what was sent."""
    recorded, others = table()
    known = recorded.keys() | others.keys()
    wrong = [f"sent, and not in {TABLE.name}: {form}" for form in sorted(SENT - known)]
    return wrong + ([f"in {TABLE.name}, and sent by no test: {form}" for form in sorted(known - SENT)] if whole else [])


class Plugin:
    """Collects from all workers, and fails the run."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["forms"] = sorted(SENT)
            return
        whole = session.config.args_source is pytest.Config.ArgsSource.TESTPATHS and not session.testsfailed
        self.found = complaints(whole=whole)
        if self.found and not session.config.option.collectonly:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        SENT.update(getattr(node, "workeroutput", {}).get("forms", ()))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in self.found:
            terminalreporter.write_line(line, red=True)
