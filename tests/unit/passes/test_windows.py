"""Windows are read newest first; what the server says of their tasks is looked up for all of them together."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.passes import windows
from cleanup_job.passes.windows import Windows
from cleanup_job.planning.backlog import Window
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Model, Task, Unreadable
from cleanup_job.planning.selection import OwnTasks, Rules
from cleanup_job.planning.sharding import ALONE, Share
from cleanup_job.settings.filters import RelatedSettings
from cleanup_job.transport.splitting import Splitting
from tests.unit.planning.one_task import KEEP_X, NOW, RULES

PIPELINES = "pipelines"
WITH_STEPS = replace(RULES, include_pipeline_steps=True, pipeline_projects=frozenset({PIPELINES}))
DAY = datetime(2026, 8, 1, tzinfo=UTC)


def one(name: str, day: int | None, *tags: str, **fields: Any) -> Task:
    """An archived task, active so many days after another one."""
    since = None if day is None else DAY + timedelta(days=day)
    fields = {"status_changed": DAY, "last_change": DAY, **fields}
    return Task(TaskId(name), name, "completed", last_update=since, system_tags=("archived", *tags), **fields)


@dataclass
class Server:
    """A server with these archived tasks, in this order, and these others; remembers how far it was read."""

    listed: Sequence[Task | Unreadable] = ()
    others: Sequence[Task] = ()
    used: dict[str, set[str]] = field(default_factory=dict)
    """For a model, which has the name of its maker, its users."""
    versions: dict[str, set[str]] = field(default_factory=dict)
    """For a dataset version its ancestors."""
    read: int = 0
    asked: list[tuple[str, ...]] = field(default_factory=list)
    """The ids of each bulk call for models."""

    def archived_tasks(self, _: object, share: Share) -> Iterator[Task | Unreadable]:
        for record in self.listed:
            self.read += 1
            if isinstance(record, Unreadable) or share.owns(record.last_update):
                yield record

    def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, Task | Unreadable]:
        wanted = set(ids)
        return {task.id: task for task in [*self.listed, *self.others] if task.id in wanted}

    def children(self, ids: Iterable[TaskId]) -> Iterator[Task | Unreadable]:
        wanted = set(ids)
        yield from (task for task in [*self.listed, *self.others] if isinstance(task, Task) and task.parent in wanted)

    def models_of(self, tasks: Sequence[TaskId]) -> dict[TaskId, list[Model]]:
        self.asked.append(tuple(tasks))
        return {task: [Model(ModelId(task), "", task)] for task in tasks}

    def users_of(self, models: Iterable[ModelId]) -> dict[ModelId, frozenset[TaskId]]:
        return {model: frozenset(map(TaskId, self.used.get(model, ()))) for model in models}

    def all_models(self) -> Iterator[Model]:
        yield from ()

    def dataset_ancestors(self) -> Iterator[tuple[TaskId, frozenset[TaskId]]]:
        yield from ((TaskId(version), frozenset(map(TaskId, some))) for version, some in self.versions.items())


class Claims:
    """No claims; remembers how often they were read."""

    model_tags = frozenset({"known"})

    def __init__(self) -> None:
        self.read_times = 0

    def read(self) -> None:
        self.read_times += 1

    def consumers_of(self, _: TaskId, __: object) -> frozenset[TaskId]:
        return frozenset()


def reader(
    server: Server,
    rules: Rules = RULES,
    *,
    claims: Claims | None = None,
    share: Share = ALONE,
    stopped: Callable[[], bool] = lambda: False,
    in_work: Collection[TaskId] = (),
    **related: Any,
) -> Windows:
    split = Splitting[Any](server, server, lambda: None)
    settings = RelatedSettings(**related)
    return Windows(
        server, rules, claims or Claims(), split=split, related=settings, share=share, stopped=stopped, in_work=in_work
    )


def names(window: Window) -> str:
    return "".join(window.tasks)


def all_of(found: Windows) -> list[Window]:
    """All windows of the listing."""
    read = [found.next()]
    while not read[-1].ends:
        read.append(found.next())
    return read


def held(window: Window) -> dict[str, str]:
    return {holder: "".join(sorted(makers)) for holder, makers in window.holds.items() if makers}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def set_sizes(first: int, most: int) -> None:
        monkeypatch.setattr(windows, "FIRST", first)
        monkeypatch.setattr(windows, "WINDOW", most)

    return set_sizes


Sizes = Callable[[int, int], None]


# -- how much is read
def test_windows_grow_from_the_first_to_the_largest(sizes: Sizes) -> None:
    sizes(1, 4)
    server = Server([one(name, 30 - n) for n, name in enumerate("abcdefghijklm")])
    assert [names(window) for window in all_of(reader(server))] == ["a", "bc", "defg", "hijk", "lm"]


def test_a_first_window_is_no_larger_than_the_largest(sizes: Sizes) -> None:
    sizes(5, 2)
    assert [names(window) for window in all_of(reader(Server([one(name, 1) for name in "abc"])))] == ["ab", "c"]


def test_no_more_is_read_than_a_window_needs(sizes: Sizes) -> None:
    sizes(2, 2)
    server = Server([one(name, 9) for name in "abcdefgh"])
    found = reader(server)
    assert server.read == 0
    found.next()
    assert server.read == 2


def test_what_a_window_made_is_asked_for_in_one_call(sizes: Sizes) -> None:
    sizes(3, 3)
    server = Server([one(name, 9) for name in "abcdef"])
    all_of(reader(server))
    assert [call for call in server.asked if call] == [("a", "b", "c"), ("d", "e", "f")]


def test_a_window_of_kept_tasks_is_not_larger_either(sizes: Sizes) -> None:
    sizes(2, 2)
    kept = [one(name, 9, tags=("x",)) for name in "abc"]
    found = all_of(reader(Server([*kept, one("d", 8)]), replace(RULES, keep=(KEEP_X,))))
    assert [[kept.task.id for kept in window.kept] for window in found] == [["a", "b"], ["c"]]
    assert names(found[-1]) == "d"


def test_the_listing_ends_when_the_pass_has_to(sizes: Sizes) -> None:
    sizes(1, 1)
    stop: list[bool] = []
    server = Server([one(name, 9) for name in "abcdef"])
    found = reader(server, stopped=lambda: bool(stop))
    assert names(found.next()) == "a"
    stop.append(True)
    assert names(found.next()) == ""
    assert server.read == 2


def test_claims_are_read_once_and_only_if_there_is_something_to_delete(sizes: Sizes) -> None:
    sizes(1, 1)
    claims = Claims()
    all_of(reader(Server([one("a", 9, tags=("x",))]), replace(RULES, keep=(KEEP_X,)), claims=claims))
    assert claims.read_times == 0
    all_of(reader(Server([one(name, 9) for name in "abc"]), claims=claims))
    assert claims.read_times == 1


@pytest.mark.parametrize("listed", [[], [one("a", 9)]])
def test_a_tag_of_models_to_keep_that_no_model_has_is_an_error(listed: list[Task]) -> None:
    with pytest.raises(SettingsError, match="no model has the tag 'typo'"):
        reader(Server(listed), keep_model_tags=("typo",)).next()


def test_a_record_that_can_not_be_read_is_told_once(sizes: Sizes) -> None:
    sizes(1, 1)
    server = Server([Unreadable(TaskId("a"), "tags"), one("b", 9), Unreadable(TaskId("a"), "tags")])
    found = all_of(reader(server))
    assert [kept.task.id for window in found for kept in window.kept] == ["a"]
    assert "".join(map(names, found)) == "b"


@pytest.mark.parametrize("first", [1, 2, 500])
def test_counting_gives_the_tasks_of_all_windows(sizes: Sizes, first: int) -> None:
    sizes(first, first)
    young = one("y", 9, status_changed=NOW)
    listed = [one("a", 9), young, one("b", 9, tags=("x",)), one("c", 8, public=True), one("d", None)]
    server = Server(listed)
    assert sum(map(len, reader(server, replace(RULES, keep=(KEEP_X,))).to_delete())) == 2
    assert not server.asked


@pytest.mark.parametrize("first", [1, 2, 500])
@pytest.mark.parametrize("day", [3, 9])
def test_counting_gives_steps_once_wherever_the_listing_has_them(sizes: Sizes, first: int, day: int) -> None:
    sizes(first, first)
    steps = [one("s", day, "hidden", parent="c", project=PIPELINES), one("t", day, "hidden", parent="c", project=PIPELINES)]
    listed = sorted([one("c", 6, "pipeline", project=PIPELINES), *steps], key=lambda task: task.last_update, reverse=True)
    living = one("l", 20, "hidden", parent="c", project=PIPELINES)
    server = Server(listed, [replace(living, system_tags=("hidden",))])
    assert sum(map(len, reader(server, WITH_STEPS).to_delete())) == 4


# -- who comes when
def test_a_consumer_that_the_listing_still_comes_to_is_later_and_one_that_it_has_passed_is_not(sizes: Sizes) -> None:
    sizes(1, 1)
    listed = [one("u", 9), one("m", 6), one("v", 3)]
    found = all_of(reader(Server(listed, used={"m": {"u", "v"}})))
    assert held(found[1]) == {"u": "m", "v": "m"}
    assert found[1].later == {"v"}
    assert not any(window.elsewhere for window in found)


def test_one_of_the_same_moment_may_still_come(sizes: Sizes) -> None:
    sizes(1, 1)
    found = all_of(reader(Server([one("u", 6), one("m", 6), one("v", 6)], used={"m": {"u", "v"}})))
    assert found[1].later == {"u", "v"}


def test_one_without_a_time_comes_last_and_after_that_nothing_is_known(sizes: Sizes) -> None:
    sizes(1, 1)
    found = all_of(reader(Server([one("m", 6), one("u", None), one("n", None), one("v", 1)], used={"m": {"u"}, "n": {"v"}})))
    assert found[0].later == {"u"}
    assert found[2].later == {"v"}


def test_in_the_last_window_nothing_comes_later() -> None:
    found = all_of(reader(Server([one("m", 6), one("u", 3)], used={"m": {"u", "gone", "young"}})))
    assert len(found) == 1
    assert found[0].later == set()
    assert held(found[0]) == {"u": "m"}


def test_a_consumer_that_may_not_be_deleted_holds_nothing() -> None:
    server = Server([one("m", 6)], [one("young", 3, status_changed=NOW)], used={"m": {"young"}})
    assert held(reader(server).next()) == {}


@pytest.mark.parametrize("first", [1, 500])
def test_a_version_without_which_one_that_is_kept_can_not_be_read_is_held(sizes: Sizes, first: int) -> None:
    sizes(first, first)
    server = Server([one("v", 6, "dataset")], [one("w", 9, "dataset", status_changed=NOW)], versions={"w": {"v", "w"}})
    window = reader(server).next()
    assert {task: kept.reason for task, kept in window.held.items()} == {"v": Reason.DATASET_IN_USE}


@pytest.mark.parametrize("kind", ["version", "user"])
def test_one_that_is_being_deleted_may_be_however_it_looks_and_however_soon_it_is_gone(kind: str) -> None:
    """The pass takes models of others out of a record before it deletes it: a draft looks young then."""
    in_work = {TaskId("w")}

    class Deleting(Server):
        def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, Task | Unreadable]:
            in_work.clear()
            return super().tasks(ids)

    edited = one("w", 9, "dataset", status_changed=NOW)
    needs = {"versions": {"w": {"v"}}} if kind == "version" else {"used": {"v": {"w"}}}
    window = reader(Deleting([one("v", 6, "dataset")], [edited], **needs), in_work=in_work).next()
    assert held(window) == {"w": "v"}
    assert not window.held


# -- pods
def test_a_consumer_in_another_pods_slice_is_later_and_elsewhere() -> None:
    listed = [one("u", 7), one("m", 6)]
    share = next(Share(shard, 2) for shard in (0, 1) if Share(shard, 2).owns(listed[1].last_update))
    server = Server(listed, used={"m": {"u"}})
    found = reader(server, share=share)
    window = found.next()
    assert names(window) == "m"
    assert window.ends
    assert (window.later, window.elsewhere) == ({"u"}, {"u"})
    last = found.again(["m"])
    assert (last.later, last.elsewhere) == (set(), {"u"})
    assert held(last) == {"u": "m"}


# -- steps
@pytest.mark.parametrize("day", [3, 6, 9, None])
def test_an_archived_step_that_its_controller_brings_along_comes_once(sizes: Sizes, day: int | None) -> None:
    sizes(1, 1)
    step = one("s", day, "hidden", parent="c", project=PIPELINES)
    controller = one("c", 6, "pipeline", project=PIPELINES)
    listed = [step, controller] if day in {6, 9} else [controller, one("x", 4), step]
    found = all_of(reader(Server(listed), WITH_STEPS))
    with_step = [window for window in found if "s" in names(window)]
    if day == 3 or day is None:
        assert [names(window) for window in with_step] == ["cs"]
    assert with_step[-1].tasks[TaskId("s")].is_step
    assert "s" in held(with_step[-1])


def test_what_was_brought_along_is_forgotten_once_the_listing_is_past_it(sizes: Sizes) -> None:
    sizes(1, 1)
    steps = [one(f"s{day}", day, "hidden", parent="c", project=PIPELINES) for day in (9, 8, 5)]
    found = reader(Server([*steps[:2], one("c", 6, "pipeline", project=PIPELINES), steps[2], one("x", 4)]), WITH_STEPS)
    for _ in range(3):
        found.next()
    assert found._ahead.keys() == {"s5"}
    found.next()
    assert not found._ahead


def test_a_step_waits_for_a_controller_that_comes_later(sizes: Sizes) -> None:
    sizes(1, 1)
    rules = replace(RULES, pipeline_projects=frozenset({PIPELINES}))
    listed = [one("s", 9, parent="c", project=PIPELINES), one("c", 6, "pipeline", project=PIPELINES)]
    found = all_of(reader(Server(listed), rules))
    assert found[0].later == {"c"}
    assert held(found[0]) == {"c": "s"}


@pytest.mark.parametrize("in_work", [(), ("c",)])
def test_a_step_whose_controller_may_not_be_deleted_is_kept_unless_that_is_being_deleted(in_work: Collection[str]) -> None:
    rules = replace(RULES, pipeline_projects=frozenset({PIPELINES}))
    controller = one("c", 6, "pipeline", project=PIPELINES, status_changed=NOW)
    server = Server([one("s", 5, parent="c", project=PIPELINES)], [controller])
    window = reader(server, rules, in_work=[TaskId(name) for name in in_work]).next()
    assert {task: kept.reason for task, kept in window.held.items()} == ({} if in_work else {"s": Reason.PIPELINE_STEP})
    assert held(window) == ({"c": "s"} if in_work else {})


# -- deferred tasks
def test_deferred_tasks_are_read_by_their_ids_and_judged_again() -> None:
    restored = replace(one("r", 5), system_tags=())
    server = Server([one("u", 4)], [one("m", 6), one("n", 6), restored], used={"m": {"u"}})
    window = reader(server).again([TaskId(name) for name in ("m", "n", "r", "gone")])
    assert names(window) == "mn"
    assert window.again == {"m", "n", "r", "gone"}
    assert held(window) == {"u": "m"}
    assert window.later == set()
    assert {kept.task.id: (kept.reason, kept.absent) for kept in window.kept} == {
        "gone": (Reason.CHANGED, True),
        "r": (Reason.CHANGED, False),
    }


def test_deferred_tasks_come_in_windows_too(sizes: Sizes) -> None:
    sizes(1, 2)
    assert reader(Server()).of([TaskId(name) for name in "edcba"]) == [["a", "b"], ["c", "d"], ["e"]]


# -- the job's own runs
def test_the_jobs_own_runs_come_first_and_once() -> None:
    run = one("r", 9, parent="draft", tags=("cleanup-run",))
    server = Server([one("a", 10), run])
    found = reader(server, replace(RULES, own=OwnTasks(runs_of="draft")))
    assert names(found.next()) == "ra"
