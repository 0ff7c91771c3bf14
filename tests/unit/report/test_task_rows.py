"""The tasks of a pass on their way to the page: in a temporary file, and then in the page's compact text."""

import errno
import gzip
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import document, html, task_rows
from cleanup_job.report.task_rows import TaskRows
from tests.unit.report import unpacked
from tests.unit.report.example_report import MOMENT, report

ACTIVE = datetime(2025, 12, 24, 18, 30, tzinfo=UTC)


def outcome(n: int, **more: object) -> TaskOutcome:
    """One of many tasks, deleted unless ``more`` says otherwise."""
    made = TaskOutcome(
        TaskId(f"{n:032x}"), f"run {n}", f"project {n % 2}", f"p{n % 2}", Verdict.DELETED, bytes=n, unsized=n % 2,
        user=f"user {n % 3}", status="completed", active=ACTIVE + timedelta(days=n),
    )  # fmt: skip
    return replace(made, **more)


@pytest.fixture
def noted() -> Iterator[Callable[..., TaskRows]]:
    """Notes outcomes as a pass does."""
    with ExitStack() as stack:

        def note(*outcomes: TaskOutcome) -> TaskRows:
            rows = stack.enter_context(TaskRows())
            for each in outcomes:
                rows.add(each)
            return rows

        yield note


def test_rows_come_back_as_they_were_as_often_as_they_are_read(noted: Callable[..., TaskRows]) -> None:
    outcomes = [outcome(1), outcome(2, verdict=Verdict.KEPT, reason=Reason.CHANGED, detail="ä\n\u2028", active=None)]
    rows = noted(*outcomes)
    for _ in range(2):
        first, second = rows
        assert (first.task, first.user, first.active, first.bytes) == (f"{1:032x}", "user 1", ACTIVE + timedelta(days=1), 1)
        assert (second.verdict, second.reason, second.detail, second.active) == ("kept", "changed", "ä ", None)
    assert list(noted()) == []


def test_a_secret_does_not_reach_the_temporary_file_and_a_long_text_is_cut(noted: Callable[..., TaskRows]) -> None:
    secret = "https://user:hunter2222@host/" + "x" * 10_000
    (row,) = noted(outcome(1, detail=secret, name="n" * 10_000))
    assert "hunter" not in row.detail
    assert len(row.detail) <= len(row.name) == task_rows.LONGEST_TEXT + 1


def test_a_page_has_so_many_rows_and_no_more(monkeypatch: pytest.MonkeyPatch, noted: Callable[..., TaskRows]) -> None:
    monkeypatch.setattr(task_rows, "MOST", 5)
    monkeypatch.setattr(html, "MOST", 4)
    rows = noted(*map(outcome, range(9)))
    assert len(list(rows)) == 5
    page = html.render(document.as_document(report()), rows)
    assert [task["name"] for task in unpacked.tasks(page)] == ["run 0", "run 1", "run 2", "run 3"]


def test_a_full_disk_ends_the_rows_and_not_the_pass(monkeypatch: pytest.MonkeyPatch, noted: Callable[..., TaskRows]) -> None:
    rows = noted(*map(outcome, range(3)))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(gzip.GzipFile, "write", full)
    rows.add(outcome(3))
    monkeypatch.undo()
    rows.add(outcome(4))
    assert [row.name for row in rows] in ([], ["run 0", "run 1", "run 2"])


def test_without_temporary_files_the_page_has_the_examples(
    monkeypatch: pytest.MonkeyPatch, noted: Callable[..., TaskRows]
) -> None:
    def none(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "no usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    rows = noted(outcome(1))
    page = html.render(document.as_document(report()), rows)
    assert [task["name"] for task in unpacked.tasks(page)] == ["broken", *(f"kept {n}" for n in range(5)), "example"]


def test_a_closed_file_has_no_rows(noted: Callable[..., TaskRows]) -> None:
    rows = noted(outcome(1))
    rows.close()
    assert list(rows) == []


def test_the_page_has_every_field_and_the_names_of_owners(noted: Callable[..., TaskRows]) -> None:
    found = document.as_document(report()) | {"users": {"user 1": "Ada"}}
    outcomes = [outcome(n, models=2, files=5, rule="p=7") for n in range(50)]
    tasks = unpacked.tasks(html.render(found, noted(*outcomes)))
    assert len(tasks) == 50
    assert tasks[1] == {
        "task": f"{1:032x}", "name": "run 1", "project": "project 1", "project_id": "p1", "owner": "Ada", "verdict": "deleted",
        "reason": None, "detail": "", "status": "completed", "rule": "p=7", "models": 2, "files": 5, "bytes": 1, "unsized": 1,
        "active": (ACTIVE + timedelta(days=1)).timestamp(), "stage": "", "policy": "", "due": None,
    }  # fmt: skip
    assert [task["owner"] for task in tasks[:4]] == ["user 0", "Ada", "user 2", "user 0"]
    assert unpacked.tasks(html.render(found, iter(outcomes))) == tasks


def test_the_page_has_what_policies_do_with_a_task_and_when(noted: Callable[..., TaskRows]) -> None:
    due = datetime(2026, 3, 8, tzinfo=UTC)
    outcomes = [
        outcome(1, verdict=Verdict.WOULD_NOTICE, policy="playground", stage=Stage.DELETE, due=due),
        outcome(2, verdict=Verdict.WOULD_SLIM, policy="playground", stage=Stage.SLIM),
        outcome(3, verdict=Verdict.KEPT, reason=Reason.RESTORED, policy="other"),
    ]
    tasks = unpacked.tasks(html.render(document.as_document(report()), noted(*outcomes)))
    assert [(task["stage"], task["policy"], task["due"]) for task in tasks] == [
        ("notice", "playground", due.timestamp()),
        ("slim", "playground", None),
        ("", "other", None),
    ]


def test_the_page_is_written_in_pieces() -> None:
    class Pieces:
        def __init__(self) -> None:
            self.lengths: list[int] = []

        def writelines(self, pieces: object) -> None:
            self.lengths += [len(piece) for piece in pieces]

    stream = Pieces()
    html.write(document.as_document(report()), (outcome(n, name=f"{n * 7919 % 100_003} {n}") for n in range(20_000)), stream)
    assert sum(stream.lengths) > 400_000
    assert max(stream.lengths) < 100_000


def test_ages_count_from_the_start_of_the_pass() -> None:
    assert f'"started": {round(MOMENT.timestamp())}' in unpacked.packed_text(html.render(document.as_document(report())))
