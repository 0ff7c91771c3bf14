"""A document in another shape than the API promises never widens a plan, never ends a pass, and concerns one task alone."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleanup_job.errors import AnswerError
from cleanup_job.planning.outcome import Reason
from clearml_sandbox.api.answer import ENDPOINTS, Call
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state
from tests.property.scenario import PUBLIC
from tests.property.worlds import worlds

relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
MISSING = object()
NO_TEXTS = (None, 7, True, {"a": 1}, ["x"], 10**400)
NO_LISTS = (None, "gold", 7, {}, [None], [7], [["x"]])
NO_OBJECTS = (None, "x", 7, [])
NO_TIMES = (None, 7, True, "yesterday", "", [], "2026-13-01T00:00:00+00:00", "0001-01-01T00:00:00+00:00")
TASKS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("id", "name", "status", "type", "user", "company"), (*NO_TEXTS, MISSING)),
    **dict.fromkeys(("project", "parent"), NO_TEXTS),
    **dict.fromkeys(("tags", "system_tags"), (*NO_LISTS, MISSING)),
    "created": (*NO_TIMES, MISSING),
    **dict.fromkeys(("status_changed", "last_update", "last_change"), NO_TIMES),
    "models": (*NO_OBJECTS, {"input": None, "output": None}, {"input": [None], "output": []}, {"input": [{"model": 7}], "output": [{}]}),  # noqa: E501
    "execution": (*NO_OBJECTS, {}, {"artifacts": None}, {"artifacts": [None]}, {"artifacts": [{"uri": 7}]}, {"artifacts": {}}),
    "metric_stats": (None, "x", 7),
}  # fmt: skip
MODELS: dict[str, tuple[Any, ...]] = {
    "id": (*NO_TEXTS, MISSING),
    "uri": (*NO_TEXTS, MISSING),
    "ready": (None, 0, 1, "true", [], MISSING),
    "task": NO_TEXTS,
    "tags": (*NO_LISTS, MISSING),
    "last_update": NO_TIMES,
}
READS = {"tasks": ("tasks.get_all", TASKS), "models": ("models.get_all", MODELS)}


@contextmanager
def broken(kind: str, wrong: str, field: str, value: Any, *, beside: bool = False) -> Iterator[None]:
    """Each answer has this document with this value in a field; or, beside it, a second one of the same id."""
    call, _ = READS[kind]
    since, handler = ENDPOINTS[call]

    def answer(request: Call) -> dict[str, Any]:
        data = copy.deepcopy(handler(request))
        for document in [one for one in data[kind] if one.get("id") == wrong]:
            changed = copy.deepcopy(document) if beside else document
            if value is MISSING:
                changed.pop(field, None)
            elif field in changed or field == "id":
                changed[field] = value
            if beside:
                data[kind].append(changed)
        return data

    ENDPOINTS[call] = (since, answer)
    try:
        yield
    finally:
        ENDPOINTS[call] = (since, handler)


def wrongs(kind: str) -> st.SearchStrategy[tuple[str, str, Any]]:
    _, fields = READS[kind]
    return st.sampled_from([(kind, field, value) for field, values in fields.items() for value in values])


@relaxed
@given(worlds(), st.one_of(wrongs("tasks"), wrongs("models")), st.integers(0, 50), st.booleans())
def test_a_broken_document_never_widens_what_is_deleted(
    sandbox: Sandbox, world: World, wrong: tuple[str, str, Any], number: int, beside: bool
) -> None:
    kind, field, value = wrong
    documents = world.as_dict()[kind]
    if not documents:
        return
    target = documents[number % len(documents)]["id"]
    sandbox.fault = None
    sandbox.load(world.as_dict())
    clean(sandbox, files_url_prefixes=(PUBLIC,))
    as_it_should = state(sandbox)
    sandbox.load(world.as_dict())
    with broken(kind, target, field, value, beside=beside and field != "id"), suppress(AnswerError):
        clean(sandbox, files_url_prefixes=(PUBLIC,))
    for left, must_be_left in zip(state(sandbox), as_it_should, strict=True):
        assert set(left) >= set(must_be_left)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [(kind, field, value) for kind, (_, fields) in READS.items() for field, values in fields.items() for value in values],
)
def test_the_trouble_of_one_document_is_its_own(sandbox: Sandbox, kind: str, field: str, value: Any) -> None:
    world = World(NOW)
    tasks = [world.task(f"exp {n}") for n in range(4)]
    models = []
    for task in tasks:
        task.artifact("data")
        task.debug_images(2)
        models.append(task.model("weights"))
    world.project("lab/empty")
    sandbox.load(world.as_dict())
    odd = tasks[1]
    with broken(kind, odd.id if kind == "tasks" else models[1].id, field, value):
        done = clean(sandbox)
    others = {task.id for task in tasks} - {odd.id}
    assert done.watcher.deleted - {odd.id} == others
    assert not done.watcher.failed
    left, _, files = state(sandbox)
    assert {path for path in files if odd.id in path} == ({p for p in world.stored if odd.id in p} if odd.id in left else set())
    if odd.id in left and (told := done.watcher.kept.get(odd.id)):
        assert told is Reason.UNREADABLE
