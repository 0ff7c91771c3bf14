"""How the run ended that an agent was given before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Run
from cleanup_job.service_task.run_before import not_done

NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)


def run(status: str, reason: str = "", *tags: str, name: str = "a", created: datetime = LONG_AGO, **more: Any) -> Run:
    return Run(TaskId(name * 32), status, None, tags=tags, created=created, status_reason=reason, **{"last_update": NOW} | more)


def why(*runs: Run) -> str | None:
    found = not_done(runs, NOW, lambda task: f"https://clearml.example/{task[:1]}")
    return found and found.text


@pytest.mark.parametrize(
    "ended",
    [
        run("completed", "worker execution done", "agent"),
        run("published", "", "agent"),
        run("in_progress", "", "agent"),
        run("in_progress", "launch by agent"),
        run("failed", "exit code 3", "pod:nightly-x"),
        run("in_progress", "", "pod:nightly-x", last_update=LONG_AGO),
    ],
    ids=lambda ended: f"{ended.status} {ended.tags}",
)
def test_nothing_is_wrong(ended: Run) -> None:
    """It did its pass, or works on it; and what became of a pass in a pod, Kubernetes knows."""
    assert why(ended) is None
    assert why(ended, run("failed", name="b")) is None, "what was before that one is told already"


def test_there_was_none() -> None:
    assert why() is None


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (run("completed", "worker execution done"), "before its pass began (completed: worker execution done)"),
        (run("closed"), "before its pass began (closed)"),
        (run("failed", "worker execution exit code 1"), "could not install what CLEANUP_TASK_REQUIREMENT"),
        (run("stopped", "user abort"), "before its pass began (stopped: user abort)"),
        (run("stopped", "user abort", "agent"), "was stopped before its pass had ended (stopped: user abort)"),
        (run("failed", "worker execution exit code 4", "agent"), "exit code 4, which means: server unreachable"),
        (run("failed", "worker execution exit code -9", "agent"), "(failed: worker execution exit code -9)"),
        (run("failed", "", "agent"), "(failed). Its console"),
        (run("in_progress", "", "agent", last_update=LONG_AGO), f"nothing was heard of it since {LONG_AGO:%Y-%m-%d}"),
        (run("in_progress", "", last_update=None), "nothing was heard of it: its agent"),
        (run("queued"), f"still waits in its queue since {LONG_AGO:%Y-%m-%d}"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else value.status,
)
def test_it_is_named_with_its_reason_the_way_out_and_its_page(ended: Run, words: str) -> None:
    text = why(ended) or ""
    assert words in text
    assert text.startswith(f"run {'a' * 32}, which an agent was given before, ")
    assert text.endswith(". Its page in ClearML: https://clearml.example/a")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_what_an_earlier_try_of_this_job_enqueued_is_passed_over(status: str) -> None:
    """So a Job whose pod was evicted after it enqueued comes to the same result when it is tried again."""
    new = run(status, created=NOW - timedelta(minutes=9), name="b")
    assert why(new) is None
    assert "a" * 32 in (why(new, run("failed")) or "")
    assert "b" * 32 in (why(run("failed", created=NOW, name="b"), run("queued")) or ""), "it has ended"


def test_a_reason_that_somebody_wrote_is_short_and_on_one_line() -> None:
    found = not_done([run("failed", "x\n" * 5000, status_message="m" * 5000)], NOW, lambda _: "")
    assert found is not None
    assert len(found.text) < 700
    assert "\n" not in found.text + found.reason
    assert found.as_document()["link"] is None
