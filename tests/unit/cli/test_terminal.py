"""What people and programs see of how far a pass is, although nobody knows in advance how many tasks there are."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cleanup_job.cli.terminal import JsonOutput, output_for
from cleanup_job.cli.text_output import TextOutput
from cleanup_job.passes.ports import Observer
from cleanup_job.planning.outcome import TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId


def play(output: Observer, expected: int | None, events: Sequence[tuple[str, int]]) -> None:
    output.expected(expected)
    for what, number in events:
        if what == "selected":
            output.selected(number)
        else:
            for _ in range(number):
                output.outcome(TaskOutcome(TaskId("a" * 32), "exp", "team", "p", Verdict.DELETED))


@pytest.mark.parametrize(
    ("expected", "events", "shown"),
    [
        (4, [("done", 2)], [(1, 4, 3.0), (2, 4, 1.0)]),
        (4, [("done", 1), ("selected", 2), ("done", 1)], [(1, 4, 3.0), (2, 2, 0.0)]),
        (1, [("done", 2)], [(1, 1, 0.0), (2, 2, 0.0)]),
        (0, [("done", 1)], [(1, 1, 0.0)]),
        (None, [("done", 1), ("selected", 4), ("done", 1)], [(1, None, None), (2, 4, 1.0)]),
        (9, [("done", 2), ("selected", 1), ("done", 1)], [(1, 9, 8.0), (2, 9, 3.5), (3, 3, 0.0)]),
    ],
)
def test_the_log_says_how_far_a_pass_is_as_far_as_that_is_known(
    expected: int | None,
    events: list[tuple[str, int]],
    shown: list[tuple[int, int | None, float | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cleanup_job.cli.terminal.EVERY", 0.0)
    monkeypatch.setattr("cleanup_job.cli.terminal.time.monotonic", lambda: 1.0 if stream.getvalue().count("expected") else 0.0)
    stream = io.StringIO()
    play(JsonOutput(stream, "info"), expected, events)
    lines: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "progress"]
    assert [(line["done"], line["tasks"], line["seconds_left"]) for line in told] == shown


def test_the_log_says_what_is_expected_and_what_was_selected() -> None:
    stream = io.StringIO()
    output = JsonOutput(stream, "info")
    play(output, 7, [("done", 1), ("selected", 5)])
    play(output, None, [])
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [(line["event"], line["tasks"]) for line in lines if line["event"] != "task"]
    assert told == [("expected", 7), ("selected", 5), ("expected", None)]


@pytest.mark.parametrize(
    ("level", "task_level", "shown"),
    [
        ("info", "info", ["info deleted", "warning kept", "error failed"]),
        ("info", "debug", ["error failed"]),
        ("debug", "debug", ["debug deleted", "debug kept", "error failed"]),
        ("warning", "info", ["warning kept", "error failed"]),
    ],
)
def test_lines_of_single_tasks_can_be_left_out_but_not_those_of_failures(level: str, task_level: str, shown: list[str]) -> None:
    stream = io.StringIO()
    output = JsonOutput(stream, level, task_level)
    play(output, 3, [("selected", 3)])
    for verdict in (Verdict.DELETED, Verdict.KEPT, Verdict.FAILED):
        output.outcome(TaskOutcome(TaskId("a" * 32), "exp", "team", "p", verdict))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [f"{line['level']} {line['verdict']}" for line in lines if line["event"] == "task"] == shown
    assert [line["event"] for line in lines if line["event"] != "task"] == (
        ["expected", "selected"] if level != "warning" else []
    )


@pytest.mark.parametrize(
    ("expected", "events", "bar"),
    [
        (4, [], (0, 4)),
        (4, [("done", 3)], (3, 4)),
        (4, [("done", 3), ("selected", 3)], (3, 3)),
        (2, [("done", 3)], (3, 3)),
        (None, [("done", 3)], (3, None)),
        (None, [("done", 3), ("selected", 5)], (3, 5)),
        (9, [("done", 3), ("selected", 2)], (3, 3)),
    ],
)
def test_the_bar_is_never_beyond_its_end_and_only_moves_without_one(
    expected: int | None, events: list[tuple[str, int]], bar: tuple[int, int | None]
) -> None:
    output = TextOutput(Console(file=io.StringIO()), "info")
    play(output, expected, events)
    (shown,) = output._progress.tasks
    assert (shown.completed, shown.total) == bar


@pytest.mark.parametrize(
    ("form", "terminal", "variable", "shown"),
    [
        ("auto", True, "", TextOutput), ("auto", False, "", JsonOutput), ("text", False, "", TextOutput),
        ("json", True, "", JsonOutput), ("json", True, "FORCE_COLOR", JsonOutput),
        ("auto", False, "FORCE_COLOR", TextOutput), ("auto", False, "TTY_COMPATIBLE", TextOutput),
    ],
)  # fmt: skip
def test_text_is_for_terminals_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, form: str, terminal: bool, variable: str, shown: type
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    settings: Any = SimpleNamespace(output=SimpleNamespace(log_format=form, log_level="info", task_log_level="info"))
    assert type(output_for(settings)) is shown


def test_a_pass_that_prints_json_does_not_pay_for_what_terminals_and_pages_need() -> None:
    code = "import sys, cleanup_job.cli.run; sys.exit(' '.join({'rich', 'jinja2'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
