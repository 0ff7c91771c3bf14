"""The filters as settings give them, and how their names become ids. Pure: no I/O."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cleanup_job.errors import SettingsError
from cleanup_job.planning.selection import Rules, Threshold

NAMED = 10
"""Names in a warning."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters as the settings give them: names, ids and days."""

    threshold: timedelta
    archived_for: timedelta = timedelta()
    drafts_only: bool = True
    projects: tuple[str, ...] = ()
    exclude_projects: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    exclude_statuses: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    exclude_users: tuple[str, ...] = ()
    include_hidden: bool = False
    include_pipeline_steps: bool = False
    keep_tags: tuple[str, ...] = ()
    keep_projects: tuple[str, ...] = ()
    thresholds: tuple[tuple[str, str, timedelta | None], ...] = ()
    """Each with its text, a project, and an age from which its tasks go; None: never."""
    never: frozenset[str] = frozenset()
    runs_of: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knows of what filters name."""

    projects: Mapping[str, str]
    """Every project's name by its id."""
    users: Mapping[str, str]
    """Every user's name by its id; only read where a user is named."""
    tag_exists: Callable[[str], bool]
    """Whether any task has a tag."""
    has_tasks: Callable[[str], bool]
    """Whether any task is of the user with this id, who may have been removed."""


def resolve(filters: Filters, now: datetime, known: Known, warn: Callable[[str], None]) -> Rules:
    """The rules of a pass that starts now.

    What an including filter names may be gone, as its work is done: the filter then only asks for less. What an exclusion, a
    keep rule or a threshold names has to be there: misspelled, it would protect nothing.

    Args:
        filters: As the settings give them.
        now: The one moment that all ages are taken from.
        known: What the server knows.
        warn: Told of names in including filters that match nothing.

    Raises:
        SettingsError: a project, user or tag of an exclusion, a keep rule or a threshold matches nothing.
    """
    projects = known.projects
    for setting, tags in (("CLEANUP_EXCLUDE_TAGS", filters.exclude_tags), ("CLEANUP_KEEP_TAGS", filters.keep_tags)):
        for tag in tags:
            if not known.tag_exists(tag):
                message = f"{setting}: no task has the tag {tag!r}. Correct it, or take it out: an unknown tag filters nothing."
                raise SettingsError(message)
    _tell_of_missing(warn, "CLEANUP_TAGS", "no task has the tag", [tag for tag in filters.tags if not known.tag_exists(tag)])
    missing = [one for one in filters.projects if not _named(one, projects)]
    _tell_of_missing(warn, "CLEANUP_PROJECTS", "no project is called, or has the id,", missing)
    chosen = [one for one in filters.projects if one not in missing]
    strangers = [one for one in filters.users if not _users_called(one, known.users) and not known.has_tasks(one)]
    _tell_of_missing(warn, "CLEANUP_USERS", "no user is called, and no task is of a user with the id,", strangers)
    return Rules(
        cutoff=now - filters.threshold,
        archived_before=now - filters.archived_for if filters.archived_for else None,
        drafts_only=filters.drafts_only,
        projects=_project_ids("CLEANUP_PROJECTS", chosen, projects) if filters.projects else None,
        exclude_projects=(
            _project_ids("CLEANUP_EXCLUDE_PROJECTS", filters.exclude_projects, projects) if filters.exclude_projects else None
        ),
        known_projects=frozenset(projects),
        tags=frozenset(filters.tags),
        exclude_tags=frozenset(filters.exclude_tags),
        types=frozenset(filters.types),
        statuses=frozenset(filters.statuses),
        exclude_statuses=frozenset(filters.exclude_statuses),
        # A user who was removed is known by the id alone: whatever is no name is taken for one, so that none of them is lost.
        users=frozenset(user for one in filters.users for user in _users_called(one, known.users) or {one}),
        exclude_users=_excluded_users(filters.exclude_users, known),
        include_hidden=filters.include_hidden,
        include_pipeline_steps=filters.include_pipeline_steps,
        keep_tags=frozenset(filters.keep_tags),
        keep_projects=_project_ids("CLEANUP_KEEP_PROJECTS", filters.keep_projects, projects) if filters.keep_projects else None,
        thresholds=tuple(
            Threshold(
                text, _project_ids("CLEANUP_THRESHOLD_RULES", [project], projects), now - age if age is not None else None
            )
            for text, project, age in filters.thresholds
        ),
        never=filters.never,
        runs_of=filters.runs_of,
        pipeline_projects=frozenset(i for i, name in projects.items() if ".pipelines" in name.split("/")),
    )


def needed_by(filters: Filters, projects: Mapping[str, str], without: Collection[str]) -> str:
    """What would match nothing any more without some projects, so that the next pass refused; empty where nothing would.

    Args:
        filters: As the settings give them.
        projects: Every project's name by its id.
        without: Ids of projects that are to be deleted.
    """
    left = {project: name for project, name in projects.items() if project not in without}
    for setting, entries in (
        ("CLEANUP_EXCLUDE_PROJECTS", filters.exclude_projects),
        ("CLEANUP_KEEP_PROJECTS", filters.keep_projects),
        ("CLEANUP_THRESHOLD_RULES", tuple(project for _, project, _ in filters.thresholds)),
    ):
        for one in entries:
            if not _named(one, left) and _named(one, projects):
                return f"{one!r} in {setting}"
    return ""


def _tell_of_missing(warn: Callable[[str], None], setting: str, what: str, missing: Sequence[str]) -> None:
    if missing:
        named = ", ".join(map(repr, missing[:NAMED]))
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        warn(f"{setting}: {what} {named}{more}. Nothing is deleted for that; take it out if its work is done, or correct it.")


def _named(wanted: str, projects: Mapping[str, str]) -> list[str]:
    """The names of the projects that an entry names, without their sub-projects."""
    pattern = re.compile(".*".join(map(re.escape, wanted.split("*"))), re.DOTALL)
    return [name for i, name in projects.items() if i == wanted or pattern.fullmatch(name)] if wanted else []


def _project_ids(setting: str, wanted: Iterable[str], projects: Mapping[str, str]) -> frozenset[str]:
    found: set[str] = set()
    for one in wanted:
        names = _named(one, projects)
        if not names:
            message = (
                f"{setting}: no project is called {one!r} or has this id. Project names are whole paths "
                "(`team/project`) and case counts; `*` stands for any text."
            )
            raise SettingsError(message)
        roots = tuple(name + "/" for name in names)
        exact = set(names)
        found |= {i for i, name in projects.items() if name in exact or name.startswith(roots)}
    return frozenset(found)


def _users_called(wanted: str, users: Mapping[str, str]) -> frozenset[str]:
    return frozenset(i for i, name in users.items() if wanted in {i, name})


def _excluded_users(wanted: Iterable[str], known: Known) -> frozenset[str]:
    found: set[str] = set()
    for one in wanted:
        ids = _users_called(one, known.users) or ({one} if known.has_tasks(one) else set())
        if not ids:
            message = (
                f"CLEANUP_EXCLUDE_USERS: no user is called {one!r}, and no task is of a user with this id. Correct it, or "
                "take it out: an unknown user excludes nothing. A user who was removed from ClearML is named by the id."
            )
            raise SettingsError(message)
        found |= ids
    return frozenset(found)
