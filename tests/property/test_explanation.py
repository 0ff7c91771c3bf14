"""What `explain` says a pass would do with a task is what a whole pass does with it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.planning.outcome import GONE, Reason, TaskOutcome
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
