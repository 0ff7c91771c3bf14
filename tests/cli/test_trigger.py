"""`clearml-cleanup trigger`: what it makes, what it prints, and when it makes nothing."""

from typing import Any

import pytest

from cleanup_job.cli import installed_release
from cleanup_job.cli.main import main
from tests.unit.cluster.kubernetes_fake import FakeCluster


def cronjob(*arguments: str) -> dict[str, Any]:
    container = {"name": "clearml-cleanup", "image": "x", "args": list(arguments)}
    template = {"spec": {"template": {"spec": {"containers": [container]}}}}
    return {"metadata": {"name": "nightly", "uid": "u1"}, "spec": {"schedule": "@daily", "jobTemplate": template}}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    found = FakeCluster(
        list_namespaced_cron_job={"items": [cronjob()]}, create_namespaced_job={"metadata": {"name": "nightly-manual-1"}}
    )
    monkeypatch.setattr(installed_release, "connect_as_user", lambda _: found)
    return found


def made(cluster: FakeCluster) -> list[dict[str, Any]]:
    return [arguments[1] for method, arguments, _ in cluster.asked if method == "create_namespaced_job"]


def test_the_jobs_name_is_for_programs_and_the_rest_for_people(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trigger", "--dry-run", "--set", "maxTasks=5", "--set", "dryRun=false"]) == 0
    (job,) = made(cluster)
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments == ["--max-tasks=5", "--dry-run"], "--dry-run has the last word"
    out, err = capsys.readouterr()
    assert out == "nightly-manual-1\n"
    assert "kubectl logs --namespace ml --follow job/nightly-manual-1" in " ".join(err.split())


def test_another_namespace_is_asked(cluster: FakeCluster) -> None:
    assert main(["trigger", "--namespace", "other"]) == 0
    assert [arguments[0] for _, arguments, _ in cluster.asked] == ["other", "other"]


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "maxTask=5"],
        ["--set", "secretKey=x"],
        ["--set", "cronjob=x"],
        ["--set", "sweepDelete=true"],
        ["--set", "workers=0"],
    ],
)
def test_a_wrong_setting_makes_nothing_and_asks_nothing(cluster: FakeCluster, words: list[str]) -> None:
    assert main(["trigger", *words]) == 2
    assert cluster.asked == []


def test_a_dry_run_that_an_argument_would_undo_is_not_made(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.answers["list_namespaced_cron_job"] = {"items": [cronjob("run", "--no-dry-run")]}
    assert main(["trigger", "--dry-run"]) == 2
    assert made(cluster) == []
    assert "--no-dry-run" in capsys.readouterr().err


def test_chosen_tasks_and_plans_are_passed_on(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trigger", "--dry-run", "--task", "A" * 32, "--plan", "/plans/a b.jsonl"]) == 0
    assert main(["trigger", "--from-plan", "/plans/a.jsonl"]) == 0
    one, other = (job["spec"]["template"]["spec"]["containers"][0]["args"] for job in made(cluster))
    assert one == ["--dry-run", f"--task={'a' * 32}", "--plan=/plans/a b.jsonl"]
    assert other == ["--from-plan=/plans/a.jsonl"]
    assert main(["trigger", "--task", "exp 1"]) == 2
    assert "'exp 1' is not the ID of a task" in " ".join(capsys.readouterr().err.split())
    assert len(made(cluster)) == 2
