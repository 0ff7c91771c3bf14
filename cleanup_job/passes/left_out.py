"""Which archived tasks the settings leave out, counted for a dry run: what people would otherwise wonder about."""

from collections import Counter
from collections.abc import Callable, Iterator

from cleanup_job.errors import CleanupError
from cleanup_job.passes.ports import Server
from cleanup_job.planning.filters import RULES, variable
from cleanup_job.planning.judgement import CUTOFF, FORCE, GRACE, HIDDEN, judge
from cleanup_job.planning.outcome import LeftOut, Report
from cleanup_job.planning.records import Task
from cleanup_job.planning.selection import Query, Rules
from cleanup_job.planning.sharding import ALONE

MOST = 10_000
"""Archived tasks that are looked at: the newest."""
_TEXTS = {
    CUTOFF: ("is not past the threshold yet", "are not past the threshold yet"),
    FORCE: ("is not a draft", "are not drafts"),
    HIDDEN: ("is hidden", "are hidden"),
    GRACE: ("was archived or changed too recently", "were archived or changed too recently"),
}
"""What to say of one task and of several that a setting leaves out; other settings are filters."""
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
    counts: Counter[tuple[str, ...]] = Counter()
    is_least = False
    for number, record in enumerate(server.archived_tasks(Query(hidden=True), ALONE)):
        if number >= MOST or stopped():
            is_least = True
            break
        if isinstance(record, Task) and (settings := _leaving_out(rules, record)):
            counts[settings] += 1
    return list(_said(counts, is_least=is_least))


def _leaving_out(rules: Rules, task: Task) -> tuple[str, ...]:
    """The settings that leave a task out; none if the pass reports it, or if none of them can be changed."""
    if not rules.is_old_enough(task, task.active):
        return (CUTOFF,)
    reported = {variable(one.name) for one in rules.keep} | {variable(RULES), ""}
    by = [one.setting for one in judge(rules, task) if not one.allows]
    return () if not by or not reported.isdisjoint(by) else tuple(sorted(set(by)))


def _said(counts: Counter[tuple[str, ...]], *, is_least: bool) -> Iterator[LeftOut]:
    """In words. All that several settings leave out is one entry, which names each of these."""
    together = {settings: count for settings, count in counts.items() if len(settings) > 1}
    alone = [(settings[0], count) for settings, count in counts.most_common() if len(settings) == 1]
    for setting, count in alone:
        where = "" if setting == CUTOFF else " past the threshold"
        text = f"archived {_one(count, ('task', 'tasks'))}{where} {_one(count, _TEXTS.get(setting, _FILTERED))}"
        yield LeftOut(count, text, _INCLUDED_BY.get(setting, setting), is_least)
    if together:
        count = sum(together.values())
        text = f"archived {_one(count, ('task', 'tasks'))} past the threshold {_one(count, _SEVERAL)}"
        yield LeftOut(count, text, ", ".join(sorted({name for settings in together for name in settings})), is_least)


def _one(count: int, words: tuple[str, str]) -> str:
    return words[count != 1]
