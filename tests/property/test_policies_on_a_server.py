"""Policies on random worlds of the embedded server: archiving deletes nothing, slimming removes only what it is for."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cleanup_job.planning.outcome import Reason, Verdict
from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, Done, clean, state
from tests.property.oracle import After, File
from tests.property.policy_oracle import PolicyOracle
from tests.property.scenario import PUBLIC, Scenario
from tests.property.worlds import worlds

few = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=10,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
KINDS = ("debug_samples", "plots", "artifacts", "checkpoints", "console")


def night(sandbox: Sandbox, folder: Path, policies: list[Document], **given_: Any) -> Done:
    """A pass with these policies."""
    file = folder / "policies.yaml"
    file.write_text(json.dumps({"policies": policies}))
    return clean(sandbox, policies=str(file), files_url_prefixes=(PUBLIC,), **given_)


def everything(sandbox: Sandbox) -> Document:
    store = sandbox.store
    return deepcopy(
        {
            "tasks": dict(store.tasks),
            "models": dict(store.models),
            "events": dict(store.events),
            "projects": dict(store.projects),
            "files": {path: store.files.get(path) for path in sandbox.state()["files"]},
        }
    )


def changed(before: Document, after: Document) -> dict[str, set[str]]:
    """For each task that is another one now, the fields in which it is."""
    pairs = {task: (one, after["tasks"][task]) for task, one in before["tasks"].items()}
    return {
        task: {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}
        for task, (one, two) in pairs.items()
        if one != two
    }


@few
@given(world=worlds(), days=st.sampled_from(["0d", "20d"]), notice=st.booleans())
def test_archiving_deletes_nothing(sandbox: Sandbox, tmp_path: Path, world: World, days: str, notice: bool) -> None:
    sandbox.load(world.as_dict())
    before = everything(sandbox)
    policy = {"name": "all", "archive": {"after": days}, **({"notice": "1h"} if notice else {})}
    done = night(sandbox, tmp_path, [policy])
    after = everything(sandbox)
    assert after.keys() == before.keys()
    assert {**after, "tasks": 0} == {**before, "tasks": 0}
    assert done.watcher.outcomes.keys() >= changed(before, after).keys()
    for task, fields in changed(before, after).items():
        assert fields <= {"tags", "system_tags", "status_reason", "status_message", "last_change", "last_changed_by"}
        assert set(after["tasks"][task]["tags"]) >= set(before["tasks"][task].get("tags", []))
        assert {"archived", "hidden"} & set(before["tasks"][task]["system_tags"]) <= set(after["tasks"][task]["system_tags"])
    assert bool(done.watcher.by_verdict(Verdict.ARCHIVED)) <= (not notice)


@few
@given(world=worlds(), remove=st.permutations(KINDS), count=st.integers(1, 5))
def test_slimming_leaves_the_rest_as_it_was(
    sandbox: Sandbox, tmp_path: Path, world: World, remove: list[str], count: int
) -> None:
    for task in world.tasks:
        task.scalar("loss", [1.0, 2.0])
    sandbox.load(world.as_dict())
    before = everything(sandbox)
    policy = {"name": "all", "slim": {"after": "20d", "remove": remove[:count], "also": "not_archived"}}
    done = night(sandbox, tmp_path, [policy])
    after = everything(sandbox)
    slimmed = done.watcher.by_verdict(Verdict.SLIMMED)
    assert after["tasks"].keys() == before["tasks"].keys()
    assert changed(before, after).keys() <= done.watcher.outcomes.keys()
    assert set(changed(before, after)) >= slimmed
    for fields in changed(before, after).values():
        assert fields <= {"tags", "execution", "models", "last_update", "last_change", "last_changed_by"}
    for task, document in before["tasks"].items():
        now = after["tasks"][task]
        assert document["last_metrics"] == now["last_metrics"]
        assert {**document["execution"], "artifacts": 0} == {**now["execution"], "artifacts": 0}
        scalars = [[e for e in one["events"].get(task, []) if e["type"] == "training_stats_scalar"] for one in (before, after)]
        assert scalars[0] == scalars[1] != []
    for path in set(before["files"]) - set(after["files"]):
        assert File("files", path).owner in slimmed
    assert after["files"].items() <= before["files"].items()


EQUAL: list[tuple[Document, list[Document]]] = [
    ({}, [{"name": "all", "delete": {"after": "30d"}}]),
    ({"delete_threshold_days": 45}, [{"name": "all", "delete": {"after": "45d"}}]),
    ({"archived_for_days": 7}, [{"name": "all", "delete": {"after": "30d", "archived_for": "7d"}}]),
    (
        {"statuses": ["failed", "created"]},
        [{"name": "some", "match": {"statuses": ["failed", "created"]}, "delete": {"after": "30d"}}],
    ),
    ({"projects": ["lab"]}, [{"name": "lab", "match": {"projects": ["lab"]}, "delete": {"after": "30d"}}]),
    (
        {"threshold_rules": ["lab/sub=never", "lab=10"]},
        [
            {"name": "sub", "match": {"projects": ["lab/sub"]}, "keep": "all"},
            {"name": "lab", "match": {"projects": ["lab"]}, "delete": {"after": "10d"}},
            {"name": "all", "delete": {"after": "30d"}},
        ],
    ),
    ({"keep_tags": ["gold"]}, [{"name": "all", "keep": {"tags": ["gold"]}, "delete": {"after": "30d"}}]),
]


@pytest.mark.parametrize(("today", "policies"), EQUAL, ids=[",".join(today) or "default" for today, _ in EQUAL])
@settings(few, max_examples=3)
@given(world=worlds())
def test_policies_that_are_equal_to_the_settings_of_today_do_the_same(
    sandbox: Sandbox, tmp_path: Path, world: World, today: Document, policies: list[Document]
) -> None:
    world.task("of sub", project="lab/sub", days_old=90, tags=["gold"])
    sandbox.load(world.as_dict())
    one = clean(sandbox, files_url_prefixes=(PUBLIC,), filters=today)
    left = state(sandbox)
    sandbox.load(world.as_dict())
    two = night(sandbox, tmp_path, policies)
    assert state(sandbox) == left
    assert became(one) == became(two)


def became(done: Done) -> Document:
    """What became of each task. What `keep: all` keeps has no stage that could come, and is not told of."""
    some = {task: one for task, one in done.watcher.outcomes.items() if one.reason is not Reason.KEEP_RULE}
    return {task: (one.verdict, one.reason, one.files, one.models, one.bytes) for task, one in some.items()}


# -- the oracle of the fuzz sees what is wrong
def wrong(world: World, sandbox: Sandbox, policy: Document, change: Any) -> list[str]:
    """What the oracle says of a change that somebody makes in place of a pass."""
    scenario = Scenario(world.as_dict(), policies={"policies": [{"name": "all", **policy}]})
    sandbox.load(world.as_dict())
    change(sandbox.store)
    files = frozenset(File("files", path) for path in sandbox.store.files.paths())
    return PolicyOracle(scenario).violations(After(dict(sandbox.store.tasks), dict(sandbox.store.models), files))


def test_the_oracle_misses_what_policies_must_not_change(sandbox: Sandbox) -> None:
    world = World(NOW, aliases=[PUBLIC])
    young = world.task("young", archived=False, days_old=5)
    young.artifact("data")
    path = next(iter(world.stored))
    archive, slim = {"archive": {"after": "14d"}}, {"slim": {"after": "14d", "remove": ["artifacts"], "also": "not_archived"}}

    def archived(store: Any) -> None:
        store.tasks.change(young.id, system_tags=["archived"], tags=["cleanup:archived=2026-11-01"])

    def lost(store: Any) -> None:
        store.files.remove(path)

    assert "another system_tags" in wrong(world, sandbox, archive, archived)[0]
    assert wrong(world, sandbox, {"archive": {"after": "4d"}}, archived) == []
    assert "is gone, and a surviving record names it" in wrong(world, sandbox, slim, lost)[0]
    early = {"slim": {**slim["slim"], "after": "4d"}}
    assert "still lists" in wrong(world, sandbox, early, lost)[0]
