"""`clearml-cleanup status` as people read it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from cleanup_job.cli import installed_release, status
from cleanup_job.cli.main import main
from cleanup_job.cluster.lease_status import LeaseStatus
from cleanup_job.cluster.pass_result import PassResult
from cleanup_job.cluster.schedule import Missed
from cleanup_job.cluster.status import Status
from cleanup_job.cluster.week import Week
from cleanup_job.errors import UnreachableError
from tests.cli.terminals import terminal

PASS = PassResult(
    job="nightly-1",
    started="2026-11-23T02:00:00Z",
    finished="2026-11-23T02:00:05Z",
    manual=False,
    state="complete",
    reason="",
    exit_code=0,
    summary={"deleted": 5, "files": 9, "bytes": 2 << 20, "kept": 0, "failed": 0, "left": 0},
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


TIMES = ("2026-11-23T02:00:00+00:00", "2026-11-23T02:01:00+00:00", "2026-11-23T02:02:00+00:00")


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
    assert (
        "Last passes 2026-11-23 02:00:00 UTC nightly-1 scheduled done (exit code 0): deleted 5 tasks, 9 files (2.0 MiB)" in text
    )


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
        (
            {"leases": [lease("held", "pod-1", *TIMES)], "ended_holders": ["pod-1"]},
            "nightly is held by pod-1, which ended: it expires at 2026-11-23 02:02:00 UTC",
        ),
        (
            {"leases": [lease("expired", "pod-1", *TIMES)], "ended_holders": ["pod-1"]},
            "nightly is held by pod-1, which ended: the next pass will take it over",
        ),
        (
            {"leases": [lease("held", "p")], "ended_holders": ["p"]},
            "which ended: it never expires, and has to be freed by hand",
        ),
        (
            {"missed": Missed("2026-11-22T03:00:00+01:00", ["one", "two"])},
            "Missed 2026-11-22 02:00:00 UTC: the schedule started no Job. What can be the reason: one; or two",
        ),
        ({}, "Last 7 days no pass is known"),
        (
            {"week": Week(passes=7, failed=1, dry_runs=2, tasks=12_000, files=3, bytes=5 << 30)},
            "Last 7 days 7 passes, 1 failed, 2 dry runs: deleted 12,000 tasks, 3 files (5.0 GiB) Last",
        ),
        (
            {"week": Week(passes=1, tasks=2, archived=30, slimmed=1, slimmed_bytes=1024)},
            "Last 7 days 1 pass: deleted 2 tasks, 0 files, archived 30 tasks, slimmed 1 task (1.0 KiB) Last",
        ),
        ({"week": Week(passes=1, complete=False)}, "1 pass: deleted 0 tasks, 0 files. Passes whose Jobs were deleted are not"),
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


# -- on a terminal of 80 columns
LONG = "clearml-cleanup-of-the-vision-department-production"
BUSY: dict[str, Any] = {
    "namespace": "machine-learning-platform-of-the-vision-department",
    "cronjob": LONG,
    "time_zone": "America/Argentina/ComodRivadavia",
    "active": [f"{LONG}-29731320", f"{LONG}-manual-022b6a"],
    "missed": Missed("2026-11-22T03:00:00+01:00", ["Job x has not ended, and concurrencyPolicy is Forbid", "a" * 100]),
    "week": Week(passes=7, failed=1, dry_runs=1, tasks=12_000, files=34_567, bytes=5 << 40, complete=False),
    "leases": [
        LeaseStatus(LONG, "ml", "held", f"{LONG}-29731320-abcde_1_0a1b2c3d", *["2026-11-23T02:00:00+00:00"] * 3),
    ],
    "passes": [
        replace(PASS, job=f"{LONG}-29731320", state="running", exit_code=None, summary=None, tries=2, max_tries=3),
        replace(PASS, job=f"{LONG}-manual-022b6a", manual=True, explanation=f"evicted: {'full ' * 40}", state="failed"),
        replace(PASS, job="nightly-1", said="x" * 300, summary=None, exit_code=1, state="failed"),
    ],
    "missing": [f"Your account may not list pods in namespace {'y' * 90}"],
}


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("known", [{}, BUSY], ids=["quiet", "busy"])
def test_no_line_is_wider_than_the_terminal(
    shown: Any, monkeypatch: pytest.MonkeyPatch, columns: int, known: dict[str, Any]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, shown(**known).splitlines())) <= columns


def test_the_middle_of_long_names_is_left_out_and_programs_get_them_whole(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(**BUSY)
    assert "2026-11-23 02:00:00 UTC  clearml-cleanup-of-the…duction-manual-022b6a  by hand\n" in text
    assert LONG not in text
    found = json.loads(shown("--output", "json", **BUSY))
    assert found["active"] == BUSY["active"]


def test_names_of_the_default_release_are_whole_on_80_columns(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """People copy them."""
    monkeypatch.setenv("COLUMNS", "80")
    name = "clearml-cleanup-clearml-cleanup-manual-022b6a"[:44]
    text = shown(passes=[replace(PASS, job=name)], cronjob="clearml-cleanup", leases=[lease("held", f"{name}_1")])
    assert f"2026-11-23 02:00:00 UTC  {name}  scheduled\n  done (exit code 0): deleted 5 tasks, 9 files (2.0 MiB)\n" in text


# -- again and again
class Watched:
    """Looks that differ, then one that fails, and then Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: Any) -> None:
        self.slept: list[float] = []
        left = list(looks)

        def look(*_: Any) -> Status:
            found = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(found, Exception):
                raise found
            return Status(**KNOWN | found)

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            if len(self.slept) >= len(looks):
                raise KeyboardInterrupt

        monkeypatch.setattr(status, "release_of", lambda _: ())
        monkeypatch.setattr(status, "read", look)
        monkeypatch.setattr(status.time, "sleep", sleep)


AWAY = UnreachableError("The Kubernetes API gave no usable answer")


def test_in_a_pipe_only_what_changed_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(monkeypatch, {}, {}, AWAY, AWAY, {}, {"active": ["a"]})
    assert main(["status", "--watch"]) == 130
    assert watched.slept == [5.0] * 6
    out, err = capsys.readouterr()
    assert out.count("CronJob") == 2
    assert [line.rstrip() for line in out.splitlines() if line.startswith("Active jobs")] == [
        "Active jobs     none",
        "Active jobs     a",
    ]
    assert "\x1b" not in out
    assert err == "The Kubernetes API gave no usable answer\n"


def test_programs_get_one_line_for_each_change(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(monkeypatch, {}, {}, {"active": ["a"]})
    assert main(["status", "--watch", "1.5", "--output", "json"]) == 130
    assert watched.slept == [1.5] * 3
    assert [json.loads(line)["active"] for line in capsys.readouterr().out.splitlines()] == [[], ["a"]]


def test_a_cluster_that_cannot_be_reached_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Watched(monkeypatch, AWAY)
    assert main(["status", "--watch"]) == 4


@pytest.mark.parametrize("seconds", ["0", "0.5", "inf", "nan", "soon"])
def test_a_wrong_pause_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["status", "--watch", seconds])
    assert end.value.code == 2
    assert f"{seconds} is not a number of seconds of at least 1" in " ".join(capsys.readouterr().err.split())


def test_a_terminal_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    Watched(monkeypatch, {}, {"active": ["a"]}, AWAY, {"active": ["b"]})
    with terminal() as screen:
        assert screen.run("status", "--watch", "2") == 130
    assert screen.text.count("CronJob") == 1, "the lines before were erased"
    assert "Active jobs     b" in screen.text
    assert screen.text.rstrip().endswith("again every 2 s. Ctrl-C ends it.")


def test_a_terminal_shows_that_nothing_is_known_at_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    Watched(monkeypatch, {}, AWAY)
    with terminal() as screen:
        assert screen.run("status", "--watch", "2") == 130
    assert "Active jobs     none" in screen.text
    assert screen.text.rstrip().endswith("The Kubernetes API gave no usable answer")
