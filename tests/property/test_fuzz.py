"""`make fuzz` prints what fails so that it can be played again, and ends with the time."""

from pathlib import Path

import pytest

from tests.property import fuzz
from tests.property.judge import Judge
from tests.property.scenario import Scenario


def test_a_scenario_that_fails_is_shrunk_printed_and_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Judge, "violations", lambda _, scenario: ["two tasks"] if len(scenario.world["tasks"]) > 1 else [])
    assert fuzz.main(["--seconds", "60", "--seed", "7", "--into", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    scenario = Scenario.from_json((tmp_path / "7.json").read_text())
    assert len(scenario.world["tasks"]) == 2
    assert not scenario.edits
    assert not scenario.events
    assert scenario.as_json() in told.splitlines()
    assert "make fuzz SEED=7" in told
    assert fuzz.main(["--play", str(tmp_path / "7.json")]) == 1
    assert "two tasks" in capsys.readouterr().out


def test_it_ends_well_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Judge, "violations", lambda *_: [])
    assert fuzz.main(["--seconds", "0.1"]) == 0
    assert "0 failed" in capsys.readouterr().out


def test_it_plays_so_many_whole_rounds_as_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Judge, "violations", lambda *_: [])
    monkeypatch.setattr(fuzz, "EXAMPLES", 5)
    assert fuzz.main(["--seconds", "0", "--rounds", "2", "--seed", "7"]) == 0
    assert "fuzz: 10 scenarios in 2 rounds, 0 failed" in capsys.readouterr().out
