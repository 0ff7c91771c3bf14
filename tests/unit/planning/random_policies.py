"""Random policies, tasks on which they decide, and rules with them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from cleanup_job.planning.filters import Known
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import Keep, Kind, LifecyclePolicy, Match, PolicyFile, Slim, TagNames
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Task
from cleanup_job.planning.selection import OwnTasks, Rules, resolve
from cleanup_job.settings.filters import FilterSettings

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ME = "job"
PROJECTS = {"p1": "team", "p2": "team/a", "p3": "team/a/.pipelines/run", "p4": "golden"}
DAY = timedelta(days=1)


def moments(earliest: int = -90, latest: int = 5) -> st.SearchStrategy[datetime]:
    hours = st.integers(earliest * 24, latest * 24).map(lambda hours: NOW + timedelta(hours=hours))
    return hours | st.timedeltas(earliest * DAY, latest * DAY).map(NOW.__add__)


ages = st.sampled_from([timedelta(), timedelta(hours=30), 7 * DAY, 30 * DAY, 60 * DAY])


@st.composite
def policies(draw: st.DrawFn, name: str = "p", *, notices: bool = True) -> LifecyclePolicy:
    slim = st.builds(Slim, after=ages, remove=st.just(frozenset(Kind)), also_not_archived=st.booleans())
    return LifecyclePolicy(
        name=name,
        match=Match(
            projects=draw(st.sampled_from([None, None, frozenset({"p1", "p2"})])),
            statuses=draw(st.sampled_from([None, None, frozenset({"completed", "created"})])),
        ),
        keep=draw(st.sampled_from([Keep()] * 6 + [Keep(all=True), Keep(tags=("x*",)), Keep(last=1)])),
        archive=draw(st.none() | ages),
        slim=draw(st.none() | slim),
        delete=draw(st.sampled_from([None, timedelta(), 14 * DAY, 60 * DAY])),
        archived_for=draw(st.sampled_from([timedelta(), timedelta(hours=6), 14 * DAY])),
        notice=draw(st.sampled_from([timedelta(), timedelta(hours=5), 7 * DAY])) if notices else timedelta(),
        allow_shorter=draw(st.booleans()),
        max_ttl=draw(st.sampled_from([None, 40 * DAY])),
    )


@st.composite
def lifecycles(draw: st.DrawFn, *, notices: bool = True) -> Lifecycle:
    some = [draw(policies(f"policy {n}", notices=notices)) for n in range(draw(st.integers(1, 2)))]
    ranked = draw(st.sampled_from(["", "last 1"]))
    return Lifecycle(
        PolicyFile(
            tuple(some), draw(st.sampled_from([None, TagNames()])), lambda policy, _: ranked if policy.keep.last else ""
        ),
        NOW,
        draw(st.sampled_from([ME, ME, ME, ""])),
        floor=draw(st.sampled_from([None, None, NOW - 20 * DAY])),
        archived_for=draw(st.sampled_from([timedelta(), 3 * DAY])),
        slims=draw(st.sampled_from([True, True, False])),
    )


TAGS = [
    "x1",
    "keep",
    "ttl=10d",
    "ttl=90d",
    "ttl=soon",
    "expires=2026-12-20",
    "cleanup:archived=2026-10-20",
    "cleanup:slimmed=2026-10-25",
    "cleanup:archives=2026-11-05",
    "cleanup:slims=2026-11-01",
    "cleanup:deletes=2026-11-01",
    "cleanup:deletes=2026-11-20",
    RUN_TAG,
]


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    changed = draw(moments())
    task = Task(
        id=TaskId("t1"),
        name="exp",
        status=draw(st.sampled_from(["created", "completed", "completed", "failed", "published", "in_progress"])),
        user="u1",
        project=draw(st.sampled_from(["", "new", *PROJECTS, *PROJECTS])),
        parent=draw(st.sampled_from(["", "", "draft"])),
        tags=tuple(draw(st.lists(st.sampled_from(TAGS), unique=True, max_size=3))),
        system_tags=draw(st.sampled_from([("archived",)] * 4 + [()] * 4 + [("hidden", "archived")])),
        public=draw(st.sampled_from([False] * 9 + [True])),
        status_changed=changed,
        last_update=changed,
        last_change=draw(st.none() | moments()),
        last_changed_by=draw(st.sampled_from([ME, "ada", ""])),
    )
    return draw(st.sampled_from([task] * 5 + [replace(task, status_changed=None, last_update=None)]))


KNOWN = Known(PROJECTS, dict, lambda _: True, lambda _: True)
filter_settings = st.fixed_dictionaries(
    {"force_delete": st.sampled_from([True, True, True, False])},
    optional={
        "archived_for_days": st.sampled_from([0.25, 7.0]),
        "threshold_rules": st.sampled_from([["team=45"], ["team/a=0", "golden=never"]]),
        "include_hidden": st.just(True),
        "exclude_projects": st.just(["golden"]),
        "keep_tags": st.just(["x1"]),
    },
)


def rules(life: Lifecycle | None, at: datetime = NOW, **given: object) -> Rules:
    """As a pass resolves them that begins at a moment; the life of its tasks is by the same settings."""
    filters = FilterSettings(**given)
    at_that = life and replace(life, slims=filters.force_delete).at(at)
    cutoff = at - timedelta(days=30)
    return resolve(filters, at, KNOWN, lambda _: None, cutoff=cutoff, own=OwnTasks(runs_of="draft"), lifecycle=at_that)
