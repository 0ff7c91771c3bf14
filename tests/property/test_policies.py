"""Policies on random tasks: never more than their words say, and the settings only narrow them. No server is asked."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cleanup_job.planning.lifecycle.fate import Lifecycle, Step, TagChange
from cleanup_job.planning.lifecycle.policy import Best, Keep, LifecyclePolicy, Match, PolicyFile, Stage
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Rules
from tests.property.life_oracle import STAGES, Life, active, duration
from tests.property.lives import (
    ADA,
    BORDERS,
    DAY,
    ME,
    NOW,
    OWNER,
    PROJECTS,
    files,
    lifecycle,
    policies,
    records,
    rules,
    task,
)

Document = dict[str, Any]


def goes(some: Rules, one: Task) -> set[str]:
    """What would be done with a task now: stages, and notices of them; putting tags right is nothing."""
    step = some.step(one)
    found = {f"{step.stage}{'' if step.is_now else ' notice'}"} if step is not None and step.stage is not None else set()
    return found | ({"delete"} if some.selects(one) else set())


# -- keep
@given(files(), records(), st.data())
def test_a_keep_rule_never_makes_more_go(file: Document, record: Document, data: st.DataObject) -> None:
    one, before = task(record), lifecycle(file, data.draw(st.sampled_from(("", "last 1"))))
    at = data.draw(st.integers(0, len(file["policies"]) - 1))
    keep = before.file.policies[at].keep
    added = data.draw(
        st.sampled_from(
            (
                Keep(all=True),
                replace(keep, tags=(*keep.tags, "cleanup:*")),
                replace(keep, tags=(*keep.tags, "*")),
                replace(keep, last=keep.last + 1),
                replace(keep, best=(*keep.best, Best("a", "b", "max", 1))),
            )
        )
    )
    some = [*before.file.policies]
    some[at] = replace(some[at], keep=added)
    after = replace(before, file=replace(before.file, policies=tuple(some)))
    assert goes(rules(after), one) <= goes(rules(before), one)


@given(files(by_tags=False), records())
def test_what_is_kept_is_not_changed_but_for_notices_that_are_taken_back(file: Document, record: Document) -> None:
    file = {**file, "task_tags": True}
    record = {**record, "tags": (*record["tags"], "keep")}
    step = rules(lifecycle(file)).step(task(record))
    assert goes(rules(lifecycle(file)), task(record)) == set()
    assert step is None or all(tag.startswith("cleanup:archived=") for tag in step.tags.add)


# -- when
@given(files(), records(), st.sampled_from((0, 45)), st.sampled_from((0, 7)), st.booleans())
def test_stages_come_exactly_when_the_words_say(file: Document, record: Document, least: int, grace: int, force: bool) -> None:
    said = Life(file, PROJECTS, ME, force, least, grace)
    threshold = {"delete_threshold_days": least} if least else {}
    some = rules(lifecycle(file), force_delete=force, archived_for_days=grace, **threshold)
    one, life = task(record), some.lifecycle
    assert life is not None
    step = some.step(one)
    assert bool(some.keeps(one)) == said.is_kept(record)
    ranked = rules(lifecycle(file, "last 1"), force_delete=force)
    is_ranked = isinstance(keep := (said.policy(record) or {}).get("keep"), dict) and "last" in keep
    assert bool(ranked.keeps(one)) == (said.is_kept(record) or is_ranked)
    assert not (is_ranked and goes(ranked, one))
    assert some.selects(one) == said.may(record, "delete", NOW)
    assert step is None or not step.is_now or said.may(record, str(step.stage), NOW)
    assert step is None or not life.is_restored(one) or some.keeps(one), "what was restored is left alone, with all its tags"
    for stage in STAGES:
        is_left_alone = some.keeps(one) or life.is_restored(one)
        assert (life.allows(one, Stage(stage)) and not is_left_alone) == said.may(record, stage, NOW), stage


@given(files(), records(), st.timedeltas(timedelta(), 200 * DAY))
def test_due_is_the_first_moment_at_which_a_stage_may_come(file: Document, record: Document, later: timedelta) -> None:
    for policy in file["policies"]:
        policy.pop("notice", None)
    some, said, one = rules(lifecycle(file)), Life(file, PROJECTS, ME), task(record)
    life = some.lifecycle
    assert life is not None
    least = timedelta.resolution
    is_left_alone = some.keeps(one) or life.is_restored(one)
    for stage in STAGES:
        due = life.due(one, Stage(stage))
        for moment in [NOW + later, *([due - least, due, due + least] if due is not None else [])]:
            allowed = life.at(moment).allows(one, Stage(stage))
            assert not allowed or (due is not None and due <= moment)
            assert (allowed and not is_left_alone) == said.may(record, stage, moment)


@given(
    st.sampled_from(STAGES),
    st.sampled_from(("5h", "2d", "7d")),
    st.integers(-9, 1),
    st.sampled_from((*BORDERS, timedelta(days=-3))),
    st.sampled_from((ME, ME, ADA, "")),
    st.sampled_from((0, -1, 1)),
    st.sampled_from((*BORDERS, -300 * DAY)),
)
def test_a_notice_counts_only_if_nobody_touched_the_task_since_and_the_stage_is_due_then(
    stage: str, notice: str, days: int, more: timedelta, by: str, others: int, due: timedelta
) -> None:
    day = NOW.replace(hour=0) + days * DAY
    names = dict(zip(STAGES, ("cleanup:archives", "cleanup:slims", "cleanup:deletes"), strict=True))
    tags = {f"{name}={(day + others * DAY).date()}" for name in names.values() if others}
    tags = {tag for tag in tags if not tag.startswith(names[stage])} | {f"{names[stage]}={day.date()}"}
    file = {"policies": [{"name": "p", "notice": notice, stage: {"after": "5d"} | SLIM[stage]}]}
    old = day - 5 * DAY + due
    record = {
        **completed(stage),
        "tags": tuple(tags),
        "status_changed": old,
        "last_update": old,
        "last_change": day - duration(notice) + more,
        "last_changed_by": by,
    }
    said, one, life = Life(file, PROJECTS, ME), task(record), lifecycle(file)
    assert life.allows(one, Stage(stage)) == said.may(record, stage, NOW)
    assert life.allows(one, Stage(stage)) == (
        by == ME and more <= timedelta() and due <= timedelta() and day <= NOW and others < 1
    )


def completed(stage: str) -> dict[str, Any]:
    """A completed task with which a stage is possible, without its tags and times."""
    archived = ("archived",) if stage == "delete" else ()
    return {"id": "t1", "name": "exp", "status": "completed", "type": "training", "user": ADA, "project": "p1"} | {
        "system_tags": archived
    }


@pytest.mark.parametrize("stage", STAGES)
@settings(max_examples=200)
@given(
    least=st.sampled_from((0, 45)),
    age=st.sampled_from((DAY, 30 * DAY, 45 * DAY)),
    more=st.sampled_from(BORDERS),
    grace=st.sampled_from(("0d", "30h", "7d")),
    days=st.sampled_from((None, 0, 1, 7)),
    later=st.sampled_from(BORDERS),
    by=st.sampled_from((ME, ADA)),
    floor=st.sampled_from((0, 3)),
)
def test_ages_floors_and_the_time_in_the_archive_are_exact(
    stage: str, least: int, age: timedelta, more: timedelta, grace: str, days: int | None, later: timedelta, by: str, floor: int
) -> None:
    more_of = SLIM[stage] | ({"archived_for": grace} if stage == "delete" else {})
    file = {"policies": [{"name": "p", stage: {"after": "30d"} | more_of}]}
    tags = (f"cleanup:archived={(NOW - days * DAY).date()}",) if days is not None and stage == "delete" else ()
    record = {
        **completed(stage),
        "tags": tags,
        "status_changed": NOW - age + more,
        "last_update": NOW - age,
        "last_change": NOW - duration(grace) + later,
        "last_changed_by": by,
    }
    said = Life(file, PROJECTS, ME, least_days=least, archived_days=floor)
    some = rules(lifecycle(file), archived_for_days=floor, **({"delete_threshold_days": least} if least else {}))
    assert some.lifecycle is not None
    assert some.lifecycle.allows(task(record), Stage(stage)) == said.may(record, stage, NOW)


SLIM: dict[str, Document] = {"archive": {}, "slim": {"remove": ["console"], "also": "not_archived"}, "delete": {}}


@given(files(), records(), st.sampled_from(("5h", "2d", "7d")))
def test_a_notice_is_never_shorter_than_its_policy_says(file: Document, record: Document, notice: str) -> None:
    for policy in file["policies"]:
        policy["notice"] = notice
    step = rules(lifecycle(file)).step(task(record))
    if step is None or step.announced is None:
        return
    begins = datetime(*step.announced.timetuple()[:3], tzinfo=NOW.tzinfo)
    wanted = Life(file, PROJECTS, ME).wanted(record, str(step.stage))
    assert wanted is not None
    assert begins >= max(NOW + duration(notice), wanted)
    assert begins < max(NOW + duration(notice), step.due or NOW) + DAY, "and not a day longer than needed"


# -- the owner's tags
@given(files(by_tags=False), records(), st.sampled_from(OWNER), st.data())
def test_a_tag_of_the_owner_never_shortens_and_never_lengthens_beyond_max_ttl(
    file: Document, record: Document, added: tuple[str, ...], data: st.DataObject
) -> None:
    shorter = data.draw(st.booleans())
    for policy in file["policies"]:
        policy["allow_shorter"] = shorter
    file = {**file, "task_tags": True}
    bare = {**record, "tags": tuple(tag for tag in record["tags"] if not tag.startswith(("ttl=", "expires=")))}
    wished = {**bare, "tags": (*bare["tags"], *added)}
    life = lifecycle(file)
    policy, since = Life(file, PROJECTS, ME).policy(wished), active(wished)
    assert life.file.of(task(bare)) is life.file.of(task(wished)), "such a tag chooses no policy here"
    for stage in Stage:
        before, after = life.due(task(bare), stage), life.due(task(wished), stage)
        assert (before is None) == (after is None)
        if before is None or after is None or policy is None or since is None:
            continue
        assert after >= before or shorter
        if "max_ttl" in policy:
            assert after <= max(before, since + duration(policy["max_ttl"]) + timedelta.resolution)
        if not shorter:
            assert life.allows(task(wished), stage) <= life.allows(task(bare), stage)


# -- other policies
@given(files(), policies("one more"), records())
def test_a_policy_at_the_end_changes_nothing_for_those_that_an_earlier_one_matches(
    file: Document, added: Document, record: Document
) -> None:
    more = {**file, "policies": [*file["policies"], added]}
    before, after, one = rules(lifecycle(file)), rules(lifecycle(more)), task(record)
    assume(Life(file, PROJECTS, ME).policy(record) is not None)
    assert before.policy_of(one) == after.policy_of(one)
    assert before.keeps(one) == after.keeps(one)
    assert before.step(one) == after.step(one)
    assert before.selects(one) == after.selects(one)


@given(files(), records())
def test_what_no_policy_matches_is_left_alone(file: Document, record: Document) -> None:
    for policy in file["policies"]:
        policy["match"] = {**policy.get("match", {}), "name": "another *"}
    some, one = rules(lifecycle(file)), task(record)
    assert some.step(one) is None
    assert not some.selects(one)


# -- settings
NARROWER: dict[str, tuple[Any, ...]] = {
    "delete_threshold_days": (0.5, 20.0, 45.0),
    "archived_for_days": (0.25, 7.0, 30.0),
    "force_delete": (False,),
    "projects": (["team"], ["team/*"]),
    "exclude_projects": (["team/a"], ["golden"]),
    "keep_projects": (["golden"],),
    "tags": (["x1"],),
    "exclude_tags": (["x1"],),
    "keep_tags": (["x1", "gold"],),
    "types": (["training"],),
    "statuses": (["completed", "failed"],),
    "exclude_statuses": (["failed", "created"],),
    "users": (["Ada"],),
    "exclude_users": (["Ada"],),
    "threshold_rules": (["team=50"], ["team/a=0", "golden=never"], ["team/a=never", "team=10"]),
}
some_settings = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in NARROWER.items()})


@given(files(), records(runs=False), some_settings, st.sampled_from(sorted(NARROWER)), st.data())
def test_settings_narrow_and_never_widen(
    file: Document, record: Document, given_: Document, name: str, data: st.DataObject
) -> None:
    assume(name not in given_)
    life, one = lifecycle(file), task(record)
    few, many = rules(life, **given_, **{name: data.draw(st.sampled_from(NARROWER[name]))}), rules(life, **given_)
    assert few.lifecycle is not None
    assert many.lifecycle is not None
    assert bool(goes(few, one)) <= bool(goes(many, one))
    assert few.selects(one) <= many.selects(one)
    for stage in Stage:
        assert few.lifecycle.allows(one, stage) <= many.lifecycle.allows(one, stage)
        assert (few.lifecycle.due(one, stage) or NOW) >= (many.lifecycle.due(one, stage) or NOW)


@given(records(), some_settings)
def test_policies_that_are_equal_to_the_settings_of_today_select_the_same(record: Document, given_: Document) -> None:
    today = rules(None, **given_)
    force = {"force_delete": False} if "force_delete" in given_ else {}
    by_policies = rules(Lifecycle(equal_policies(given_), NOW, ME), **force)
    tags = tuple(tag for tag in record["tags"] if not tag.startswith("cleanup:"))
    one = task({**record, "tags": tags, "status_reason": ""})
    assert by_policies.selects(one) == today.selects(one)
    if today.selects(one):
        assert by_policies.step(one) is None, "a policy with nothing but deletion does nothing else"


def equal_policies(today: Document) -> PolicyFile:
    """What the settings of today say, as policies: one for each threshold rule, and one for all other tasks."""
    only: dict[str, Any] = {name: frozenset(today[name]) for name in ("types", "statuses") if name in today}
    only |= {"users": frozenset({ADA})} if "users" in today else {}
    only |= {"tags": tuple(today["tags"])} if "tags" in today else {}
    within = _in(today["projects"]) if "projects" in today else None
    grace = timedelta(days=today.get("archived_for_days", 0))
    found: list[LifecyclePolicy] = []
    for name, keeps in (("exclude_projects", False), ("keep_projects", True)):
        if name in today:
            found.append(LifecyclePolicy(name, Match(projects=_in(today[name])), Keep(all=keeps)))
    for name in ("exclude_tags", "keep_tags"):
        if name in today:
            found.append(LifecyclePolicy(name, Match(tags=tuple(today[name])), Keep(all=name == "keep_tags")))
    if "exclude_statuses" in today:
        found.append(LifecyclePolicy("statuses", Match(statuses=frozenset(today["exclude_statuses"]))))
    if "exclude_users" in today:
        found.append(LifecyclePolicy("users", Match(users=frozenset({ADA}))))
    for rule in today.get("threshold_rules", ()):
        project, days = rule.split("=")
        here = _in([project])
        match = Match(projects=here if within is None else here & within, **only)
        if days == "never":
            found.append(LifecyclePolicy(rule, Match(projects=here), Keep(all=True)))
            continue
        found.append(_deletes(rule, match, float(days) * DAY, grace))
        found.append(LifecyclePolicy(f"{rule}, left out", Match(projects=here)))  # it must not fall to the policies behind
    threshold = today.get("delete_threshold_days", 30.0) * DAY
    found.append(_deletes("all", Match(projects=within, **only), threshold, grace))
    return PolicyFile(tuple(found))


def _deletes(name: str, match: Match, after: timedelta, grace: timedelta) -> LifecyclePolicy:
    return LifecyclePolicy(name, match, delete=after, archived_for=grace)


def _in(patterns: list[str]) -> frozenset[str]:
    """The ids of these projects, with those below."""
    names = [pattern.removesuffix("/*") for pattern in patterns]
    return frozenset(
        project
        for project, name in PROJECTS.items()
        for pattern, top in zip(patterns, names, strict=True)
        if name.startswith(f"{top}/") or (name == top and pattern == top)
    )


# -- what the job writes itself
def after(one: Task, step: Step, life: Lifecycle) -> Task:
    """A task as the server has it once a step was done."""
    changes: list[TagChange] = [step.tags]
    if step.is_now and step.stage is not None:
        changes = [*([life.tags_before(one)] if step.stage is Stage.SLIM else []), life.tags_after(one, step.stage)]
    if step.is_now and step.stage is Stage.ARCHIVE:
        one = replace(one, system_tags=(*one.system_tags, "archived"), status_reason="clearml-cleanup")
    for change in changes:
        tags = [tag for tag in one.tags if tag not in change.remove]
        tags += [tag for tag in change.add if tag not in tags]
        one = replace(one, tags=tuple(tags), last_change=life.now, last_changed_by=life.me)
    return one


@given(files(), records())
def test_what_was_done_is_not_done_again(file: Document, record: Document) -> None:
    some, one = rules(lifecycle(file)), task(record)
    for _ in range(6):
        step = some.step(one)
        if step is None or some.selects(one):
            return
        assert some.lifecycle is not None
        one, before = after(one, step, some.lifecycle), one
        if step.is_now:
            noted = "cleanup:archived" if step.stage is Stage.ARCHIVE else "cleanup:slimmed"
            assert f"{noted}={NOW.date()}" in one.tags
            assert not any(
                tag.partition("=")[0] in {"cleanup:archives", "cleanup:slims", "cleanup:deletes"} for tag in one.tags
            )
        assert one.tags != before.tags or one.system_tags != before.system_tags, f"it changes nothing: {step}"
        again = some.step(one)
        assert again is None or (again.stage, again.announced) != (step.stage, step.announced), f"the same once more: {step}"
    pytest.fail("it comes to no end")


TOUCHES: tuple[Document, ...] = (
    {},
    {},
    {},
    {"last_changed_by": ADA},
    {"last_changed_by": ""},
    {"system_tags": (), "last_changed_by": ADA},
    {"system_tags": ("archived",), "last_changed_by": ADA},
    {"status": "published", "last_changed_by": ADA},
)
"""What people do to a task between two nights; nothing, most often."""
some_nights = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(TOUCHES), st.integers(0, 47)), max_size=12)


@given(files(), records(runs=False), some_nights)
def test_night_by_night_nothing_comes_earlier_than_the_words_and_the_first_notice_said(
    file: Document, record: Document, nights: list[tuple[int, Document, int]]
) -> None:
    said, life, now = Life(file, PROJECTS, ME), lifecycle(file), NOW
    one = task(record)
    told: dict[str, datetime] = {}
    for days, touch, before in sorted(nights, key=lambda night: night[0]):
        now = max(now, NOW + days * DAY)
        if touch:
            one, told = replace(one, **{**touch, "last_change": now - timedelta(hours=before)}), {}
        some, seen = rules(life.at(now)), record | {name: getattr(one, name) for name in CHANGING}
        assert some.lifecycle is not None
        for stage in STAGES:
            is_left_alone = some.keeps(one) or some.lifecycle.is_restored(one)
            assert (some.lifecycle.allows(one, Stage(stage)) and not is_left_alone) == said.may(seen, stage, now), stage
        if some.selects(one):
            assert now >= told.get("delete", now)
            return
        step = some.step(one)
        if step is None:
            continue
        if step.is_now:
            assert said.may(seen, str(step.stage), now)
            assert now >= told.get(str(step.stage), now)
        elif step.announced is not None:
            told[str(step.stage)] = datetime(*step.announced.timetuple()[:3], tzinfo=NOW.tzinfo)
        one = after(one, step, some.lifecycle)


CHANGING = ("tags", "system_tags", "status", "status_reason", "last_change", "last_changed_by")


STATUSES = (
    "created",
    "queued",
    "in_progress",
    "stopped",
    "completed",
    "failed",
    "closed",
    "publishing",
    "published",
    "unknown",
)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("force", [True, False])
def test_stages_come_to_tasks_in_the_right_state_only(stage: str, *, force: bool) -> None:
    old = NOW - 300 * DAY
    record = {"id": "t1", "name": "exp", "type": "training", "user": ADA, "project": "p1", "status_changed": old}
    record |= {"last_update": old, "last_change": old, "last_changed_by": ADA}
    for also in (False, True):
        more = SLIM["slim"] if also else {"remove": ["console"]}
        file = {"policies": [{"name": "p", stage: {"after": "30d"} | (more if stage == "slim" else {})}]}
        some, said = rules(lifecycle(file), force_delete=force), Life(file, PROJECTS, ME, force)
        assert some.lifecycle is not None
        for status in STATUSES:
            for system_tags in ((), ("archived",)):
                for tags in ((), *((f"cleanup:slimmed={(old + days * DAY).date()}",) for days in (-1, 0, 1, 200))):
                    one = {**record, "status": status, "system_tags": system_tags, "tags": tags}
                    assert some.lifecycle.allows(task(one), Stage(stage)) == said.may(one, stage, NOW), one
