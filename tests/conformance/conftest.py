"""The replayer of the recordings, and a sandbox that takes their credentials."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from clearml_sandbox.server import Sandbox
from tests.conformance.recorded import KEY, SECRET, replayer


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    return replayer()


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(key=KEY, secret=SECRET) as sandbox:
        yield sandbox
