"""Policies that are tried out: on a terminal, and as JSON."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.policy_trial import Change, Changed, Fate, Outcome, PolicyDifference, Span, Sum, Trial
from cleanup_job.report.formatting import counted, plain
from cleanup_job.report.outlook_text import event_document

SHOWN = 3
"""Tasks of each sum that are named on a terminal; JSON has more, and ``--list`` all."""
ROWS = 50
"""Changes that are shown on a terminal: those of the most tasks."""
Projects = Mapping[str, str]
"""Names by id."""
_WORDS = {
    Outcome.ARCHIVE: "archived",
    Outcome.SLIM: "slimmed",
    Outcome.DELETE: "deleted",
    Outcome.RESTORED: "left alone: restored from the archive",
    Outcome.LEFT_OUT: "left out by the settings",
    Outcome.LATER: "nothing yet: the next stage comes later",
    Outcome.NOTHING: "nothing comes, as they are now",
    Outcome.NO_POLICY: "left alone",
}
_NOT_COUNTED = (
    "As a pass does it each night, if nothing else changes. What other tasks need is kept longer, and is counted here all the "
    "same; steps that go with their controller without being archived are not."
)
_NO_POLICY = "(no policy)"


# -- one file
def render(found: Trial, order: Sequence[str], projects: Projects, console: Console) -> None:
    """Print the sums by policy and outcome, and the first tasks of each. Only ``Text`` is printed, never markup."""
    until = "now" if found.at <= found.now else f"until {found.at:%Y-%m-%d %H:%M} UTC"
    console.print(Text(f"What becomes of {counted(found.tasks, 'task')} {until}", "bold"))
    rows = list(found.by_policy(tuple(order)))
    if rows:
        console.print(_table(rows))
    for (policy, outcome, more), one in rows:
        if one.days.first is not None:
            console.print(Text(f"{plain(policy) or _NO_POLICY}, {plain(_said(outcome, more))}:", "bold"))
            for fate, day in one.examples[:SHOWN]:
                console.print(line(fate, f"{day}", projects))
            if one.tasks > SHOWN:
                console.print(Text(f"  and {one.tasks - SHOWN:,} more", "dim"))
    if found.unreadable:
        console.print(Text(f"{counted(found.unreadable, 'task')} can't be read, and will be left alone."))
    console.print(Text(_NOT_COUNTED, "dim"))


def line(fate: Fate, what: str, projects: Projects) -> Text:
    """A task on a line of its own, or two."""
    name = plain(fate.name) or "(no name)"
    return Text.assemble(
        f"  {what}  {name} ", (plain(fate.id), "dim"), f" in {plain(projects.get(fate.project, fate.project))}"
    )


def list_line(fate: Fate, trial: Trial, projects: Projects) -> Text:
    """A task with all that becomes of it by then."""
    found = [
        f"{_said(outcome, fate.kept if outcome is Outcome.KEPT else event.stage if event else '')}"
        + (f" {event.when:%Y-%m-%d}" if event else "")
        for outcome, event in fate.by(trial.at)
    ]
    return line(fate, f"{plain(fate.policy) or _NO_POLICY}: {plain(', '.join(found))} ", projects)


def _table(rows: Sequence[tuple[tuple[str, Outcome, str], Sum]]) -> Table:
    table = Table(
        Column("policy", overflow="fold", min_width=10, max_width=20),
        Column("what", overflow="fold", ratio=1),
        Column("tasks", justify="right", no_wrap=True),
        Column("day (UTC)", no_wrap=True),
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    before = None
    for (policy, outcome, more), one in rows:
        name = "" if policy == before else plain(policy) or _NO_POLICY
        table.add_row(Text(name), Text(plain(_said(outcome, more))), f"{one.tasks:,}", _span(one.days))
        before = policy
    return table


def _said(outcome: Outcome, more: str) -> str:
    if outcome is Outcome.NOTICE:
        return f"{_WORDS[Outcome(more)]} later, as announced"
    return f"kept: {more}" if outcome is Outcome.KEPT else _WORDS[outcome]


def _span(days: Span) -> str:
    if days.first is None or days.first == days.last:
        return str(days.first or "-")
    return f"{days.first}…{days.last}"


def document(found: Trial, order: Sequence[str], projects: Projects) -> dict[str, Any]:
    """The sums as JSON."""
    return {
        "now": found.now.isoformat(),
        "at": found.at.isoformat(),
        "tasks": found.tasks,
        "unreadable": found.unreadable,
        "outcomes": [
            {
                "policy": policy or None,
                "outcome": outcome,
                "rule": more if outcome is Outcome.KEPT else None,
                "announced": more if outcome is Outcome.NOTICE else None,
                "tasks": one.tasks,
                **_span_document(one.days),
                "examples": [{**_task(fate, projects), "date": _iso(day)} for fate, day in one.examples],
            }
            for (policy, outcome, more), one in found.by_policy(tuple(order))
        ],
    }


def fate_document(fate: Fate, trial: Trial, projects: Projects) -> dict[str, Any]:
    """One task as JSON, with all of its stages."""
    return {
        **_task(fate, projects),
        "policy": fate.policy or None,
        "outcomes": [outcome for outcome, _ in fate.by(trial.at)],
        "kept": fate.kept or None,
        "stages": [event_document(event) for event in fate.events],
    }


# -- two files
def render_difference(found: PolicyDifference, projects: Projects, console: Console) -> None:
    """Print what changes, the most frequent first, with the first tasks of each."""
    until = f" until {found.at:%Y-%m-%d %H:%M} UTC" if found.at is not None else ""
    if not found.changed:
        console.print(Text(f"No difference{until}: the same becomes of {counted(found.tasks, 'task')} by both files.", "bold"))
        return
    console.print(Text(f"Something else becomes of {found.changed:,} of {counted(found.tasks, 'task')}{until}:", "bold"))
    rows = found.largest()
    for change, one in rows[:ROWS]:
        console.print(Text(change_words(change, one)))
        for fate, before, after in one.examples[:SHOWN]:
            console.print(line(fate, f"{before or 'never'} → {after or 'never'}", projects))
        if one.tasks > SHOWN:
            console.print(Text(f"  and {one.tasks - SHOWN:,} more", "dim"))
    if len(rows) > ROWS:
        console.print(Text(f"and {len(rows) - ROWS:,} more changes", "dim"))
    if found.unreadable:
        console.print(Text(f"{counted(found.unreadable, 'task')} can't be read, and will be left alone."))
    console.print(Text(_NOT_COUNTED, "dim"))


def change_words(change: Change, one: Changed) -> str:
    """A change in a line: ``12 tasks of playground: delete 2027-03-01 → 2027-02-01``."""
    old, new, stage, _, _, why_before, why_after = change
    names = [plain(name) or _NO_POLICY for name in dict.fromkeys((old, new))]
    before, after = _moment(one.before, why_before), _moment(one.after, why_after)
    return f"{counted(one.tasks, 'task')} of {' → '.join(names)}: {stage} {before} → {after}"


def _moment(days: Span, why: str) -> str:
    never = f"never ({why})" if why else "never"
    return never if days.first is None else _span(days)


def difference_line(fate: Fate, differing: Sequence[tuple[Stage, date | None, date | None]], projects: Projects) -> Text:
    """A task whose fate changes."""
    words = ", ".join(f"{stage} {before or 'never'} → {after or 'never'}" for stage, before, after in differing)
    return line(fate, words, projects)


def difference_document(found: PolicyDifference, projects: Projects) -> dict[str, Any]:
    """What changes, as JSON."""
    return {
        "now": found.now.isoformat(),
        "at": found.at.isoformat() if found.at is not None else None,
        "tasks": found.tasks,
        "changed": found.changed,
        "same": not found.changed,
        "unreadable": found.unreadable,
        "changes": [
            {
                "policy": {"before": old or None, "after": new or None},
                "stage": stage,
                "tasks": one.tasks,
                "before": {**_span_document(one.before), "why_not": why_before or None},
                "after": {**_span_document(one.after), "why_not": why_after or None},
                "examples": [
                    {**_task(fate, projects), "before": _iso(before), "after": _iso(after)}
                    for fate, before, after in one.examples
                ],
            }
            for (old, new, stage, _, _, why_before, why_after), one in found.largest()
        ],
    }


def changed_document(
    fate: Fate, differing: Sequence[tuple[Stage, date | None, date | None]], projects: Projects
) -> dict[str, Any]:
    """A task whose fate changes, as JSON."""
    changes = [{"stage": stage, "before": _iso(before), "after": _iso(after)} for stage, before, after in differing]
    return {**_task(fate, projects), "policy": fate.policy or None, "changes": changes}


def _task(fate: Fate, projects: Projects) -> dict[str, Any]:
    return {
        "task": fate.id,
        "name": fate.name,
        "project": projects.get(fate.project, fate.project),
        "project_id": fate.project,
    }


def _span_document(days: Span) -> dict[str, Any]:
    return {"first": _iso(days.first), "last": _iso(days.last)}


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None
