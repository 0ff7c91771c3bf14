"""Report files while a pass runs and when it ends: none of them ever ends it, and each failure is told of."""

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleanup_job import redaction
from cleanup_job.job.report_files import ReportFiles
from cleanup_job.planning.outcome import Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.storage.destinations import FileDestination

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Written:
    """A file in memory, which fails where a test wants it to."""

    ending: str
    fails: tuple[str, ...] = ()
    content_type: str = ""
    data: bytes = b""
    ended: str = ""
    writes: int = 0
    at: int = 1
    """The write that fails."""
    order: list[str] = field(default_factory=list)

    def open(self, content_type: str) -> "Written":
        self._may_fail("open")
        assert not self.content_type, "begun once"
        self.content_type = content_type
        return self

    def write(self, data: bytes) -> None:
        self.writes += 1
        if self.writes >= self.at:
            self._may_fail("write")
        self.data += data

    def flush(self) -> None:
        assert not self.ended

    def commit(self) -> None:
        self._may_fail("commit")
        assert not self.ended
        self.ended = "whole"
        self.order.append(self.ending)

    def abandon(self, *, keep: bool) -> None:
        assert not self.ended
        self.ended = "kept" if keep else "gone"

    def _may_fail(self, what: str) -> None:
        if what in self.fails:
            raise OSError(28, "No space left on device")


def report() -> Report:
    return Report("1.0", False, MOMENT, MOMENT, "http://api:8008")


def outcome(n: int) -> TaskOutcome:
    return TaskOutcome(TaskId(f"{n:032x}"), f"exp {n}", "p", "p", Verdict.DELETED)


def finished(files: ReportFiles) -> list[str]:
    found: Iterator[str] = files.finish()
    return list(found)


def events(data: bytes) -> list[str]:
    return [json.loads(line)["event"] for line in data.splitlines()]


def test_a_file_has_the_lines_of_all_tasks_so_far_while_the_pass_runs() -> None:
    lines, page = Written(".jsonl"), Written(".html")
    warnings: list[str] = []
    files = ReportFiles(report(), {"a.jsonl": lines, "b.html": page}, warnings.append)
    assert lines.content_type == ""
    files.begin()
    assert events(lines.data) == ["pass_started"]
    for n in range(3):
        files.outcome(outcome(n))
    assert events(lines.data) == ["pass_started", "task", "task", "task"]
    assert (lines.ended, page.content_type) == ("", "")
    assert finished(files) == warnings == []
    assert events(lines.data)[-1] == "pass_finished"
    assert (lines.ended, page.ended) == ("whole", "whole")
    assert (lines.content_type, page.content_type) == ("application/x-ndjson", "text/html; charset=utf-8")


def test_a_pass_that_ends_before_its_first_task_has_whole_files_too() -> None:
    places = {ending: Written(ending) for ending in (".jsonl", ".csv", ".json", ".md", ".html")}
    assert finished(ReportFiles(report(), places, pytest.fail)) == []
    assert {place.ended for place in places.values()} == {"whole"}
    assert events(places[".jsonl"].data) == ["pass_started", "pass_finished"]
    assert places[".csv"].data.startswith(b"task,name,")


@pytest.mark.parametrize(
    ("fails", "ended", "writes"), [("open", "", 1), ("write", "kept", 1), ("write", "kept", 3), ("commit", "kept", 1)]
)
def test_a_file_that_fails_is_told_of_once_and_the_others_go_on(fails: str, ended: str, writes: int) -> None:
    broken, good, page = Written(".jsonl", (fails,), at=writes), Written(".csv"), Written(".json")
    made, warnings = report(), []
    files = ReportFiles(made, {"broken.jsonl": broken, "good.csv": good, "r.json": page}, warnings.append)
    files.begin()
    for n in range(5):
        files.outcome(outcome(n))
    told = []
    for problem in files.finish():
        told.append(problem)
        made.error, made.exit_code = problem, 1
    assert told == ["CLEANUP_REPORT=broken.jsonl could not be written: [Errno 28] No space left on device"]
    assert warnings == ([] if fails == "commit" else [f"{told[0]}. The pass continues without it."])
    assert (broken.ended, good.ended, page.ended) == (ended, "whole", "whole")
    assert good.data.count(b"\r\n") == 6
    assert json.loads(page.data)["summary"]["error"] == told[0], "a file that is written later tells of it"


@pytest.mark.parametrize("fails", ["open", "write", "commit"])
def test_a_file_that_is_written_at_the_end_leaves_nothing_if_it_fails(fails: str) -> None:
    places = {"a.html": Written(".html", (fails,)), "b.md": Written(".md")}
    assert finished(ReportFiles(report(), places, pytest.fail)) == [
        "CLEANUP_REPORT=a.html could not be written: [Errno 28] No space left on device"
    ]
    assert places["a.html"].ended in {"", "gone"}
    assert places["b.md"].ended == "whole"


def test_a_pass_that_ends_in_an_unexpected_way_leaves_what_is_there() -> None:
    lines = Written(".jsonl")
    files = ReportFiles(report(), {"a.jsonl": lines, "b.json": Written(".json")}, pytest.fail)
    files.begin()
    files.outcome(outcome(1))
    files.abandon()
    assert (lines.ended, events(lines.data)) == ("kept", ["pass_started", "task"])


def test_memory_does_not_grow_with_the_number_of_tasks(tmp_path: Path) -> None:
    places = {ending: FileDestination(tmp_path / f"r{ending}") for ending in (".jsonl", ".csv")}
    files = ReportFiles(report(), places, pytest.fail)
    files.begin()

    def used() -> int:
        """Bytes, after 500 more tasks."""
        for n in range(500):
            files.outcome(outcome(n))
        redaction._redacted_short.cache_clear()  # it remembers some texts, but never more than so many
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        assert used() > used() - 30_000
    finally:
        tracemalloc.stop()
    assert finished(files) == []
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 1001
