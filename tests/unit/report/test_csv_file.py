"""The table for spreadsheets: rows that a reader gets back as they were, and no formulas."""

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import csv_file
from cleanup_job.report.formatting import plain

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
REPORT = Report("1.0", False, MOMENT, MOMENT, "http://api:8008", "https://web", users={"u1": "Ann"})
OUTCOME = TaskOutcome(
    TaskId("t" * 32), "exp 1", "team/x", "p1", Verdict.KEPT, Reason.UNKNOWN_STORE, 'say "so", and more',
    models=1, files=2, bytes=3, files_missing=4, kept_models=5, protected=("u", "v"), external=("w",), external_count=7,
    rule="team=7", user="u1", unknown_stores=(("s3://a", 1), ("https://b", 2)), status="created", active=MOMENT, unsized=6,
)  # fmt: skip
WRITABLE = st.characters(exclude_categories=())
TEXT = st.text(WRITABLE, max_size=60) | st.text(st.sampled_from("=+-@;,\"' \t\r\n\uff1da"), max_size=20)


def row(outcome: TaskOutcome) -> dict[str, str]:
    """What a reader gets."""
    text = csv_file.first(REPORT) + csv_file.of_task(outcome, REPORT) + csv_file.last(REPORT)
    text.encode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == 1
    return rows[0]


def test_every_column_has_its_value() -> None:
    assert row(OUTCOME) == {
        "task": "t" * 32, "name": "exp 1", "project": "team/x", "project_id": "p1", "user": "u1", "user_name": "Ann",
        "status": "created", "active": "2026-03-01T00:00:00.000+00:00", "verdict": "kept", "reason": "unknown_store",
        "detail": 'say "so", and more', "models": "1", "files": "2", "bytes": "3", "unsized": "6", "files_missing": "4",
        "kept_models": "5", "protected_count": "2", "external_count": "7", "unknown_stores": "https://b s3://a",
        "rule": "team=7", "link": f"https://web/projects/p1/experiments/{'t' * 32}/output/execution",
    }  # fmt: skip


def test_what_is_not_known_is_empty() -> None:
    plain_one = TaskOutcome(TaskId("t" * 32), "n", "p", "i", Verdict.DELETED)
    found = row(plain_one)
    assert {name for name, value in found.items() if not value} == {
        "user", "user_name", "status", "active", "reason", "detail", "unknown_stores", "rule",
    }  # fmt: skip


def test_the_page_has_the_columns_in_their_order() -> None:
    section = PAGE.partition("## Columns of a .csv file")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == (*csv_file.COLUMNS, *csv_file.OF_POLICIES)


def test_only_with_policies_there_are_columns_of_them() -> None:
    made = replace(OUTCOME, verdict=Verdict.NOTICED, policy="=play", stage=Stage.DELETE, due=MOMENT)
    with_policies = replace(REPORT, policies="1f2e")
    first, second = (list(csv.reader([csv_file.first(one), csv_file.of_task(made, one)])) for one in (REPORT, with_policies))
    assert not set(csv_file.OF_POLICIES) & set(first[0])
    assert dict(zip(*second, strict=True)) == dict(zip(*first, strict=True)) | {
        "policy": "'=play", "stage": "delete", "due": "2026-03-01T00:00:00.000+00:00",
    }  # fmt: skip


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n+", "\uff1d", "\uff0b", "\uff0d", "\uff20", "x;=", "x; @"]
)
def test_no_cell_is_a_formula(start: str) -> None:
    name = row(replace(OUTCOME, name=f"{start}cmd()"))["name"]
    assert re.fullmatch(r"(x;)?\s?'[=+\-@\uff1d\uff0b\uff0d\uff20]cmd\(\)", name)


@given(TEXT)
@example("\ud800")
@example("a\x00b")
@example('"\n"')
def test_any_name_is_one_cell_and_comes_back(name: str) -> None:
    outcome = replace(OUTCOME, name=name, project=name, rule=name, detail=name, unknown_stores=((name, 1),))
    found = row(outcome)
    assert found["task"] == OUTCOME.task
    assert found["link"].startswith("https://web/")
    assert found["name"].replace("'", "") == plain(name).replace("'", "")
    assert not found["name"].lstrip().startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))


def test_a_row_is_bounded_and_lines_end_as_the_standard_says() -> None:
    many = replace(
        OUTCOME, name="n" * 100_000, protected=("u" * 1000,) * 5000, unknown_stores=tuple((f"s3://{n}", 1) for n in range(5000))
    )
    text = csv_file.of_task(many, REPORT)
    assert len(text) < 10_000
    assert text.endswith("\r\n")
    assert text.count("\n") == 1
