"""What is removed from a task that is slimmed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.lifecycle.fate import Lifecycle, Step
from cleanup_job.planning.lifecycle.policy import Kind, LifecyclePolicy, PolicyFile, Slim, Stage
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import Location, ModelId, TaskFile, TaskId
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.protection import Protection
from cleanup_job.planning.records import Artifact, Detail, Model, Removed, Size, Task, Unreadable
from cleanup_job.planning.slimming import (
    BESIDE,
    EXTERNAL,
    NAMED_TWICE,
    SAME_KEY,
    UNKNOWN_STORE,
    UNUSABLE,
    Counts,
    Slimmed,
    Wrote,
    count,
    plan_slim,
    why_left_alone,
)
from tests.unit.planning.one_task import NOW, RULES, A, B, folder, locate, task

ALL = Slim(timedelta(days=10), frozenset(Kind))
GUARD = Protection(locate=locate)


def policy(slim: Slim = ALL, **fields: object) -> LifecyclePolicy:
    return LifecyclePolicy("all", slim=replace(slim, **fields))


def artifact(key: str, below: str = "", *, uri: str = "", **fields: object) -> Artifact:
    made = Artifact(uri or f"{folder(A)}/artifacts/{below or key}", "output", 7, key)
    return replace(made, **fields)


def image(name: str, kind: str = "metrics") -> str:
    return f"{folder(A)}/{kind}/{name}"


def model(name: str, day: int = 1, **fields: object) -> Model:
    made = Model(ModelId(name), f"{folder(A)}/models/{name}", A, last_update=f"2026-01-{day:02}T00:00:00+00:00")
    return replace(made, **fields)


def wrote(artifacts: Iterable[Artifact] = (), models: Sequence[Model] = (), **fields: object) -> Wrote:
    created = {one.id: datetime.fromisoformat(one.last_update) for one in models if one.last_update}
    return replace(Wrote(Detail(task(), tuple(artifacts)), models, created), **fields)


def planned(found: Wrote, slim: LifecyclePolicy | None = None, guard: Protection = GUARD) -> Slimmed:
    plan = plan_slim(found, slim or policy(), guard)
    assert isinstance(plan, Slimmed)
    return plan


def files(plan: Slimmed) -> set[str]:
    return {file.rest for file in plan.files}


def test_everything_that_is_chosen_goes() -> None:
    found = wrote(
        [artifact("a")],
        [model("old", 1), model("new", 2)],
        debug_samples=[image("1"), image("1")],
        plots=[image("2")],
        of_models={ModelId("old"): [image("of old")], ModelId("new"): [image("of new")]},
    )
    plan = planned(found)
    assert files(plan) == {"artifacts/a", "models/old", "metrics/1", "metrics/2", "metrics/of old"}
    assert [one.key for one in plan.artifacts] == ["a"]
    assert [one.id for one in plan.models] == ["old"]
    assert plan.kept_models == ("new",)
    assert plan.clears_log
    assert plan.kept_words == "kept: 1 of checkpoints (the last 1)"


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        (Kind.ARTIFACTS, {"artifacts/a"}),
        (Kind.CHECKPOINTS, {"models/old"}),
        (Kind.DEBUG_SAMPLES, {"metrics/1"}),
        (Kind.PLOTS, {"metrics/2"}),
        (Kind.CONSOLE, set()),
    ],
)
def test_each_kind_goes_alone(kind: Kind, gone: set[str]) -> None:
    found = wrote([artifact("a")], [model("old", 1), model("new", 2)], debug_samples=[image("1")], plots=[image("2")])
    plan = planned(found, policy(remove=frozenset({kind})))
    assert files(plan) == gone
    assert plan.clears_log is (kind is Kind.CONSOLE)
    assert (len(plan.artifacts), len(plan.models)) == (kind is Kind.ARTIFACTS, kind is Kind.CHECKPOINTS)


def test_artifacts_go_by_their_names() -> None:
    found = wrote([artifact("data"), artifact("metrics csv"), artifact("other"), artifact("", "nameless")])
    some = policy(artifacts_only=("data", "metrics*"), artifacts_except=("metrics*",))
    assert [one.key for one in planned(found, some).artifacts] == ["data"]
    assert [one.key for one in planned(found).artifacts] == ["data", "metrics csv", "other"]


def test_inputs_and_links_stay_and_so_do_files_that_are_named_there() -> None:
    used = artifact("in", "shared", mode="input")
    link = artifact("link", uri="s3://elsewhere/x")
    beside = artifact("beside", uri=f"{folder(A)}/x.csv")
    unknown = artifact("unknown", uri=f"http://other/p/exp.{A}/artifacts/x")
    upward = artifact("upward", uri=f"{folder(A)}/artifacts/../x")
    plan = planned(wrote([used, artifact("out", "shared"), link, beside, unknown, upward]))
    assert not plan.outputs
    assert {why for _, why in plan.kept} == {NAMED_TWICE, EXTERNAL, BESIDE, UNKNOWN_STORE, UNUSABLE}


def in_two_ways(uri: str) -> Location:
    """Each address can mean another file, too; the SDK can have meant that one where there is a ``#``."""
    path = uri.removeprefix("http://files/")
    return Location("files", path, (f"{path}?",), doubtful="#" in uri)


def test_all_places_that_the_sdk_can_have_meant_are_looked_at() -> None:
    plan = planned(wrote([artifact("a"), artifact("b", "b#")]), guard=Protection(locate=in_two_ways))
    assert files(plan) == {"artifacts/a", "artifacts/b#", "artifacts/b#?"}
    assert count(plan, Removed()) == Counts(2, 14)


def test_what_was_at_none_of_these_places_is_lost() -> None:
    found = wrote([artifact("a"), artifact("b", "b#")], debug_samples=[image("1#")])
    plan = planned(found, guard=Protection(locate=in_two_ways))
    one, *others = sorted(file for file in plan.files if "b" in file.rest)
    assert plan.lost(Removed(missing=frozenset({one}))) == []
    gone = Removed(missing=frozenset(plan.files))
    assert (plan.lost(gone), [one.key for one in plan.without_lost(gone).artifacts]) == ([one], ["a"])
    assert count(plan, gone) == Counts(files_missing=3)
    assert count(plan, Removed(missing=frozenset({one}))) == Counts(3, 14, 1)
    assert others


def test_one_of_these_places_that_is_claimed_keeps_all() -> None:
    guard = Protection(claims={A: (Claim("other", B, f"{folder(A)}/artifacts/b#?"),)}, locate=in_two_ways)
    assert planned(wrote([artifact("b", "b#")]), guard=guard).kept == {(Kind.ARTIFACTS, NAMED_TWICE): 1}


def test_two_artifacts_of_one_name_stay() -> None:
    plan = planned(wrote([artifact("a", "1"), artifact("a", "2")]))
    assert (plan.outputs, plan.kept) == ((), {(Kind.ARTIFACTS, SAME_KEY): 2})


# -- checkpoints
def test_the_last_checkpoints_stay_and_of_equal_ones_all() -> None:
    models = [model("1", 1), model("2", 2), model("3", 2), model("4", 3)]
    assert [one.id for one in planned(wrote(models=models)).models] == ["1", "2", "3"]
    assert [one.id for one in planned(wrote(models=models), policy(keep_last=2)).models] == ["1"]
    assert [one.id for one in planned(wrote(models=models), policy(keep_last=9)).models] == []
    assert len(planned(wrote(models=models), policy(keep_last=0)).models) == 4


def test_the_last_by_creation_and_the_last_by_change_both_stay() -> None:
    rewritten, last, other = model("rewritten", 9), model("last", 5), model("other", 5)
    created = {one.id: datetime(2026, 1, day, tzinfo=UTC) for day, one in enumerate((rewritten, other, last), start=1)}
    plan = planned(wrote(models=[rewritten, last, other], created=created))
    assert [one.id for one in plan.models] == ["other"]


def test_a_checkpoint_of_unknown_age_stays() -> None:
    models = [model("dated", 1), model("new", 2), model("undated", last_update="")]
    assert [one.id for one in planned(wrote(models=models)).models] == ["dated"]
    assert [one.id for one in planned(wrote(models=models, created={})).models] == []


def test_models_without_a_file_of_the_task_stay_and_are_not_among_the_last() -> None:
    models = [
        model("1", 1),
        model("2", 2),
        model("3", 9, uri="http://files/uploading_file"),
        model("4", 9, uri="s3://zoo/base.pt"),
        model("5", 9, uri=""),
    ]
    plan = planned(wrote(models=models))
    assert [one.id for one in plan.models] == ["1"]
    assert plan.kept == {(Kind.CHECKPOINTS, "the last 1"): 1, (Kind.CHECKPOINTS, EXTERNAL): 3}


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (model("x", ready=True), "published"),
        (model("x", tags=("any",)), "it has a tag"),
        (model("x"), "used or listed by a task"),
    ],
)
def test_checkpoints_that_matter_stay(one: Model, why: str) -> None:
    guard = Protection(frozenset({one.id} if not (one.ready or one.tags) else ()), locate=locate)
    plan = planned(wrote(models=[one, model("new", 2)]), guard=guard)
    assert (plan.models, plan.kept[Kind.CHECKPOINTS, why]) == ((), 1)


# -- what else names a file
@pytest.mark.parametrize("uri", [image("1"), f"{folder(A)}/./metrics//1", f"http://old-name/p/exp.{A}/metrics", folder(A)])
def test_what_others_claim_stays(uri: str) -> None:
    guard = replace(GUARD, claims={A: (Claim("other", B, uri),)})
    found = wrote(debug_samples=[image("1")])
    assert planned(found, guard=guard).kept == {(Kind.DEBUG_SAMPLES, NAMED_TWICE): 1}
    assert planned(found, guard=guard).protected == (uri,)
    assert files(planned(found, guard=replace(GUARD, claims={B: (Claim("other", B, uri),)}))) == {"metrics/1"}


def test_what_something_that_stays_names_stays_and_so_on() -> None:
    """The last model names an artifact's file; nothing but that artifact ... and a plot shows what a debug sample shows."""
    weights = artifact("weights", uri=f"{folder(A)}/models/new")
    chain = model("old", 1)
    found = wrote(
        [weights, artifact("free")],
        [chain, model("new", 2)],
        debug_samples=[image("shared"), image("own")],
        plots=[image("shared")],
    )
    plan = planned(found, policy(remove=frozenset(Kind) - {Kind.PLOTS}))
    assert files(plan) == {"artifacts/free", "models/old", "metrics/own"}
    assert plan.kept[Kind.ARTIFACTS, NAMED_TWICE] == plan.kept[Kind.DEBUG_SAMPLES, NAMED_TWICE] == 1


def test_what_stays_for_another_reason_makes_more_stay() -> None:
    """A model stays for one of its images, which is claimed; so its weights stay, which an artifact names, too."""
    found = wrote(
        [artifact("copy", uri=f"{folder(A)}/models/old")],
        [model("old", 1), model("new", 2)],
        of_models={ModelId("old"): [image("claimed")]},
    )
    guard = replace(GUARD, claims={A: (Claim("other", B, image("claimed")),)})
    assert files(planned(found, guard=guard)) == set()
    assert files(planned(found)) == {"models/old", "metrics/claimed"}


def test_a_link_in_an_event_of_a_model_does_not_keep_the_model() -> None:
    events = {ModelId("old"): ["s3://else/where.png"]}
    assert [one.id for one in planned(wrote(models=[model("old"), model("new", 2)], of_models=events)).models] == ["old"]
    events = {ModelId("old"): [f"s3://else/p/exp.{A}/metrics/x.png"]}
    assert not planned(wrote(models=[model("old"), model("new", 2)], of_models=events)).models


# -- what keeps the whole task
@pytest.mark.parametrize("where", ["debug_samples", "plots", "of_models"])
@pytest.mark.parametrize("refused", [False, True])
def test_events_that_cant_be_read_keep_the_task(where: str, refused: bool) -> None:
    one = Unreadable(A, "plots: $.x", refused=refused)
    given = {ModelId("m"): [one]} if where == "of_models" else [one]
    plan = plan_slim(wrote(**{where: given}), policy(), GUARD)
    assert isinstance(plan, Kept)
    assert plan.reason is (Reason.SERVER_ERROR if refused else Reason.UNREADABLE)


def rules(slim: LifecyclePolicy) -> object:
    return replace(RULES, lifecycle=Lifecycle(PolicyFile((slim,)), NOW, me="me"))


def left_alone(before: Task, now: Task | Unreadable | None, slim: LifecyclePolicy | None = None) -> Reason | None:
    decided = slim or policy()
    detail = Detail(now) if isinstance(now, Task) else now
    kept = why_left_alone(before, detail, Step(policy(), Stage.SLIM), rules(decided))
    return kept.reason if kept is not None else None


def test_a_task_that_is_as_it_was_is_slimmed() -> None:
    assert left_alone(task(), task()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "in_progress"},
        {"status_changed": NOW},
        {"last_update": NOW - timedelta(days=20)},
        {"last_change": NOW - timedelta(days=20)},
        {"tags": ("x",)},
        {"system_tags": ()},
        {"project": "other"},
    ],
)
def test_a_task_that_was_changed_is_left(change: dict[str, object]) -> None:
    assert left_alone(task(), task(**change)) is Reason.CHANGED


def test_a_task_that_is_gone_or_cant_be_read_or_has_another_policy_is_left() -> None:
    assert left_alone(task(), None) is Reason.CHANGED
    assert left_alone(task(), Unreadable(A, "tags")) is Reason.UNREADABLE
    assert left_alone(task(), task(), policy(after=timedelta(days=999))) is Reason.CHANGED
    assert left_alone(task(), task(), policy(keep_last=3)) is Reason.CHANGED


def test_dataset_versions_and_reports_are_never_slimmed() -> None:
    version = task(system_tags=("archived", "dataset"))
    assert left_alone(version, version) is Reason.DATASET_IN_USE
    for report in (task(type="report"), task(system_tags=("archived", "reports"))):
        assert left_alone(report, report) is Reason.IN_USE


# -- what became of it
def test_a_file_that_fails_keeps_the_entries_of_its_kind() -> None:
    plan = planned(wrote([artifact("a"), artifact("b")], debug_samples=[image("1")]))
    bad = next(file for file in plan.files if file.rest == "artifacts/b")
    failed = plan.failed(Removed({bad: "no"}))
    assert failed == {Kind.ARTIFACTS}
    assert plan.without(failed).artifacts == ()
    assert files(plan.without(failed)) == {"metrics/1"}


def test_what_stores_say_is_counted() -> None:
    plan = planned(wrote([artifact("a"), artifact("b"), artifact("c")], debug_samples=[image("1"), image("2")]))
    by_rest: dict[str, TaskFile] = {file.rest: file for file in plan.files}
    assert count(plan, Removed()) == Counts(5, 21, 2)
    removed = Removed({by_rest["artifacts/a"]: "no"}, {by_rest["metrics/1"]: Size(1, 100)}, frozenset({by_rest["artifacts/b"]}))
    assert count(plan, removed) == Counts(3, 107, 1, files_missing=1)


def test_nothing_is_owned_by_a_task_with_another_kind_of_id() -> None:
    odd = TaskId("x" * 32)
    found = Wrote(Detail(task(odd), (Artifact(f"{folder(odd)}/artifacts/x", "output", 7, "a"),)))
    assert planned(found).kept == {(Kind.ARTIFACTS, EXTERNAL): 1}
