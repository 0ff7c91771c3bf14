"""What is said of each rule is what the rules do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.filters import FILTERS, ActiveFilter, Effect
from cleanup_job.planning.judgement import judge
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import Keep, LifecyclePolicy, Match, PolicyFile
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Task
from cleanup_job.planning.selection import Chosen, OwnTasks, Rules, Threshold
from tests.unit.planning import random_policies
from tests.unit.planning.random_policies import DAY

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
IDS = ["a", "b", "c"]
PROJECTS = ["p", "q", "new", ""]
TIMES = st.sampled_from([None, *(NOW - timedelta(days=days) for days in (0, 5, 10, 20))])
NAMES = st.frozensets(st.sampled_from(["p", "q", "x", "y", "created", "completed", "training", "u"]))


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    return Task(
        id=TaskId(draw(st.sampled_from(IDS))),
        name="t",
        status=draw(st.sampled_from(["created", "completed", "in_progress"])),
        type=draw(st.sampled_from(["training", "controller"])),
        user=draw(st.sampled_from(["u", "v"])),
        project=draw(st.sampled_from(PROJECTS)),
        parent=draw(st.sampled_from(["", "draft"])),
        tags=tuple(draw(st.sets(st.sampled_from(["x", "y", RUN_TAG])))),
        system_tags=tuple(draw(st.sets(st.sampled_from(["archived", "hidden", "pipeline"])))),
        public=draw(st.booleans()),
        created=draw(TIMES),
        status_changed=draw(TIMES),
        last_update=draw(TIMES),
        last_change=draw(TIMES),
    )


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    filters = {
        effect: tuple(
            ActiveFilter(name, draw(NAMES)) for name, one in FILTERS.items() if one.effect is effect and draw(st.booleans())
        )
        for effect in Effect
    }
    chosen = draw(st.none() | st.sets(st.sampled_from(IDS)))
    return Rules(
        cutoff=NOW - timedelta(days=draw(st.sampled_from([0, 7, 15]))),
        archived_before=draw(st.sampled_from([None, NOW - timedelta(days=7)])),
        force_delete=draw(st.booleans()),
        only=filters[Effect.ONLY],
        exclude=filters[Effect.EXCLUDE],
        keep=filters[Effect.KEEP],
        thresholds=draw(
            st.sampled_from(
                [
                    (),
                    (Threshold("p=12", frozenset("p"), NOW - timedelta(days=12)),),
                    (Threshold("q=never", frozenset("q"), None),),
                ]
            )
        ),
        include_hidden=draw(st.booleans()),
        include_pipeline_steps=draw(st.booleans()),
        known_projects=frozenset("pq"),
        pipeline_projects=draw(st.sampled_from([frozenset(), frozenset("p")])),
        own=OwnTasks(draw(st.sampled_from([frozenset(), frozenset("a")])), draw(st.sampled_from(["", "draft"]))),
        chosen=None if chosen is None else Chosen(dict.fromkeys(map(TaskId, chosen))),
    )


@given(rules(), tasks())
def test_a_task_may_be_deleted_if_every_rule_allows_it(some: Rules, task: Task) -> None:
    said = judge(some, task)
    assert all(one.allows for one in said) is some.selects(task), said


@given(random_policies.lifecycles(), random_policies.tasks(), random_policies.filter_settings)
def test_so_it_is_with_policies(life: Lifecycle, task: Task, settings: dict[str, object]) -> None:
    some = random_policies.rules(life, **settings)
    said = judge(some, task)
    assert all(one.allows for one in said) is some.selects(task), said


@pytest.mark.parametrize(
    ("fields", "tags", "said"),
    [
        ({"delete": DAY}, (), [(True, "is due since 2026-10-22 12:00 UTC (policy 'p')")]),
        ({"delete": 40 * DAY}, (), [(False, "is not due before 2026-11-30 12:00 UTC (policy 'p')")]),
        ({"delete": DAY, "keep": Keep(tags=("gold",))}, ("gold",), [
            (False, "is kept: the tag 'gold' is in keep.tags of policy 'p'"),
            (True, "is due since 2026-10-22 12:00 UTC (policy 'p')"),
        ]),
        ({"archive": DAY}, (), [(False, "is matched by policy 'p', which deletes nothing")]),
        ({"delete": DAY, "match": Match(types=frozenset())}, (), [(False, "is matched by no policy, so it is left alone")]),
        ({"delete": DAY, "notice": 7 * DAY}, (), [
            (True, "is due since 2026-10-22 12:00 UTC (policy 'p')"),
            (False, "is not announced yet, which policy 'p' does 7d before"),
        ]),
        ({"delete": DAY, "notice": 7 * DAY}, ("cleanup:deletes=2026-11-03",), [
            (True, "is due since 2026-10-22 12:00 UTC (policy 'p')"),
            (False, "is announced for 2026-11-03 (policy 'p')"),
        ]),
    ],
)  # fmt: skip
def test_policies_say_what_they_go_by(fields: dict[str, object], tags: tuple[str, ...], said: list[tuple[bool, str]]) -> None:
    life = Lifecycle(PolicyFile((LifecyclePolicy("p", **fields),)), NOW, "job")
    times = {"status_changed": NOW - 11 * DAY, "last_change": NOW - 11 * DAY, "last_changed_by": "job"}
    task = Task(TaskId("a"), "t", "completed", tags=tags, system_tags=("archived",), **times)
    some = Rules(NOW - 30 * DAY, force_delete=True, lifecycle=life)
    assert [(one.allows, one.text) for one in judge(some, task) if one.setting == "CLEANUP_POLICIES"] == said


@pytest.mark.parametrize(
    ("some", "task", "said"),
    [
        (
            Rules(NOW - timedelta(days=30)),
            Task(TaskId("a"), "t", "completed", system_tags=("archived",), status_changed=NOW),
            [
                ("", True, "is archived"),
                (
                    "CLEANUP_DELETE_THRESHOLD_DAYS",
                    False,
                    "was last active 2026-11-01 12:00 UTC, not before 2026-10-02 12:00 UTC (CLEANUP_DELETE_THRESHOLD_DAYS)",
                ),
                ("CLEANUP_FORCE_DELETE", False, "is 'completed', not a draft, and CLEANUP_FORCE_DELETE is false"),
            ],
        ),
        (
            Rules(
                NOW, keep=(ActiveFilter("keep_tags", frozenset(["x"])),), exclude=(ActiveFilter("exclude_users", frozenset()),)
            ),
            Task(TaskId("a"), "t", "created", tags=("x",)),
            [
                ("", False, "is not archived"),
                (
                    "CLEANUP_DELETE_THRESHOLD_DAYS",
                    False,
                    "was last active an unknown time, not before 2026-11-01 12:00 UTC (CLEANUP_DELETE_THRESHOLD_DAYS)",
                ),
                ("", True, "is a draft"),
                ("CLEANUP_EXCLUDE_USERS", True, "is not left out by CLEANUP_EXCLUDE_USERS"),
                ("CLEANUP_KEEP_TAGS", False, "is kept by CLEANUP_KEEP_TAGS"),
            ],
        ),
    ],
)
def test_each_rule_says_what_it_goes_by(some: Rules, task: Task, said: list[tuple[str, bool, str]]) -> None:
    assert [(one.setting, one.allows, one.text) for one in judge(some, task)] == said
