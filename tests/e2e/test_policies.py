"""Policies on a real cluster: the chart's list, mounted as a file, is carried out, and told in one message."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clearml_sandbox.worlds.builder import World
from tests.e2e.release import CHART, REPOSITORY, Release

pytestmark = pytest.mark.e2e

POLICIES: list[dict[str, Any]] = [
    {
        "name": "failed",
        "match": {"statuses": ["failed"]},
        "archive": {"after": "7d"},
        "delete": {"after": "30d", "archived_for": "7d"},
    },
    {
        "name": "rest",
        "keep": {"tags": ["gold*"]},
        "slim": {"after": "20d", "remove": ["artifacts", "console"], "also": "not_archived"},
        "archive": {"after": "60d"},
        "notice": "3d",
    },
]


def values(policies: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "image": {"repository": REPOSITORY},
        "sandbox": {"enabled": True, "image": {"repository": REPOSITORY}},
        "suspend": True,
        "cleanup": {"forceDelete": True},
        "policies": policies,
        # Nothing listens there: a message that can't be sent is a warning.
        "notify": {"urls": ["json://user:hush-hush@127.0.0.1:9/hook"], "when": ["notices"]},
    }


def upgrade(release: Release, policies: list[dict[str, Any]], folder: Path, *, check: bool = True) -> str:
    file = folder / "values.json"
    file.write_text(json.dumps(values(policies)))
    done = release.helm(
        "upgrade", "--install", release.name, str(CHART), "--wait", "--timeout", "3m", "--values", str(file), check=check
    )
    return done.stdout + done.stderr


def test_the_charts_policies_are_carried_out_and_told(namespace: str, tmp_path: Path) -> None:
    release, world = Release(namespace), World(datetime.now(UTC))
    ages = {"failed": 10, "completed": 25, "stopped": 25}
    tags = {"stopped": ["gold-2026"]}
    tasks = {
        status: world.task(status, archived=False, status=status, days_old=age, tags=tags.get(status, ()))
        for status, age in ages.items()
    }
    for task in tasks.values():
        task.artifact("data")
    upgrade(release, POLICIES, tmp_path)
    release.load(world.as_dict(), tmp_path)
    before = release.state()

    job = release.start("night")
    assert release.ended(job) == "Complete", release.log(job)
    log = release.log(job)
    told = {line["task"]: line["verdict"] for line in map(json.loads, log.splitlines()) if line["event"] == "task"}
    assert told == {tasks["failed"].id: "archived", tasks["completed"].id: "noticed", tasks["stopped"].id: "kept"}
    assert "hush-hush" not in log
    assert "CLEANUP_NOTIFY, URL 1 (json://…)" in log
    after = release.state()
    for what in ("tasks", "files", "models"):
        assert sorted(after[what]) == sorted(before[what])
    summary = release.summary(job)
    assert (summary["archived"], summary["noticed"], summary["exit_code"]) == (1, 1, 0)

    wrong = [{**POLICIES[0], "archive": {"after": "7 days"}}]
    assert "policies/0/archive/after" in upgrade(release, wrong, tmp_path, check=False).replace(".", "/")
