"""What all tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from clearml_sandbox.server import Sandbox
from tests import sent_forms

# No test is about time: these machines are noisy.
settings.register_profile("untimed", deadline=None)
# Mutants are tried one after the other: each has to meet the same examples, and few of them.
settings.register_profile("mutation", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """See that each form of call that is sent is known."""
    sent_forms.listen()
    config.pluginmanager.register(sent_forms.Plugin(), "sent forms")


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    """One embedded ClearML Server for the tests of a module."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The module's server, without faults and with an empty log; load a world first."""
    shared_sandbox.fault = None
    shared_sandbox.requests.clear()
    yield shared_sandbox
    shared_sandbox.fault = None


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go past a proxy that this machine may have."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
