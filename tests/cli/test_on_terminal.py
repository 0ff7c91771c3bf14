"""`run` as people meet it on a terminal: what it shows first, what it asks, and how it is stopped."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from threading import enumerate as threads

import pytest

from cleanup_job.cli import approval
from cleanup_job.job import pod
from cleanup_job.passes import stop
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.cli.terminals import Terminal, terminal
from tests.harness import state

DELETING = {"tasks.delete_many", "/delete_many"}
RUN = ("run", "--force-delete")


def deletions(sandbox: Sandbox) -> list[Request]:
    return [request for request in sandbox.requests if request.call in DELETING and request.body != {"files": []}]


def told(screen: Terminal) -> str:
    return " ".join(screen.text.split())


# -- the question
def test_a_pass_shows_where_as_whom_and_what_before_it_asks(filled: Sandbox) -> None:
    with terminal("n\n") as screen:
        assert screen.run(*RUN) == 0
        text = told(screen)
    assert f"Plan for {filled.api_url}: tasks in any status with the key of Default User (__tests__)" in text
    assert "last active before 20" in text
    assert re.search(r"Delete 4 tasks, 0 models, 12 files \(.*\) on http://127.0.0.1:\d+ \? \[y/N\]", text)
    assert text.index("Plan for") < text.index("exp 0") < text.index("Delete 4 tasks")


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "j\n"])
def test_anything_but_yes_deletes_nothing(filled: Sandbox, answer: str) -> None:
    before = state(filled)
    with terminal(answer) as screen:
        assert screen.run(*RUN) == 0
        assert "Nothing was deleted." in screen.text
    assert state(filled) == before
    assert not deletions(filled)


def test_ctrl_c_at_the_question_means_no(filled: Sandbox) -> None:
    def interrupts() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return ""

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
    try:
        with terminal(interrupts) as screen:
            assert screen.run(*RUN) == 0
            assert "Nothing was deleted." in screen.text
    finally:
        signal.signal(signal.SIGINT, before)
    assert not deletions(filled)


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_yes_deletes_what_was_shown(filled: Sandbox, answer: str) -> None:
    with terminal(answer) as screen:
        assert screen.run(*RUN) == 0
        text = told(screen)
    assert "Deleted 4 tasks" in text
    assert text.count("Plan for") == 1
    assert "Pass on" not in text
    assert {task["name"] for task in filled.store.tasks.values()} == {"living", "kept"}


def test_what_comes_or_changes_after_the_plan_is_kept(filled: Sandbox, world: World) -> None:
    by_name = {str(task["name"]): str(task["id"]) for task in filled.store.tasks.values()}

    def someone_else() -> str:
        filled.store.tasks.change(by_name["exp 1"], tags=["look at this"])
        filled.store.tasks.change(by_name["living"], system_tags=["archived"])
        return "y\n"

    with terminal(someone_else) as screen:
        assert screen.run(*RUN) == 0
        text = told(screen)
    left = {task["name"] for task in filled.store.tasks.values()}
    assert "living" in left, "it was archived after the plan"
    assert "exp 1" in left, "it was changed"
    assert "exp 1" in text
    assert "exp 0" not in left
    assert "Deleted" in text


def test_without_anything_to_delete_nobody_is_asked(filled: Sandbox) -> None:
    with terminal("y\n") as screen:
        assert screen.run("run") == 0
        text = told(screen)
    assert "[y/N]" not in text
    assert "5 archived tasks past the threshold are not drafts: set CLEANUP_FORCE_DELETE=true" in text
    assert text.endswith("s)")
    assert "Exit code 0" in text


def test_a_refusal_is_said_instead_of_the_question(filled: Sandbox) -> None:
    with terminal("y\n") as screen:
        assert screen.run(*RUN, "--refuse-above", "2") == 2
        text = told(screen)
    assert "CLEANUP_REFUSE_ABOVE=2" in text
    assert "[y/N]" not in text
    assert not deletions(filled)


def test_with_yes_nobody_is_asked_and_it_is_said(filled: Sandbox) -> None:
    with terminal("n\n") as screen:
        assert screen.run(*RUN, "--yes") == 0
        text = told(screen)
    assert "without a question --yes" in text
    assert "[y/N]" not in text
    assert "Deleted 4 tasks" in text


def test_a_plan_leaves_no_report_and_the_pass_does(filled: Sandbox, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    there: list[bool] = []

    def looks() -> str:
        there.append(report.exists())
        return "y\n"

    with terminal(looks) as screen:
        assert screen.run(*RUN, "--report", str(report)) == 0
    assert there == [False]
    assert json.loads(report.read_text())["summary"]["deleted"] == 4


@pytest.mark.parametrize("variable", ["KUBERNETES_SERVICE_HOST", "CLEANUP_LOG_FORMAT"])
def test_nobody_is_asked_in_a_cluster_or_by_programs(filled: Sandbox, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "json" if variable.startswith("CLEANUP") else "10.0.0.1")
    with terminal("n\n") as screen:
        assert screen.run(*RUN) == 0
        assert "[y/N]" not in screen.text
    assert deletions(filled)


# -- lists
def test_a_dry_run_lists_the_largest_and_all_on_demand(filled: Sandbox) -> None:
    ids = {str(task["id"]) for task in filled.store.tasks.values() if str(task["name"]).startswith("exp")}
    with terminal() as screen:
        assert screen.run(*RUN, "--dry-run") == 0
        assert ids <= set(screen.text.split())
        assert "4 tasks to delete:" in screen.text
    with terminal() as screen:
        assert screen.run(*RUN, "--dry-run", "--list") == 0
        rows = [line for line in screen.lines if line[:32] in ids]
    assert {line[:32] for line in rows} == ids
    assert all("3 files" in line and re.search(r"\d{4}-\d\d-\d\d", line) for line in rows)


def test_every_line_fits_80_columns_and_the_last_one_is_the_exit_code(filled: Sandbox) -> None:
    with terminal() as screen:
        assert screen.run(*RUN, "--dry-run") == 0
        lines = [line for line in screen.lines if line]
    assert not [line for line in lines if len(line) > 80 and "CLEANUP_" not in line and "/experiments/" not in line]
    assert lines[0].startswith(f"Dry run on {filled.api_url}: tasks in any status")
    assert lines[-1].startswith("Exit code 0: done")
    assert lines[-2].startswith("Dry run: would delete 4 tasks") or lines[-3].startswith("Dry run: would delete 4 tasks")


def test_a_failure_leaves_no_progress_line(filled: Sandbox) -> None:
    filled.fault = lambda request: Fault(status=500) if request.call == "tasks.get_all" else None
    with terminal() as screen:
        assert screen.run(*RUN, "--yes", "--attempts", "1") == 4
        assert not [line for line in screen.lines if "looking for tasks" in line]


# -- Ctrl-C
@pytest.fixture
def hang(filled: Sandbox) -> Iterator[Event]:
    """Ends what hangs on the server."""
    ended = Event()
    yield ended
    ended.set()
    for thread in threads():
        if thread.name.startswith(("batch", "window")):
            thread.join(30)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def presses_twice(screen: Terminal, hang: Event, which: Callable[[Request], bool]) -> Callable[[Request], None]:
    """Someone who presses Ctrl-C twice at the first request of a kind, which then hangs."""
    pressed = Event()

    def fault(request: Request) -> None:
        if which(request) and not pressed.is_set():
            pressed.set()
            press()
            screen.waits_for("Press Ctrl-C again to stop now.")
            press()
            hang.wait(60)

    return fault


def test_ctrl_c_answers_at_once_and_drops_what_was_only_planned(filled: Sandbox) -> None:
    with terminal() as screen:

        def slow(request: Request) -> None:
            if request.call == "/delete_many" and request.body["files"] and not pressed.is_set():
                pressed.set()
                press()
                screen.waits_for("Press Ctrl-C again to stop now.")

        pressed = Event()
        filled.fault = slow
        assert screen.run(*RUN, "--yes", "--batch-size", "4", "--workers", "1") == 130
        text = told(screen)
    assert "Stopping after the batch in progress (4 tasks). Press Ctrl-C again to stop now." in text
    assert "Deleted 4 tasks" in text, "what was being deleted was deleted to its end"


def test_a_chunk_that_is_planned_but_not_begun_is_dropped(filled: Sandbox) -> None:
    with terminal() as screen:

        def slow(request: Request) -> None:
            plans = any(sent.call.startswith("events.") for sent in filled.requests)
            if request.call == "models.get_all" and plans and not pressed.is_set():
                pressed.set()
                press()
                screen.waits_for("Press Ctrl-C again to stop now.")

        pressed = Event()
        filled.fault = slow
        assert screen.run(*RUN, "--yes") == 130
        text = told(screen)
    assert pressed.is_set()
    assert "Stopping. Press Ctrl-C again to stop now." in text
    assert "5 tasks are left for the next pass: the pass was stopped by SIGINT" in text
    assert not deletions(filled)


def test_a_second_ctrl_c_ends_it_with_a_report_and_nothing_is_deleted_after_it(
    filled: Sandbox, hang: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(approval, "_leave", left.append)
    monkeypatch.setattr(stop, "PATIENCE", 0.2)
    with terminal() as screen:
        filled.fault = presses_twice(
            screen, hang, lambda request: request.call == "/delete_many" and bool(request.body["files"])
        )
        assert screen.run(*RUN, "--yes", "--batch-size", "2", "--workers", "1") == 130
        text = told(screen)
    assert "Stopping now: nothing more is sent that deletes." in text
    assert "Deleted 0 tasks" in text
    assert "2 tasks are counted as left although a request to delete something of them was on its way" in text
    assert "5 tasks are left for the next pass: the pass was stopped by SIGINT" in text
    assert left == [130], "the process ends without waiting for what hangs"
    sent = len(deletions(filled))
    hang.set()
    for thread in threads():
        if thread.name.startswith("batch"):
            thread.join(30)
    assert len(deletions(filled)) == sent
    assert {"exp 0", "exp 1", "exp 2", "exp 3"} <= {task["name"] for task in filled.store.tasks.values()}


def test_a_second_ctrl_c_ends_a_pass_that_hangs_in_reading(
    filled: Sandbox, hang: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []

    def leave(code: int) -> None:
        left.append(code)
        hang.set()

    monkeypatch.setattr(approval, "_leave", leave)
    monkeypatch.setattr(stop, "PATIENCE", 0.0)
    monkeypatch.setattr(pod, "PATIENCE", 0.0)
    with terminal() as screen:
        filled.fault = presses_twice(screen, hang, lambda request: request.call == "projects.get_all")
        screen.run(*RUN, "--yes")
        text = told(screen)
    assert left[0] == 130
    assert "More tasks may be left for the next pass: the pass was stopped by SIGINT" in text
    assert not deletions(filled)
