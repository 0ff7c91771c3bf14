"""What `explain` says a pass would do with a task is what a whole pass does with it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import GONE, STAGED, Reason, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import clean
from tests.property.test_windows import few, options, worlds
from tests.read_only import Reading


def said(outcome: TaskOutcome | None) -> tuple[object, ...] | None:
    """What counts of an outcome; the words may differ. A task that a pass does not mention is one that it does not select."""
    if outcome is None or outcome.reason is Reason.NOT_SELECTED:
        return None
    return outcome.verdict, outcome.reason, outcome.models, outcome.files, outcome.bytes, outcome.kept_models


@settings(few, max_examples=12)
@given(worlds(), options, st.data())
def test_a_task_is_explained_by_what_a_whole_pass_does(
    sandbox: Sandbox, world: World, chosen: dict[str, Any], data: st.DataObject
) -> None:
    sandbox.load(world.as_dict())
    whole = clean(sandbox, dry_run=True, **chosen).watcher.outcomes
    asked = data.draw(st.lists(st.sampled_from([task.id for task in world.tasks]), min_size=1, max_size=2, unique=True))
    for one in Reading.of(sandbox, **chosen).explain(*asked):
        assert said(one.outcome) == said(whole.get(TaskId(one.id))), one.outcome
        if one.outcome is not None and one.outcome.verdict in GONE:
            kept = [model for model in one.models if model.kept]
            assert (len(one.models) - len(kept), len(kept)) == (one.outcome.models, one.outcome.kept_models)
            assert all(rule.allows for rule in one.judgements) or chosen.get("include_pipeline_steps")


POLICIES = """\
policies:
  - name: other
    match: {projects: [other]}
    keep: {tags: [gold]}
    archive: {after: 20d}
    delete: {after: 40d}
  - name: sub
    match: {projects: ["lab/*"]}
    archive: {after: 20d}
    notice: 7d
  - name: rest
    archive: {after: 50d}
    slim: {after: 30d, remove: [artifacts]}
    delete: {after: 55d}
"""
DOES = {Verdict.WOULD_ARCHIVE: Stage.ARCHIVE, Verdict.WOULD_SLIM: Stage.SLIM, Verdict.WOULD_DELETE: Stage.DELETE}


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("policies") / "policies.yaml"
    path.write_text(POLICIES, encoding="utf-8")
    return str(path)


@settings(few, max_examples=8)
@given(worlds(), options, st.data())
def test_so_it_is_with_policies_and_what_a_pass_does_now_is_a_stage_that_is_due(
    sandbox: Sandbox, policies: str, world: World, chosen: dict[str, Any], data: st.DataObject
) -> None:
    for project in ("lab", "lab/sub", "other"):
        world.project(project)
    sandbox.load(world.as_dict())
    whole = clean(sandbox, dry_run=True, policies=policies, **chosen).watcher.outcomes
    asked = data.draw(st.lists(st.sampled_from([task.id for task in world.tasks]), min_size=1, max_size=3, unique=True))
    reading = Reading.of(sandbox, policies=policies, **chosen)
    for one in reading.explain(*asked):
        outcome = one.outcome
        assert said(outcome) == said(whole.get(TaskId(one.id))), outcome
        if outcome is None or one.outlook is None or outcome.verdict not in GONE | STAGED:
            continue
        first = next(iter(one.outlook.events), None)
        if outcome.verdict is Verdict.WOULD_NOTICE:
            assert first is not None
            assert first.noticed == reading.known.now
            assert outcome.due is not None
            assert first.announced == outcome.due.date()
        elif not (outcome.verdict in GONE and one.due is None):  # a step, with its controller
            assert first is not None
            assert (first.stage, first.when <= reading.known.now, first.policy) == (DOES[outcome.verdict], True, outcome.policy)
