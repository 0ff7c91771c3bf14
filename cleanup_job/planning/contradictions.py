"""Filters that leave nothing to delete on any server: a mistake, which would otherwise look like a clean server.

Every predicate of ``FILTERS`` asks whether a task has one of some names or ids. So if each one that a filter asks for is also
one that another filter with the same predicate leaves out or keeps, no task can be deleted. Nothing less is called a
contradiction. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cleanup_job.planning.filters import FILTERS, PROJECTS, RULES, Effect, Known, variable
from cleanup_job.planning.records import DRAFT
from cleanup_job.planning.selection import Rules

Ids = Mapping[str, frozenset[str]]
"""What each filter that is set stands for."""


def of_settings(filters: Any) -> str:
    """Why no task can be deleted, by what the settings' entries say alone; empty if one can."""
    return _found(filters, _entries(filters)) or _without_drafts(filters)


def of_rules(filters: Any, rules: Rules, known: Known) -> str:
    """Why no task can be deleted, by what the entries stand for on the server; empty if one can.

    A project that is gone may be one whose work is done: where the setting names such a one, too, nothing is wrong with it.
    """
    if not all(PROJECTS.find(entry, known) for name in _asked(filters) for entry in _projects(filters, name)):
        return ""
    never = frozenset(project for one in rules.thresholds for project in one.projects if _is_never(rules, project))
    return _found(filters, {one.name: one.ids for one in (*rules.only, *rules.exclude, *rules.keep)}, never)


def partly(filters: Any) -> Iterator[str]:
    """Entries that have no effect, because another setting has them, too."""
    entries = _entries(filters)
    for name in _asked(filters):
        for other in _against(name, entries):
            both = sorted(entries[name] & entries[other])
            yield f"{', '.join(both)} in {variable(name)} has no effect: {variable(other)} has it, too, and takes precedence."


def _entries(filters: Any) -> Ids:
    return {name: frozenset(getattr(filters, name)) for name in FILTERS if getattr(filters, name)}


def _asked(filters: Any) -> list[str]:
    """The filters that are set, and whose tasks alone may be deleted."""
    return [name for name in _entries(filters) if FILTERS[name].effect is Effect.ONLY]


def _projects(filters: Any, name: str) -> frozenset[str]:
    return _entries(filters)[name] if FILTERS[name].names is PROJECTS else frozenset()


def _against(name: str, ids: Ids) -> list[str]:
    """The filters that leave out or keep some of what a filter asks for."""
    return [
        other
        for other in ids
        if FILTERS[other].effect is not Effect.ONLY
        and FILTERS[other].matches is FILTERS[name].matches
        and ids[other] & ids[name]
    ]


def _found(filters: Any, ids: Ids, never: frozenset[str] = frozenset()) -> str:
    for name in _asked(filters):
        others = _against(name, ids)
        rest = ids[name].difference(*(ids[other] for other in others))
        if FILTERS[name].names is PROJECTS and rest & never:
            rest -= never
            others.append(RULES)
        if not rest:
            return (
                f"{_shown(filters, name)}, but {' and '.join(_shown(filters, other) for other in others)}: nothing can be "
                f"deleted, because all that {variable(name)} asks for is left out or kept. Change one of these settings, or "
                "unset it."
            )
    return ""


def _without_drafts(filters: Any) -> str:
    excluded = DRAFT in filters.exclude_statuses
    if filters.force_delete or (DRAFT in (filters.statuses or (DRAFT,)) and not excluded):
        return ""
    name = "exclude_statuses" if excluded else "statuses"
    return (
        f"{_shown(filters, name)}, but CLEANUP_FORCE_DELETE=false: nothing can be deleted, because that leaves out drafts "
        f"(status {DRAFT}), and only drafts may be deleted. Set CLEANUP_FORCE_DELETE=true, or change {variable(name)}."
    )


def _is_never(rules: Rules, project: str) -> bool:
    """Whether the first threshold rule of a project, which counts, keeps its tasks."""
    return next(one.cutoff is None for one in rules.thresholds if project in one.projects)


def _shown(filters: Any, name: str) -> str:
    return f"{variable(name)}={','.join(getattr(filters, name))}"
