"""`clearml-cleanup forecast`: what will be due on which day."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.cli.test_explain import server

__all__ = ["server"]
DAY = timedelta(days=1)


def forecast(sandbox: Sandbox, world: World, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    sandbox.load(world.as_dict())
    assert main(["forecast", "--output", "json", *flags]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert not any("delete" in request.call for request in sandbox.requests)
    return found


def test_each_task_comes_on_its_day_with_what_its_record_knows(
    sandbox: Sandbox, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.task("due", days_old=90, project="vision").artifact("data", size=1000)
    world.task("due too", days_old=31).debug_images(3)
    soon = world.task("soon", days_old=26)
    soon.artifact("data", size=50)
    soon.linked_artifact("linked", "https://elsewhere.example/raw.csv", content_size=9)
    world.task("later", days_old=5)
    world.task("living", archived=False)
    world.task("public", public=True)
    found = forecast(sandbox, world, capsys, "--days", "7")
    today = datetime.now(UTC).date()
    assert [(day["date"], day["tasks"], day["bytes"]) for day in found["by_day"]] == [
        (str(today), 2, 1000),
        (str(today + 4 * DAY), 1, 50),
    ]
    assert [(one["project"], one["tasks"]) for one in found["by_project"]] == [("lab", 2), ("vision", 1)]
    assert [one["project"] for one in found["by_day"][0]["projects"]] == ["vision", "lab"]
    assert (found["tasks"], found["bytes"], found["later"], found["never"]) == (3, 1050, 1, 1)


def test_settings_can_be_tried_out(sandbox: Sandbox, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.task("draft", status="created")
    world.task("done", days_old=8)
    assert forecast(sandbox, world, capsys, "--no-force-delete")["tasks"] == 1
    assert forecast(sandbox, world, capsys, "--days", "0", "--delete-threshold-days", "7")["tasks"] == 2
    assert forecast(sandbox, world, capsys, "--projects", "gone")["tasks"] == 0


def test_a_record_that_can_not_be_read_is_counted(sandbox: Sandbox, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.task("t").document["system_tags"] = "archived"
    found = forecast(sandbox, world, capsys)
    assert (found["tasks"], found["unreadable"]) == (0, 1)


def test_people_see_a_chart_in_80_columns(sandbox: Sandbox, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(40):
        world.task(f"t{number}", days_old=31 - number / 2, project=f"[b]team {number % 20}[/b]").artifact("a", size=10**6)
    sandbox.load(world.as_dict())
    assert main(["forecast"]) == 0
    out, err = capsys.readouterr()
    assert "40 tasks (at least 38.1 MiB) are due by the end of" in out
    assert "[b]team 1[/b]" in out
    assert "and 5 more" in out
    assert "█" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "Reading archived tasks" in err
    assert main(["forecast", "--days", "365"]) == 0
    assert "12 days from (UTC)" in capsys.readouterr().out


@pytest.mark.parametrize("days", ["-1", "3651"])
def test_days_have_bounds(capsys: pytest.CaptureFixture[str], days: str) -> None:
    assert main(["forecast", f"--days={days}"]) == 2
    assert f"--days {days}: give a number of days from 0 to 3650" in capsys.readouterr().err


def test_a_server_with_nothing_to_come(sandbox: Sandbox, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.load(world.as_dict())
    assert main(["forecast"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("0 tasks are due by")


# -- with policies
POLICIES = """\
policies:
  - name: playground
    match: {projects: [playground]}
    keep: {tags: [gold]}
    archive: {after: 14d}
    slim: {after: 30d, remove: [artifacts], artifacts: {except: ["metrics*"]}}
    delete: {after: 60d, archived_for: 7d}
  - name: noticed
    match: {projects: [lab]}
    delete: {after: 30d}
    notice: 7d
"""


@pytest.fixture
def policies(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    path = tmp_path / "policies.yaml"
    path.write_text(POLICIES, encoding="utf-8")
    monkeypatch.setenv("CLEANUP_POLICIES", str(path))
    young = world.task("young", project="playground", days_old=10, archived=False)
    young.artifact("data", size=1000)
    old = world.task("old", project="playground", days_old=100, archived=False)
    old.artifact("data", size=100)
    old.artifact("metrics.json", size=10)
    world.task("gold", project="playground", days_old=100, archived=False, tags=("gold",))
    world.task("noticed", days_old=100).artifact("data", size=5)
    world.task("elsewhere", project="elsewhere")
    return world


def test_each_stage_comes_on_its_day(sandbox: Sandbox, policies: World, capsys: pytest.CaptureFixture[str]) -> None:
    found = forecast(sandbox, policies, capsys, "--days", "30")
    today = datetime.now(UTC).date()

    def days(series: dict[str, Any]) -> list[tuple[int, int, int]]:
        return [((date.fromisoformat(one["date"]) - today).days, one["tasks"], one["bytes"]) for one in series["by_day"]]

    assert days(found["archive"]) == [(0, 1, 0), (4, 1, 0)]
    assert days(found["slim"]) == [(1, 1, 100), (20, 1, 1000)]
    assert days(found) == [(8, 2, 15)], "after a week in the archive, or with a notice"
    assert [(one["project"], one["tasks"]) for one in found["by_project"]] == [("playground", 1), ("lab", 1)]
    assert (found["later"], found["never"]) == (0, 1)


def test_people_see_three_series_in_80_columns(sandbox: Sandbox, policies: World, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(40):
        policies.task(f"t{number}", days_old=30 - number, project=f"playground/team {number % 20}", archived=False)
    sandbox.load(policies.as_dict())
    for flags in ([], ["--days", "365"]):
        assert main(["forecast", *flags]) == 0
        out = capsys.readouterr().out
        assert all(len(line) <= 80 for line in out.splitlines()), out
        assert "tasks to archive" in out
        assert "tasks to slim" in out
        assert "░" in out
        assert "and 7 more" in out


def test_policies_without_a_task_to_come(sandbox: Sandbox, policies: World, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.load(policies.as_dict())
    assert main(["forecast", "--exclude-projects", "playground", "--exclude-projects", "lab"]) == 0
    assert "0 tasks to delete" in capsys.readouterr().out
