"""Which archived tasks the settings leave out, counted for a dry run: what people would otherwise wonder about."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from cleanup_job.errors import CleanupError
from cleanup_job.passes.ports import Server
from cleanup_job.planning.filters import RULES, variable
from cleanup_job.planning.judgement import CUTOFF, FORCE, GRACE, HIDDEN, POLICIES, judge
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import LeftOut, Report
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Query, Rules
from cleanup_job.planning.sharding import ALONE

Why = tuple[str | int, ...]
"""The settings that leave a task out, by their variables; or one of ``_BY_POLICIES``."""
MOST = 10_000
"""Archived tasks that are looked at: the newest."""
_TEXTS = {
    CUTOFF: ("is not past the threshold yet", "are not past the threshold yet"),
    FORCE: ("is not a draft", "are not drafts"),
    HIDDEN: ("is hidden", "are hidden"),
    GRACE: ("was archived or changed too recently", "were archived or changed too recently"),
}
"""What to say of one task and of several that a setting leaves out; other settings are filters."""
_NO_POLICY, _KEPT, _NO_DELETION, _NOT_DUE, _NOT_ANNOUNCED = range(5)
_BY_POLICIES = {
    _NO_POLICY: ("is matched by no policy", "are matched by no policy"),
    _KEPT: ("is kept by a rule of its policy", "are kept by rules of their policies"),
    _NO_DELETION: ("has a policy that deletes nothing", "have policies that delete nothing"),
    _NOT_DUE: ("is not due yet by its policy", "are not due yet by their policies"),
    _NOT_ANNOUNCED: ("is not announced yet, as its policy asks for", "are not announced yet, as their policies ask for"),
}
"""The same of what policies leave out."""
_NOT_SLIMMED = ("is due to be slimmed", "are due to be slimmed")
_FILTERED = ("is left out by a filter", "are left out by a filter")
_SEVERAL = ("is left out by several settings", "are left out by several settings")
_INCLUDED_BY = {FORCE: f"{FORCE}=true", HIDDEN: f"{HIDDEN}=true"}


def note_left_out(
    report: Report, server: Server, rules: Rules, stopped: Callable[[], bool], warn: Callable[[str], None]
) -> None:
    """Note in the report of a dry run which other archived tasks there are. That they can't be read changes nothing else."""
    if stopped() or rules.chosen is not None:
        return
    try:
        report.left_out = left_out(server, rules, stopped)
    except CleanupError as error:
        warn(f"which archived tasks the settings leave out is not known: {error}")


def left_out(server: Server, rules: Rules, stopped: Callable[[], bool]) -> list[LeftOut]:
    """The archived tasks that these rules leave out, by the settings that do; the most frequent first.

    One listing, without what narrows that of a pass. A task counts for the setting that alone leaves it out, and for several
    together otherwise; tasks that the pass itself reports (selected, or kept by a rule) don't count.

    Raises:
        CleanupError: the server gives no usable answer.
    """
    counts: Counter[Why] = Counter()
    is_least, not_slimmed = False, 0
    for number, record in enumerate(server.archived_tasks(Query(hidden=True), ALONE)):
        if number >= MOST or stopped():
            is_least = True
            break
        if isinstance(record, Task):
            not_slimmed += _would_slim(rules, record)
            if why := _leaving_out(rules, record):
                counts[why] += 1
    found = list(_said(counts, rules, is_least=is_least))
    if not_slimmed:
        text = f"archived {_one(not_slimmed, ('task', 'tasks'))} {_one(not_slimmed, _NOT_SLIMMED)}"
        found.append(LeftOut(not_slimmed, text, _INCLUDED_BY[FORCE], is_least))
    return found


def _would_slim(rules: Rules, task: Task) -> bool:
    """Whether its policy would slim a task now, if the settings let it."""
    life = rules.lifecycle
    if life is None or life.slims or not rules.has_policies(task) or rules.keeps(task):
        return False
    step = replace(life, slims=True).step(task)
    return step is not None and step.stage is Stage.SLIM and step.is_now


def _leaving_out(rules: Rules, task: Task) -> Why:
    """What leaves a task out: settings, or one thing about its policy; none if the pass reports it, or can't change it."""
    life = rules.lifecycle
    if life is None or rules.is_own_run(task):
        return _by_settings(rules, task)
    by_policy = _by_policy(rules, life, task)
    if by_policy not in {None, _NOT_ANNOUNCED}:
        is_reported = task.public or rules.allows_as_step_too(task)
        return () if is_reported or by_policy is None else (by_policy,)
    return _by_settings(rules, task) or (() if by_policy is None or task.public or rules.keeps(task) else (by_policy,))


def _by_policy(rules: Rules, life: Lifecycle, task: Task) -> int | None:
    """What about its policy leaves a task out; None if nothing does."""
    policy, due = life.file.of(task), life.due(task, Stage.DELETE)
    if policy is None:
        return _NO_POLICY
    if life.keeps(task):
        return _KEPT
    if policy.delete is None:
        return _NO_DELETION
    if due is None or due > life.now:
        return _NOT_DUE
    return None if rules.is_due(task, task.last_change, task.active) else _NOT_ANNOUNCED


def _by_settings(rules: Rules, task: Task) -> Why:
    if not rules.is_old_enough(task, task.active):
        return (CUTOFF,)
    reported = {variable(one.name) for one in rules.keep} | {variable(RULES), ""}
    by = [one.setting for one in judge(rules, task) if not one.allows and one.setting != POLICIES]
    return () if not by or not reported.isdisjoint(by) else tuple(sorted(set(by)))


def _said(counts: Counter[Why], rules: Rules, *, is_least: bool) -> Iterator[LeftOut]:
    """In words. All that several settings leave out is one entry, which names each of these."""
    together = {settings: count for settings, count in counts.items() if len(settings) > 1}
    alone = [(settings[0], count) for settings, count in counts.most_common() if len(settings) == 1]
    past = " past the threshold" if rules.lifecycle is None else ""
    for why, count in alone:
        where = "" if why == CUTOFF or why in _BY_POLICIES else past
        words, setting = _in_words(why)
        text = f"archived {_one(count, ('task', 'tasks'))}{where} {_one(count, words)}"
        yield LeftOut(count, text, setting, is_least)
    if together:
        count = sum(together.values())
        text = f"archived {_one(count, ('task', 'tasks'))}{past} {_one(count, _SEVERAL)}"
        yield LeftOut(count, text, ", ".join(sorted({str(name) for settings in together for name in settings})), is_least)


def _in_words(why: str | int) -> tuple[tuple[str, str], str]:
    """What to say of one task and of several that one thing leaves out, and the setting."""
    if isinstance(why, int):
        return _BY_POLICIES[why], POLICIES
    return _TEXTS.get(why, _FILTERED), _INCLUDED_BY.get(why, why)


def _one(count: int, words: tuple[str, str]) -> str:
    return words[count != 1]
