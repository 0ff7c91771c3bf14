"""One task that is due, with what is known of it: each test changes what it is about."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.filters import ActiveFilter
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import Location, ModelId, TaskFolder, TaskId
from cleanup_job.planning.plan import Plan, plan_batch
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.protection import Protection
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules, Selected

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
KEEP_X = ActiveFilter("keep_tags", frozenset({"x"}))
RULES = Rules(NOW - timedelta(days=30), NOW, force_delete=True)
FORCE = Policy(RULES)
A, B = TaskId("a" * 32), TaskId("b" * 32)


def deleted(tasks: Iterable[TaskId] = (), kept_models: Iterable[ModelId] = ()) -> DeletedSoFar:
    found = DeletedSoFar()
    found.will_matter((), kept_models=kept_models)
    found.add(tasks)
    return found


def locate(uri: str) -> Location | None:
    return Location("files", uri.removeprefix("http://files/")) if uri.startswith("http://files/") else None


def folder(task: TaskId) -> str:
    return f"http://files/p/exp.{task}"


def task(one: TaskId = A, **fields: object) -> Task:
    made = Task(one, "exp", "completed", system_tags=("archived",), status_changed=OLD, last_update=OLD, last_change=OLD)
    return replace(made, **fields)


def outputs(one: TaskId = A, *uris: str, apart: frozenset[str] = frozenset()) -> Outputs:
    found = Outputs(one, locate, apart=apart, links=frozenset({"files"}))
    for uri in uris or (f"{folder(one)}/artifacts/x",):
        found.add(uri, 7)
    return found


def plan(policy: Policy = FORCE, *, now: Task | None = None, found: Outputs | None = None, **known: object) -> Plan:
    batch = Batch(
        units=((A,),),
        before={A: Selected.of(task())},
        now={A: now or task()},
        outputs={A: found or outputs()},
        models={},
        guard=Protection(locate=locate),
    )
    return plan_batch(replace(batch, **known), policy)


def claimed(*uris: str, one: TaskId = A, model: str = "m", **more: object) -> Protection:
    claims = tuple(Claim("other", TaskId("f" * 32), uri, **more) for uri in uris)
    return Protection(frozenset({ModelId(model)}), {one: claims}, locate=locate)


PLACE = TaskFolder("files", f"p/exp.{A}", A)
LISTING = replace(FORCE, lists=lambda store: store == "files")
