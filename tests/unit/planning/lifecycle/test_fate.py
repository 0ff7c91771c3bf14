"""What policies have in store for a task: never anything earlier than its policy, its owner and its notice say."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cleanup_job.planning.lifecycle.fate import Lifecycle, Step, TagChange
from cleanup_job.planning.lifecycle.policy import Keep, Kind, LifecyclePolicy, Match, PolicyFile, Slim, Stage, TagNames
from cleanup_job.planning.records import ARCHIVED_BY, Task
from tests.unit.planning.one_task import task

DAY = timedelta(days=1)
LEAST = timedelta.resolution
NOW = datetime(2026, 11, 28, 3, tzinfo=UTC)
TODAY = NOW.date()
ME, OTHER = "me", "somebody"
POLICY = LifecyclePolicy(
    "p",
    archive=14 * DAY,
    slim=Slim(30 * DAY, frozenset({Kind.CONSOLE}), also_not_archived=True),
    delete=60 * DAY,
)


def lifecycle(policy: LifecyclePolicy = POLICY, *, tags: TagNames | None = None, **more: object) -> Lifecycle:
    return Lifecycle(PolicyFile((policy,), tags), NOW, ME, **more)


def aged(days: float, *, archived: bool = False, **fields: object) -> Task:
    """A task that was last active so many days ago, and then archived, if it is."""
    then = NOW - timedelta(days=days)
    given = {"status_changed": then, "last_update": then, "last_change": then, "last_changed_by": OTHER}
    return task(**given | {"system_tags": ("archived",) if archived else ()} | fields)


# -- when
@pytest.mark.parametrize(("stage", "days"), [(Stage.ARCHIVE, 14), (Stage.SLIM, 30), (Stage.DELETE, 60)])
def test_a_task_has_to_be_older_than_the_age_of_a_stage(stage: Stage, days: int) -> None:
    archived = stage is Stage.DELETE
    assert lifecycle().due(aged(days, archived=archived), stage) == NOW + LEAST
    assert not lifecycle().allows(aged(days, archived=archived), stage)
    assert lifecycle().at(NOW + LEAST).allows(aged(days, archived=archived), stage)


def test_a_stage_that_the_policy_has_not_never_comes() -> None:
    for stage in Stage:
        assert lifecycle(LifecyclePolicy("p")).due(aged(900), stage) is None
        assert not lifecycle(LifecyclePolicy("p")).allows(aged(900, archived=True), stage)


def test_a_task_that_no_policy_matches_is_left_alone() -> None:
    life = lifecycle(replace(POLICY, match=Match(statuses=frozenset({"failed"}))))
    old = aged(900, archived=True, tags=("cleanup:deletes=2026-01-01",))
    assert life.step(old) is None
    assert life.put_right(old) is None
    assert life.coming(old) == []
    assert not any(life.allows(old, stage) for stage in Stage)


@pytest.mark.parametrize("year", [1, 1969, 9000, 9999])
def test_a_task_with_an_impossible_time_is_left_alone_and_troubles_nobody(year: int) -> None:
    when = datetime(year, 1, 1, tzinfo=UTC)
    odd = task(status_changed=when, last_update=when, last_change=when, tags=("ttl=36500d",))
    life = lifecycle(replace(POLICY, notice=36_500 * DAY, archived_for=36_500 * DAY), tags=TagNames())
    assert life.step(odd) is None
    assert not any(life.allows(odd, stage) or life.announced(odd, stage) for stage in Stage)


@pytest.mark.parametrize("year", [1, 9999])
@pytest.mark.parametrize("name", ["cleanup:deletes", "cleanup:archived", "cleanup:slimmed"])
def test_a_tag_with_an_impossible_date_makes_nothing_earlier(name: str, year: int) -> None:
    odd = aged(900, archived=True, tags=(f"{name}={year:04}-01-01",), last_changed_by=ME, last_change=NOW - DAY)
    life = lifecycle(replace(POLICY, notice=7 * DAY, archived_for=14 * DAY))
    assert not life.allows(odd, Stage.DELETE)
    assert life.step(odd) is not None


def test_an_age_that_is_known_better_counts() -> None:
    old = aged(900, archived=True)
    assert lifecycle().allows(old, Stage.DELETE)
    assert not lifecycle().allows(old, Stage.DELETE, since=NOW - 60 * DAY)


def test_a_task_without_any_time_is_left_alone() -> None:
    bare = task(status_changed=None, last_update=None, created=None)
    assert not any(lifecycle().allows(bare, stage) for stage in Stage)


# -- the settings' floors
def test_settings_can_ask_for_a_longer_age_before_outputs_or_the_task_go() -> None:
    life = lifecycle(floor=NOW - 90 * DAY)
    assert not life.allows(aged(90, archived=True), Stage.DELETE)
    assert not life.allows(aged(90), Stage.SLIM)
    assert life.allows(aged(91, archived=True), Stage.DELETE)
    assert life.allows(aged(91), Stage.SLIM)
    assert life.allows(aged(15), Stage.ARCHIVE)
    assert life.at(NOW + DAY).allows(aged(90, archived=True), Stage.DELETE)


def test_settings_can_not_ask_for_a_shorter_one() -> None:
    assert not lifecycle(floor=NOW - DAY).allows(aged(60, archived=True), Stage.DELETE)


def test_only_settings_that_delete_more_than_drafts_let_policies_slim() -> None:
    assert not lifecycle(slims=False).allows(aged(900), Stage.SLIM)
    assert lifecycle(slims=False).allows(aged(900), Stage.ARCHIVE)


# -- time in the archive
def test_time_in_the_archive_counts_from_the_last_change_by_others() -> None:
    life = lifecycle(replace(POLICY, archived_for=14 * DAY))
    assert not life.allows(aged(900, archived=True, last_change=NOW - 14 * DAY + LEAST), Stage.DELETE)
    assert life.allows(aged(900, archived=True, last_change=NOW - 14 * DAY), Stage.DELETE)


def test_it_counts_from_the_end_of_the_day_that_is_noted_if_only_the_job_changed_the_task_since() -> None:
    life = lifecycle(replace(POLICY, archived_for=14 * DAY))
    noted = ("cleanup:archived=2026-11-13",)
    own = aged(900, archived=True, tags=noted, last_change=NOW, last_changed_by=ME)
    assert life.archived_at(own) == datetime(2026, 11, 14, tzinfo=UTC)
    assert life.allows(own, Stage.DELETE)
    assert not life.at(datetime(2026, 11, 27, 23, 59, tzinfo=UTC)).allows(own, Stage.DELETE)
    others = replace(own, last_changed_by=OTHER)
    assert not life.allows(others, Stage.DELETE)
    assert not replace(life, me="").allows(replace(own, last_changed_by=""), Stage.DELETE)


def test_the_longer_of_both_times_in_the_archive_counts() -> None:
    for ours, theirs in ((14, 30), (30, 14)):
        life = lifecycle(replace(POLICY, archived_for=ours * DAY), archived_for=theirs * DAY)
        assert not life.allows(aged(900, archived=True, last_change=NOW - 29 * DAY), Stage.DELETE)
        assert life.allows(aged(900, archived=True, last_change=NOW - 30 * DAY), Stage.DELETE)


@pytest.mark.parametrize("changed", [None, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)])
def test_a_task_that_can_not_say_since_when_it_is_in_the_archive_stays_there(changed: datetime | None) -> None:
    old = aged(900, archived=True, last_change=changed)
    assert not lifecycle(replace(POLICY, archived_for=DAY)).allows(old, Stage.DELETE)
    assert lifecycle().allows(old, Stage.DELETE)


# -- the state that a task is in
@pytest.mark.parametrize("status", ["in_progress", "queued", "published", "publishing", "unknown", "closed", "whatever"])
def test_only_tasks_that_have_ended_and_drafts_are_archived(status: str) -> None:
    assert not lifecycle().allows(aged(900, status=status), Stage.ARCHIVE)


@pytest.mark.parametrize("status", ["created", "completed", "failed", "stopped"])
def test_these_are(status: str) -> None:
    assert lifecycle().allows(aged(900, status=status), Stage.ARCHIVE)
    assert not lifecycle().allows(aged(900, status=status, archived=True), Stage.ARCHIVE)


@pytest.mark.parametrize("status", ["in_progress", "queued", "published", "publishing", "unknown", "created"])
def test_only_tasks_that_have_ended_are_slimmed(status: str) -> None:
    assert not lifecycle().allows(aged(900, status=status), Stage.SLIM)


def test_tasks_that_are_not_archived_are_slimmed_only_if_the_policy_says_so_and_never_deleted() -> None:
    assert POLICY.slim is not None
    only_archived = lifecycle(replace(POLICY, slim=replace(POLICY.slim, also_not_archived=False)))
    assert not only_archived.allows(aged(900), Stage.SLIM)
    assert only_archived.allows(aged(900, archived=True), Stage.SLIM)
    assert not lifecycle().allows(aged(900), Stage.DELETE)


def test_a_task_is_slimmed_once_and_again_only_after_it_ran_again() -> None:
    slimmed = ("cleanup:slimmed=2026-06-01",)
    assert not lifecycle().allows(aged(900, tags=slimmed), Stage.SLIM)
    same_day = datetime(2026, 6, 1, 23, 59, tzinfo=UTC)
    assert not lifecycle().allows(aged(0, tags=slimmed, status_changed=same_day), Stage.SLIM)
    assert lifecycle().allows(aged(0, tags=slimmed, status_changed=same_day + DAY), Stage.SLIM)


# -- what keeps it
@pytest.mark.parametrize(
    ("keep", "tags", "words"),
    [
        (Keep(all=True), (), "keep: all in policy 'p'"),
        (Keep(tags=("gold",)), ("gold",), "the tag 'gold' is in keep.tags of policy 'p'"),
        (Keep(tags=("keep-*",)), ("keep-me",), "the tag 'keep-me' is in keep.tags of policy 'p'"),
        (Keep(), ("keep",), "its own tag 'keep'"),
        (Keep(), ("ttl=soon",), "its own tag 'ttl=soon', which can't be read; write keep, ttl=14d or expires=2026-12-31"),
    ],
)
def test_what_keeps_a_task_keeps_it_from_all_stages(keep: Keep, tags: tuple[str, ...], words: str) -> None:
    life = lifecycle(replace(POLICY, keep=keep), tags=TagNames())
    for archived in (False, True):
        kept = aged(900, archived=archived, tags=tags)
        assert life.keeps(kept) == words
        assert life.coming(kept) == []
        assert life.step(kept) is None


def test_a_rank_keeps_by_the_policy_that_counts() -> None:
    ranked = replace(POLICY, keep=Keep(last=1))
    file = PolicyFile((ranked,), kept_by_rank=lambda policy, one: "last 1" if one.name == "exp" and policy is ranked else "")
    life = Lifecycle(file, NOW, ME)
    assert life.keeps(aged(900)) == "last 1 in policy 'p'"
    assert life.keeps(aged(900, name="other")) == ""


def test_a_tag_to_keep_of_another_policy_keeps_nothing() -> None:
    first = LifecyclePolicy("first", Match(statuses=frozenset({"failed"})), Keep(tags=("gold",)))
    life = Lifecycle(PolicyFile((first, POLICY)), NOW, ME)
    assert life.keeps(aged(900, tags=("gold",))) == ""


# -- the owner's wish
def test_the_owner_can_have_each_stage_come_later() -> None:
    life = lifecycle(tags=TagNames())
    for stage in Stage:
        assert life.due(aged(900, tags=("ttl=70d",)), stage) == NOW - 830 * DAY + LEAST
        assert life.due(aged(900, tags=("expires=2027-01-01",)), stage) == datetime(2027, 1, 2, tzinfo=UTC) + LEAST
    assert not life.allows(aged(65, archived=True, tags=("ttl=70d",)), Stage.DELETE)


def test_but_no_later_than_the_policy_allows() -> None:
    life = lifecycle(replace(POLICY, max_ttl=90 * DAY), tags=TagNames())
    for tag in ("ttl=36500d", "expires=8999-12-31"):
        assert not life.allows(aged(90, archived=True, tags=(tag,)), Stage.DELETE)
        assert life.allows(aged(91, archived=True, tags=(tag,)), Stage.DELETE)


def test_the_longest_lifetime_of_a_policy_never_makes_a_stage_earlier() -> None:
    life = lifecycle(replace(POLICY, max_ttl=DAY, allow_shorter=True), tags=TagNames())
    assert not life.allows(aged(60, archived=True, tags=("ttl=36500d",)), Stage.DELETE)
    assert not life.allows(aged(60, archived=True), Stage.DELETE)


def test_and_earlier_only_where_the_policy_says_so() -> None:
    for tag in ("ttl=3d", "expires=2026-11-01"):
        young = aged(59, archived=True, tags=(tag,))
        assert not lifecycle(tags=TagNames()).allows(young, Stage.DELETE)
        assert lifecycle(replace(POLICY, allow_shorter=True), tags=TagNames()).allows(young, Stage.DELETE)
        assert not lifecycle(replace(POLICY, allow_shorter=True)).allows(young, Stage.DELETE)


def test_not_even_then_before_the_settings_let_it_go_or_its_time_in_the_archive_is_over() -> None:
    eager = replace(POLICY, allow_shorter=True, archived_for=14 * DAY)
    young = aged(20, archived=True, tags=("ttl=3d",), last_change=NOW - 13 * DAY)
    assert not lifecycle(eager, tags=TagNames()).allows(young, Stage.DELETE)
    life = lifecycle(replace(eager, archived_for=timedelta()), tags=TagNames(), floor=NOW - 30 * DAY)
    assert not life.allows(young, Stage.DELETE)


# -- notices
WARNED = replace(POLICY, notice=7 * DAY)
DELETES = "cleanup:deletes=2026-11-28"


def announced_task(days: float = 900, **fields: object) -> Task:
    """A task whose deletion was announced eight days ago, for today."""
    given = {"archived": True, "tags": (DELETES,), "last_changed_by": ME, "last_change": NOW - 8 * DAY}
    return aged(days, **given | fields)


def test_nothing_comes_without_its_notice() -> None:
    life = lifecycle(WARNED)
    assert not life.allows(aged(900, archived=True), Stage.DELETE)
    assert not life.allows(aged(900), Stage.ARCHIVE)
    assert life.allows(announced_task(), Stage.DELETE)


def test_a_notice_is_for_the_date_itself_in_utc() -> None:
    tomorrow = announced_task(tags=("cleanup:deletes=2026-11-29",), last_change=NOW - 7 * DAY)
    assert not lifecycle(WARNED).allows(tomorrow, Stage.DELETE)
    midnight = datetime(2026, 11, 29, tzinfo=UTC)
    assert not lifecycle(WARNED).at(midnight - LEAST).allows(tomorrow, Stage.DELETE)
    assert lifecycle(WARNED).at(midnight).allows(tomorrow, Stage.DELETE)


@pytest.mark.parametrize(
    "fields",
    [
        {"last_changed_by": OTHER},
        {"last_changed_by": ""},
        {"last_change": None},
        {"last_change": NOW - DAY},
        {"last_change": datetime(2026, 11, 21, tzinfo=UTC) + LEAST},
        {"tags": ("cleanup:slims=2026-11-28",)},
        {"tags": ("cleanup:deletes=28.11.2026",)},
        {"tags": ("cleanup:deletes",)},
        {"tags": (DELETES, "cleanup:slims=2026-11-29")},
        {"days": 60},
    ],
)
def test_a_notice_does_not_count_if_the_task_was_touched_or_it_is_not_for_this_stage_and_age(fields: dict[str, object]) -> None:
    life = lifecycle(WARNED)
    assert life.announced(announced_task(**fields), Stage.DELETE) is None
    assert not life.allows(announced_task(**fields), Stage.DELETE)


def test_a_notice_that_was_too_short_for_a_longer_one_of_now_does_not_count() -> None:
    assert not lifecycle(replace(POLICY, notice=30 * DAY)).allows(announced_task(), Stage.DELETE)


def test_the_earliest_stage_is_announced_as_long_ahead_as_the_policy_says() -> None:
    life = lifecycle(WARNED)
    assert life.step(aged(6.9)) is None
    due = NOW - 8 * DAY + 14 * DAY + LEAST
    assert life.step(aged(8)) == Step(
        WARNED, Stage.ARCHIVE, due, date(2026, 12, 6), TagChange(("cleanup:archives=2026-12-06",))
    )


def test_one_that_is_overdue_is_announced_for_as_long_as_the_policy_says_from_now() -> None:
    step = lifecycle(WARNED).step(aged(900))
    assert step is not None
    assert (step.stage, step.announced) == (Stage.ARCHIVE, date(2026, 12, 6))


def test_a_notice_that_is_there_is_not_set_again() -> None:
    life = lifecycle(WARNED)
    assert life.step(aged(8, tags=("cleanup:archives=2026-12-06",), last_changed_by=ME, last_change=NOW)) is None


def test_a_notice_replaces_those_of_other_stages_and_of_other_days() -> None:
    old = ("cleanup:archives=2026-12-01", "cleanup:slims=2026-11-02", "cleanup:deletes", "mine")
    step = lifecycle(WARNED).step(aged(8, tags=old))
    assert step is not None
    assert step.tags == TagChange(("cleanup:archives=2026-12-06",), old[:3])


def test_a_task_that_was_touched_is_announced_anew() -> None:
    step = lifecycle(WARNED).step(announced_task(last_changed_by=OTHER, last_change=NOW - DAY))
    assert step is not None
    assert (step.stage, step.announced) == (Stage.DELETE, date(2026, 12, 6))
    assert step.tags.remove == (DELETES,)
    assert set(step.tags.add) == {"cleanup:deletes=2026-12-06", "cleanup:archived=2026-11-27"}


def test_once_deletion_is_due_nothing_else_is_done() -> None:
    assert lifecycle().step(aged(900, archived=True)) is None
    assert lifecycle().coming(aged(900, archived=True))[0][1] is Stage.DELETE


def test_what_is_due_is_done_and_carries_its_moment() -> None:
    assert lifecycle().step(aged(20)) == Step(POLICY, Stage.ARCHIVE, NOW - 6 * DAY + LEAST)
    assert lifecycle().step(aged(40, archived=True)) == Step(POLICY, Stage.SLIM, NOW - 10 * DAY + LEAST)
    assert lifecycle().step(aged(40, public=True)) is None


# -- restored, and tags
@pytest.mark.parametrize("tag", ["cleanup:archived=2026-11-01", "cleanup:archived=soon", "cleanup:archived"])
def test_a_task_that_somebody_restored_is_left_alone(tag: str) -> None:
    restored = aged(900, tags=(tag,))
    assert lifecycle().is_restored(restored)
    assert not lifecycle().is_restored(aged(900, archived=True, tags=(tag,)))
    assert lifecycle().coming(restored) == []
    assert lifecycle().step(restored) is None
    assert lifecycle(WARNED).step(restored) is None


def test_a_stale_notice_is_taken_back() -> None:
    kept = aged(1, tags=("cleanup:archives=2026-12-06", "mine"))
    assert lifecycle(WARNED).step(kept) == Step(WARNED, None, tags=TagChange((), ("cleanup:archives=2026-12-06",)))


def test_a_pass_that_was_killed_before_it_noted_the_archiving_has_it_noted_by_the_next_one() -> None:
    killed = aged(20, archived=True, status_reason=ARCHIVED_BY, last_changed_by=ME, last_change=NOW - DAY)
    assert lifecycle().step(killed) == Step(POLICY, None, tags=TagChange(("cleanup:archived=2026-11-27",)))
    noted = replace(killed, tags=("cleanup:archived=2026-11-27",))
    assert lifecycle().step(noted) is None


def test_before_the_job_changes_a_task_it_notes_since_when_that_is_in_the_archive() -> None:
    life = lifecycle()
    by_hand = aged(40, archived=True, last_change=NOW - 3 * DAY)
    assert life.tags_before(by_hand) == TagChange(("cleanup:archived=2026-11-25",))
    stale = replace(by_hand, tags=("cleanup:archived=2026-01-01",))
    assert life.tags_before(stale) == TagChange(("cleanup:archived=2026-11-25",), ("cleanup:archived=2026-01-01",))
    noted = replace(stale, last_changed_by=ME)
    assert life.tags_before(noted) == TagChange()
    assert life.tags_before(aged(40)) == TagChange()


def test_afterwards_it_notes_what_it_did_and_takes_notices_back() -> None:
    done = aged(20, tags=("cleanup:archives=2026-11-28", "cleanup:archived=2020-01-01", "mine"))
    assert lifecycle().tags_after(done, Stage.ARCHIVE) == TagChange(
        (f"cleanup:archived={TODAY}",), ("cleanup:archived=2020-01-01", "cleanup:archives=2026-11-28")
    )
    assert lifecycle().tags_after(aged(40, tags=("cleanup:slimmed=2026-11-28",)), Stage.SLIM) == TagChange()


# -- for reports and plans
@pytest.mark.parametrize(("days", "near"), [(6, False), (8, True), (90, True)])
def test_a_stage_is_near_from_its_notice_on_also_for_a_kept_task(days: int, near: bool) -> None:
    life = lifecycle(replace(POLICY, notice=7 * DAY, keep=Keep(all=True)))
    assert life.is_near(aged(days)) is near
    assert not life.coming(aged(days))


def test_nothing_is_near_for_a_task_that_no_policy_matches() -> None:
    assert not lifecycle(replace(POLICY, match=Match(statuses=frozenset({"failed"})))).is_near(aged(90))


def test_a_step_has_the_digest_of_its_record_and_of_what_is_done() -> None:
    one = aged(20)
    step = Step(POLICY, Stage.ARCHIVE, NOW)
    assert step.is_now
    same = replace(step, due=NOW + DAY)
    assert step.digest(one) == same.digest(replace(one, last_change=NOW, parent="another"))
    others = [
        replace(step, stage=Stage.SLIM).digest(one),
        replace(step, announced=TODAY).digest(one),
        replace(step, policy=replace(POLICY, name="q")).digest(one),
        *(step.digest(replace(one, **{field: "x"})) for field in ("name", "status", "project")),
        *(step.digest(replace(one, **{field: ("x",)})) for field in ("tags", "system_tags")),
        *(step.digest(replace(one, **{field: NOW})) for field in ("last_update", "status_changed")),
    ]
    assert len({step.digest(one), *others}) == 1 + len(others)
