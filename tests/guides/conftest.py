"""A reader with a server."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from clearml_sandbox.server import Sandbox
from tests.guides import world
from tests.guides.blocks import ROOT
from tests.guides.player import Player


@pytest.fixture
def named() -> world.Named:
    return world.make()


@pytest.fixture
def reader(
    sandbox: Sandbox,
    named: world.Named,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Player:
    """A reader who has read nothing yet, with a server that has everything the guides speak of."""
    sandbox.load(named.world.as_dict())
    return Player(sandbox, tmp_path, capsys, monkeypatch, {"MODEL_ID": named.untagged_model})


@pytest.fixture
def played(reader: Player) -> Callable[[str, Mapping[str, int]], Player]:
    """Plays a page."""

    def play(page: str, expected: Mapping[str, int] | None = None) -> Player:
        reader.expected = expected or {}
        return reader.play(ROOT / "docs" / "guides" / page)

    return play
