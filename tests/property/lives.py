"""Random files of policies, records of tasks on which they decide, and the rules of a pass with them.

Files are what YAML gives and records have the API's fields, so that an oracle can read them, too.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from cleanup_job.planning.filters import Known
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Task
from cleanup_job.planning.selection import Rules, resolve
from cleanup_job.settings.filters import FilterSettings
from cleanup_job.settings.policy_document import PolicyDocument

Document = dict[str, Any]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ME, ADA = "1" * 32, "a" * 32
PROJECTS = {"p1": "team", "p2": "team/a", "p3": "team/b", "p4": "golden", "p5": "teamwork"}
DURATIONS = ("0d", "45m", "30h", "7d", "2w", "30d", "60d")
TAGS = (
    "x1",
    "gold",
    "nightly run",
    "keep",
    "ttl=10d",
    "ttl=9w",
    "expires=2026-12-20",
    "expires=2026-10-20",
    "cleanup:archived=2026-10-20",
    "cleanup:archived=2026-10-29",
    "cleanup:slimmed=2026-10-25",
    "cleanup:archives=2026-11-05",
    "cleanup:archives=2026-10-31",
    "cleanup:slims=2026-10-30",
    "cleanup:deletes=2026-11-01",
    "cleanup:deletes=2026-11-20",
)
ODD_TAGS = (
    *("Keep", "keep=yes", " keep", "ttl", "ttl=0d", "ttl=soon", "TTL=3d", "ttl= 3d", "expires=31.12.2026", "expires=2026-W50"),
    *("cleanup:archived", "cleanup:archived=", "cleanup:archived=yesterday", "cleanup:Archived=2026-10-20"),
    *("cleanup:deletes=2026-W40", "cleanup:deletes=2026-10-32", "cleanup:deletes=20261001", "cleanup:slims"),
    *("cleanup:slimmed=", "cleanup:archives=\uff12\uff10\uff12\uff16-10-30", RUN_TAG),
)
OWNER = (("ttl=10d",), ("ttl=9w",), ("ttl=45m",), ("expires=2026-12-20",), ("expires=2026-10-20",), ("ttl=10d", "ttl=60d"))
"""Tags by which an owner asks for a lifetime."""


def moments(earliest: int = -90, latest: int = 3) -> st.SearchStrategy[datetime]:
    """Times around now, also those that are at the border of a day or an hour."""
    hours = st.integers(earliest * 24, latest * 24).map(lambda hours: NOW + timedelta(hours=hours))
    days = st.integers(earliest, latest).map(lambda days: NOW.replace(hour=0) + days * DAY)
    return hours | days | st.timedeltas(earliest * DAY, latest * DAY).map(NOW.__add__)


@st.composite
def policies(draw: st.DrawFn, name: str = "p", *, notices: bool = True, by_tags: bool = True) -> Document:
    """One policy."""
    one = draw(
        st.fixed_dictionaries(
            {"name": st.just(name)},
            optional={
                "match": matches(by_tags=by_tags),
                "keep": st.sampled_from(({"tags": ["gold"]}, {"tags": ["x?", "night*"]}, {"last": 1})),
                "archive": st.fixed_dictionaries({"after": st.sampled_from(DURATIONS)}),
                "slim": st.fixed_dictionaries(
                    {"after": st.sampled_from(DURATIONS), "remove": st.just(["console", "plots"])},
                    optional={"also": st.just("not_archived")},
                ),
                "delete": st.fixed_dictionaries(
                    {"after": st.sampled_from(DURATIONS)}, optional={"archived_for": st.sampled_from(DURATIONS)}
                ),
                "allow_shorter": st.booleans(),
                "max_ttl": st.sampled_from(("20d", "52w")),
                **({"notice": st.sampled_from(("5h", "2d", "7d"))} if notices else {}),
            },
        )
    )
    return {**one, "keep": "all"} if not {"archive", "slim", "delete"} & one.keys() and draw(st.booleans()) else one


def matches(*, by_tags: bool = True) -> st.SearchStrategy[Document]:
    """Conditions of a policy; not all tasks meet them."""
    tags = {"tags": st.sampled_from((["x1"], ["night*"]))} if by_tags else {}
    one = {
        "projects": st.sampled_from((["team"], ["team/*", "golden"], ["team/a"])),
        "statuses": st.sampled_from((["completed", "created"], ["failed", "completed", "stopped", "published"])),
        "users": st.just([ADA]),
        "types": st.just(["training"]),
        "name": st.sampled_from(("exp*", "ex?", "test *")),
        "ran_less_than": st.sampled_from(("10m", "12h")),
        **tags,
    }
    names = st.lists(st.sampled_from(sorted(one)), max_size=2, unique=True)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: one[name] for name in some}))


@st.composite
def files(draw: st.DrawFn, *, notices: bool = True, by_tags: bool = True, most: int = 3) -> Document:
    """A file of a few policies."""
    count = draw(st.integers(1, most))
    some = [draw(policies(f"policy {n}", notices=notices, by_tags=by_tags)) for n in range(count)]
    return {"policies": some, "task_tags": draw(st.booleans())}


@st.composite
def records(draw: st.DrawFn, *, runs: bool = True) -> Document:
    """A task: each of its fields as the API may give it; `runs`: also the job's own."""
    changed = draw(moments())
    started = changed - draw(st.sampled_from((timedelta(minutes=5), timedelta(hours=10), DAY)))
    odd = [one for one in ODD_TAGS if runs or one != RUN_TAG]
    tag = st.sampled_from(TAGS) if draw(st.integers(0, 3)) else st.sampled_from((*TAGS, *odd))
    record = {
        "id": "t1",
        "name": draw(st.sampled_from(("exp", "exp 2", "test 1"))),
        "status": draw(
            st.sampled_from(
                ("completed", "completed", "failed", "stopped", "created", "published", "in_progress", "queued", "closed")
            )
        ),
        "type": draw(st.sampled_from(("training", "training", "testing"))),
        "user": draw(st.sampled_from((ADA, ADA, "b" * 32))),
        "project": draw(st.sampled_from((*PROJECTS, "p2"))),
        "tags": tuple(draw(st.lists(tag, unique=True, max_size=4))),
        "system_tags": draw(st.sampled_from(((), ("archived",)))),
        "created": changed - 2 * DAY,
        "started": started,
        "completed": draw(st.sampled_from((None, changed))),
        "status_changed": changed,
        "last_update": changed,
        "last_change": draw(st.just(changed) | moments()),
        "last_changed_by": draw(st.sampled_from((ME, ME, ADA, ""))),
        "status_reason": draw(st.sampled_from(("", "clearml-cleanup"))),
    }
    lacks = {"status_changed": None, "started": None}
    return record | draw(
        st.sampled_from(({}, {}, {}, lacks, {**lacks, "last_update": None}, {**lacks, "last_update": None, "created": None}))
    )


def task(record: Mapping[str, Any]) -> Task:
    """As the job reads it."""
    return Task(**{**record, "id": TaskId(record["id"])})


KNOWN = Known(PROJECTS, lambda: {ADA: "Ada", "b" * 32: "Bob"}, lambda _: True, lambda _: True)


def lifecycle(file: Document, ranks: str = "", **more: Any) -> Lifecycle:
    """The policies as a pass has them; `ranks`: what `last` keeps, in words."""
    resolved = PolicyDocument.model_validate(file).resolved(KNOWN, lambda _: None)
    kept = replace(resolved, kept_by_rank=lambda policy, _: ranks if policy.keep.last else "")
    return Lifecycle(kept, more.pop("now", NOW), more.pop("me", ME), **more)


def rules(life: Lifecycle | None, **given: Any) -> Rules:
    """The rules of a pass that begins now, as `cleanup_job/passes` resolves them."""
    filters = FilterSettings(**{"force_delete": True, **given})
    now = life.now if life is not None else NOW
    days = filters.delete_threshold_days
    floor = now - timedelta(days=days) if days != FilterSettings.model_fields["delete_threshold_days"].default else None
    grace = timedelta(days=filters.archived_for_days)
    there = life and replace(life, floor=floor, archived_for=grace, slims=filters.force_delete)
    return resolve(filters, now, KNOWN, lambda _: None, cutoff=now - timedelta(days=days), lifecycle=there)
