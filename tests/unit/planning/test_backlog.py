"""What a pass has selected and not finished: windows are added, tasks wait for what needs them, here or at the pass's end."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cleanup_job.planning.backlog import Backlog, Window
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.order import Unit
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.selection import Selected
from tests.unit.planning.one_task import task

EVERYTHING = 10_000


def ids(names: str) -> set[TaskId]:
    return {TaskId(name) for name in names}


def selected(name: str, parent: str = "") -> Selected:
    return Selected.of(task(TaskId(name), parent=parent))


def window(
    names: str,
    *,
    later: str = "",
    elsewhere: str = "",
    parents: Mapping[str, str] | None = None,
    ends: bool = False,
    **holds: str,
) -> Window:
    """A window of tasks with names of one letter; ``holds``: for each letter those that it needs."""
    return Window(
        tasks={TaskId(name): selected(name, (parents or {}).get(name, "")) for name in names},
        holds={TaskId(holder): ids(makers) for holder, makers in holds.items()},
        later=ids(later + elsewhere),
        elsewhere=ids(elsewhere),
        made={TaskId(name): frozenset({ModelId(f"model of {name}")}) for name in names},
        ends=ends,
    )


def held(one: Window, reason: Reason, *names: str) -> Window:
    """A window with tasks that are kept at once."""
    one.held |= {TaskId(name): Kept(one.tasks[TaskId(name)], reason, f"{name} is needed") for name in names}
    return one


class Doing:
    """A backlog with what was said of its tasks."""

    def __init__(self) -> None:
        self.deleted = DeletedSoFar()
        self.backlog = Backlog(self.deleted)
        self.kept: dict[str, Reason] = {}
        self.details: dict[str, str] = {}

    def add(self, one: Window) -> None:
        self._note(self.backlog.add(one))

    def take(self) -> list[str]:
        """The units that are ready."""
        return ["".join(unit) for unit in self.backlog.order.take(EVERYTHING, EVERYTHING)]

    def delete(self, *units: str) -> None:
        for unit in units:
            self.deleted.add(ids(unit))
            self.backlog.finished(_unit(unit))

    def keep(self, unit: str) -> None:
        self._note(self.backlog.kept(_unit(unit)))

    def _note(self, kept: Any) -> None:
        for one in kept:
            assert one.task.id not in self.kept, "a task is kept once"
            self.kept[one.task.id] = one.reason
            self.details[one.task.id] = one.detail


def _unit(names: str) -> Unit:
    return tuple(sorted(ids(names)))


@pytest.fixture
def doing() -> Doing:
    return Doing()


def is_empty(doing: Doing) -> bool:
    """Whether nothing is remembered of any task."""
    backlog = doing.backlog
    return not (backlog.tasks or backlog.made or backlog.deferred or len(backlog) or backlog.order._unit_of)


# -- one window
def test_a_consumer_comes_first_and_all_is_forgotten_once_it_is_deleted(doing: Doing) -> None:
    doing.add(window("mu", u="m"))
    assert doing.backlog.made[TaskId("m")] == {"model of m"}
    assert doing.take() == ["u"]
    assert len(doing.backlog) == 1
    doing.delete("u")
    assert doing.take() == ["m"]
    doing.delete("m")
    assert is_empty(doing)


def test_a_consumer_that_is_kept_keeps_what_it_needs_and_all_is_forgotten(doing: Doing) -> None:
    doing.add(window("fmu", u="m", m="f"))
    doing.take()
    doing.keep("u")
    assert doing.kept == {"m": Reason.IN_USE, "f": Reason.IN_USE}
    assert "task u" in doing.details["m"]
    assert "task m" in doing.details["f"]
    assert is_empty(doing)


def test_a_step_is_kept_with_its_controller(doing: Doing) -> None:
    doing.add(window("cs", parents={"s": "c"}, c="s"))
    doing.take()
    doing.keep("c")
    assert doing.kept == {"s": Reason.PIPELINE_STEP}


def test_what_the_server_says_of_a_task_keeps_it_with_its_unit_and_all_that_these_need(doing: Doing) -> None:
    doing.add(held(window("abmz", a="b", b="am"), Reason.DATASET_IN_USE, "a"))
    assert doing.kept == {"a": Reason.DATASET_IN_USE, "b": Reason.IN_USE, "m": Reason.IN_USE}
    assert doing.take() == ["z"]
    doing.delete("z")
    assert is_empty(doing)


@pytest.mark.parametrize("first", ["vw", "wv"])
def test_of_several_that_are_kept_for_themselves_each_has_its_own_reason(doing: Doing, first: str) -> None:
    doing.add(held(window("vw", v="w"), Reason.DATASET_IN_USE, *first))
    assert doing.kept == {"v": Reason.DATASET_IN_USE, "w": Reason.DATASET_IN_USE}
    assert is_empty(doing)


def test_of_a_unit_in_which_two_are_kept_for_themselves_each_has_its_own_reason(doing: Doing) -> None:
    doing.add(held(window("vw", v="w", w="v"), Reason.DATASET_IN_USE, "v", "w"))
    assert doing.kept == {"v": Reason.DATASET_IN_USE, "w": Reason.DATASET_IN_USE}
    assert is_empty(doing)


# -- a consumer of an earlier window
def test_it_waits_for_a_consumer_that_is_being_worked_on(doing: Doing) -> None:
    doing.add(window("u"))
    assert doing.take() == ["u"]
    doing.add(window("m", u="m"))
    assert doing.take() == []
    doing.delete("u")
    assert doing.take() == ["m"]


def test_it_need_not_wait_for_a_consumer_that_was_deleted_while_its_window_was_read(doing: Doing) -> None:
    doing.add(window("u"))
    doing.take()
    doing.delete("u")
    doing.add(window("m", u="m"))
    assert doing.take() == ["m"]
    assert doing.kept == {}


def test_nor_for_one_that_was_deleted_one_window_earlier(doing: Doing) -> None:
    doing.add(window("u"))
    doing.take()
    doing.delete("u")
    doing.add(window(""))
    doing.add(window("m", u="m"))
    assert doing.take() == []


def test_it_is_kept_with_all_that_it_needs_if_its_consumer_was_kept(doing: Doing) -> None:
    doing.add(window("u"))
    doing.take()
    doing.keep("u")
    doing.add(window("abm", u="ab", a="b", b="m"))
    assert doing.kept == {"a": Reason.IN_USE, "b": Reason.IN_USE, "m": Reason.IN_USE}
    assert is_empty(doing)


def test_it_is_kept_if_its_consumer_never_came(doing: Doing) -> None:
    doing.add(window("m", u="m"))
    assert doing.kept == {"m": Reason.IN_USE}


def test_a_step_is_kept_with_a_controller_of_an_earlier_window_whoever_else_needs_it(doing: Doing) -> None:
    doing.add(window("cu"))
    doing.take()
    doing.keep("c")
    doing.keep("u")
    doing.add(window("s", parents={"s": "c"}, c="s", u="s"))
    assert doing.kept == {"s": Reason.PIPELINE_STEP}


# -- a consumer that comes later
def test_it_is_deferred_with_all_that_it_needs_and_only_the_ids_are_remembered(doing: Doing) -> None:
    doing.add(window("fmz", later="u", u="m", m="f"))
    assert doing.take() == ["z"]
    doing.delete("z")
    assert doing.backlog.deferred == ids("fm")
    assert len(doing.backlog) == 2
    assert not doing.backlog.tasks
    assert not doing.backlog.made
    assert doing.kept == {}


def test_what_a_deferred_one_needs_is_deferred_too_in_a_later_window(doing: Doing) -> None:
    doing.add(window("a", later="b", b="a"))
    doing.add(window("b", a="b"))
    assert doing.backlog.deferred == ids("ab")
    assert doing.take() == []


def test_a_circle_across_windows_is_one_unit_at_the_end(doing: Doing) -> None:
    doing.add(window("a", later="b", b="a"))
    doing.add(window("b", a="b"))
    doing.add(window("ab", a="b", b="a", ends=True))
    assert doing.backlog.deferred == set()
    assert doing.take() == ["ab"]


def test_at_the_end_it_is_deleted_if_its_consumer_was_and_kept_otherwise(doing: Doing) -> None:
    doing.add(window("mn", later="uv", u="m", v="n"))
    doing.add(window("uv"))
    doing.take()
    doing.delete("u")
    doing.keep("v")
    doing.add(window("mn", v="n", ends=True))
    assert doing.kept == {"n": Reason.IN_USE}
    assert doing.take() == ["m"]


def test_one_that_is_deferred_is_kept_for_itself_at_the_end(doing: Doing) -> None:
    doing.add(held(window("m", later="u", u="m"), Reason.DATASET_IN_USE, "m"))
    assert doing.kept == {}
    doing.add(held(window("m", ends=True), Reason.DATASET_IN_USE, "m"))
    assert doing.kept == {"m": Reason.DATASET_IN_USE}


def test_one_that_comes_again_before_the_end_is_no_longer_deferred(doing: Doing) -> None:
    doing.add(window("s", later="u", u="s"))
    doing.add(window("s"))
    assert doing.backlog.deferred == set()
    assert doing.take() == ["s"]


# -- other pods
def test_it_is_kept_at_the_end_if_a_consumer_of_another_pod_is_still_there(doing: Doing) -> None:
    doing.add(window("m", elsewhere="u", u="m"))
    assert doing.backlog.deferred == ids("m")
    last = window("m", elsewhere="u", u="m", ends=True)
    last.later.clear()
    doing.add(last)
    assert doing.kept == {"m": Reason.IN_USE}
    assert "another pod" in doing.details["m"]
    assert "the next pass looks again" in doing.details["m"]


def test_it_is_deleted_at_the_end_if_another_pod_deleted_its_consumer(doing: Doing) -> None:
    doing.add(window("m", elsewhere="u", u="m"))
    doing.add(window("m", ends=True))
    assert doing.take() == ["m"]


# -- bounds
@pytest.mark.parametrize("windows", [3, 30])
def test_what_is_remembered_does_not_grow_with_the_windows(doing: Doing, windows: int) -> None:
    for number in range(windows):
        names: Sequence[str] = [f"{letter}{number}" for letter in "xyz"]
        one = Window({TaskId(name): selected(name) for name in names}, holds={TaskId(names[0]): {TaskId(names[1])}})
        doing.add(one)
        for unit in doing.backlog.order.take(EVERYTHING, EVERYTHING):
            doing.deleted.add(unit)
            doing.backlog.finished(unit)
        for unit in doing.backlog.order.take(EVERYTHING, EVERYTHING):
            doing.backlog.finished(unit)
    assert is_empty(doing)
    assert len(doing.deleted._recent) + len(doing.deleted._older) <= 6
