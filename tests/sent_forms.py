"""Which forms of call the product sends in its own tests; one that is not in the table of known forms fails the run.

What no recording shows is imagined: a form that is new needs a recording, or a reason. Tests of random worlds are left out,
since no two runs of them send the same; after a whole run the forms of the table that no other test has sent are named.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from cleanup_job.clearml_api.api_client import ApiClient
from tests.conformance.forms import TABLE, forms, table

SENT: set[str] = set()


def listen() -> None:
    """Note each call that is sent from this process from now on."""
    ask_once: Callable[..., Any] = ApiClient.ask_once

    def noted(self: ApiClient, name: str, body: object, *args: Any, **options: Any) -> Any:
        if not os.environ.get("PYTEST_CURRENT_TEST", "").startswith("tests/property/"):
            SENT.update(forms(name, body))
        return ask_once(self, name, body, *args, **options)

    ApiClient.ask_once = noted


def unknown() -> list[str]:
    """What was sent and is not in the table."""
    recorded, others = table()
    return [f"sent, and not in {TABLE.name}: {form}" for form in sorted(SENT - recorded.keys() - others.keys())]


def unsent() -> list[str]:
    """What is in the table and was not sent."""
    recorded, others = table()
    return [f"in {TABLE.name}, and sent by no test: {form}" for form in sorted((recorded.keys() | others.keys()) - SENT)]


class Plugin:
    """Collects from all workers, and fails the run."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["forms"] = sorted(SENT)
            return
        self.found = unknown()
        if self.found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif session.config.args_source is pytest.Config.ArgsSource.TESTPATHS and not session.testsfailed:
            self.found = unsent()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        SENT.update(getattr(node, "workeroutput", {}).get("forms", ()))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in self.found:
            terminalreporter.write_line(line, red=True)
