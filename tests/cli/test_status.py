"""`clearml-cleanup status` as people read it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from cleanup_job.cli import installed_release, status
from cleanup_job.cli.main import main
from cleanup_job.cluster.lease_status import LeaseStatus
from cleanup_job.cluster.pass_result import PassResult
from cleanup_job.cluster.status import Status

PASS = PassResult(
    job="nightly-1",
    started="2026-11-23T02:00:00Z",
    finished="2026-11-23T02:00:05Z",
    manual=False,
    state="complete",
    reason="",
    exit_code=0,
    summary={"deleted": 5, "files": 9, "kept": 0, "failed": 0, "left": 0},
    said="",
)
KNOWN: dict[str, Any] = {
    "namespace": "ml",
    "cronjob": "nightly",
    "schedule": "0 3 * * *",
    "time_zone": "Europe/Berlin",
    "suspended": False,
    "last_schedule": "2026-11-23T02:00:00Z",
    "last_success": None,
    "next_run": "2026-11-24T03:00:00+01:00",
    "active": [],
    "leases": [LeaseStatus("nightly", "ml", "free")],
    "passes": [PASS],
    "missing": [],
}


def lease(state: str, *known: str) -> LeaseStatus:
    return LeaseStatus("nightly", "ml", state, *known)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Prints a status; gives the text on one line."""
    monkeypatch.setenv("COLUMNS", "160")

    class Cluster:
        namespace = "ml"

    def show(*flags: str, **known: Any) -> str:
        monkeypatch.setattr(installed_release, "connect_as_user", lambda _: Cluster())
        monkeypatch.setattr(installed_release, "find", lambda *_: {})
        monkeypatch.setattr(status, "read", lambda *_: Status(**KNOWN | known))
        assert main(["status", *flags]) == 0
        return capsys.readouterr().out

    return show


def test_what_people_want_to_know(shown: Any) -> None:
    text = " ".join(shown().split())
    assert "CronJob nightly in namespace ml" in text
    assert "Schedule 0 3 * * * (Europe/Berlin)" in text
    assert "Next run 2026-11-24 02:00:00 UTC" in text
    assert "Last success never" in text
    assert "Lease nightly is free" in text
    assert "nightly-1 │ 2026-11-23 02:00:00 UTC │ schedule │ done (exit code 0): deleted 5 tasks, 9 files" in text


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"suspended": True, "next_run": None}, "0 3 * * * (Europe/Berlin), suspended Next run none (suspended)"),
        ({"time_zone": None, "next_run": None}, "(the cluster's time zone, normally UTC) Next run unknown"),
        ({"leases": []}, "Lease not used, so two passes can run at the same time"),
        ({"active": ["a", "b"]}, "Active jobs a, b"),
        ({"leases": [lease("held", "me")]}, "nightly is held by me, and never expires: it was created by hand"),
        (
            {"leases": [lease("held", "pod-1", "2026-11-23T02:00:00+00:00", "2026-11-23T02:01:00+00:00")]},
            "nightly is held by pod-1 since 2026-11-23 02:00:00 UTC, renewed 2026-11-23 02:01:00 UTC Last",
        ),
        (
            {"leases": [lease("expired", "pod-1", "2026-11-23T02:00:00+00:00", "2026-11-23T02:01:00+00:00")]},
            "renewed 2026-11-23 02:01:00 UTC: its holder seems to be gone",
        ),
        ({"leases": [lease("absent")]}, "nightly does not exist"),
        ({"leases": [lease("unknown")]}, "nightly is unknown"),
        ({"passes": []}, "No passes are known"),
        ({"passes": [], "missing": ["Your account may not list jobs"]}, "Not known: Your account may not list jobs"),
    ],
)
def test_what_is_out_of_the_ordinary(shown: Any, known: dict[str, Any], words: str) -> None:
    assert words in " ".join(shown(**known).split())


def test_missing_rights_are_no_sign_of_no_passes(shown: Any) -> None:
    assert "No passes are known" not in shown(passes=[], missing=["Your account may not list jobs"])


def test_programs_get_the_same_as_json(shown: Any) -> None:
    found = json.loads(shown("--output", "json"))
    assert found["schedule"] == "0 3 * * *"
    assert found["passes"][0]["summary"]["deleted"] == 5


def test_nothing_from_the_cluster_moves_the_cursor(shown: Any) -> None:
    assert "\x1b" not in shown(leases=[lease("held", "evil\x1b[2J")])


def test_names_of_jobs_are_whole_on_a_narrow_terminal(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """People copy them."""
    monkeypatch.setenv("COLUMNS", "80")
    name = "clearml-cleanup-manual-022b6a"
    assert name in shown(passes=[replace(PASS, job=name)])
