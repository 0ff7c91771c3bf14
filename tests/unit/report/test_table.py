"""The sum of a pass."""

import io
from datetime import UTC, datetime

from rich.console import Console

from cleanup_job.planning.outcome import EXAMPLES, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import table

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


def outcome(n: int = 0, verdict: Verdict = Verdict.DELETED, reason: Reason | None = None, **more: object) -> TaskOutcome:
    return TaskOutcome(TaskId(f"{n:032x}"), f"exp {n}", "team/a", "p1", verdict, reason, **more)  # type: ignore[arg-type]  # any of its fields


def report(*outcomes: TaskOutcome, **more: object) -> Report:
    made = Report("1.0", False, MOMENT, MOMENT, "http://api:8008", "http://web:8080", MOMENT, len(outcomes), **more)  # type: ignore[arg-type]  # any of its fields
    for one in outcomes:
        made.add(one)
    return made


def shown(made: Report, width: int = 100) -> str:
    stream = io.StringIO()
    table.render(made, Console(file=stream, width=width, no_color=True))
    return stream.getvalue()


def test_the_sum_counts_what_goes_and_what_stays() -> None:
    made = report(
        outcome(1, models=2, files=5, bytes=10),
        outcome(2, Verdict.KEPT, Reason.UNKNOWN_STORE, unknown_stores=(("s3://b", 3),)),
        outcome(3, Verdict.FAILED, Reason.FILE_ERROR),
        outcome(4, Verdict.NOT_OURS, Reason.PUBLIC),
    )
    row = made.total()
    assert (row.tasks, row.models, row.files, row.bytes, row.kept, row.failed, row.not_ours) == (1, 2, 5, 10, 1, 1, 1)
    assert made.unknown_stores == {"s3://b": 3}


def test_examples_are_bounded_and_counts_are_not() -> None:
    made = report(*(outcome(n, Verdict.KEPT, Reason.CHANGED) for n in range(EXAMPLES + 50)))
    entry = made.reasons[Reason.CHANGED]
    assert (entry.count, len(entry.examples)) == (EXAMPLES + 50, EXAMPLES)


def test_each_unknown_store_is_named_once_with_the_setting_to_add() -> None:
    stores = (("https://old.example", 2), ("s3://bucket", 1))
    text = shown(report(*(outcome(n, Verdict.KEPT, Reason.UNKNOWN_STORE, unknown_stores=stores) for n in range(3))), 300)
    assert text.count("unknown store https://old.example: 6 files") == 1
    assert "CLEANUP_FILES_URL_PREFIXES=https://old.example" in text
    assert text.count("unknown store s3://bucket: 3 files") == 1
    assert "CLEARML_CONFIG_FILE=/the/clearml.conf" in text
