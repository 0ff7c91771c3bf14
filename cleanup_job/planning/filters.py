"""The filters: for each setting that names what tasks have, the predicate that it applies, and how its names become ids.

A filter is a field of ``FilterSettings`` and an entry of ``FILTERS`` under the same name. Pure: no I/O.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from cleanup_job.errors import SettingsError
from cleanup_job.planning.records import Task

NAMED = 10
"""Names in a warning."""
LONGEST = 36_500
"""Days that a threshold can have."""
RULES = "threshold_rules"
"""The setting with thresholds for single projects."""
POLICIES = "policies"
"""The setting with policies."""


class Effect(StrEnum):
    """What a filter does with the tasks that match."""

    ONLY = "only"
    """They alone may be deleted."""
    EXCLUDE = "exclude"
    """They are left out."""
    KEEP = "keep"
    """They are kept regardless of everything else, and reported as kept."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knows about the names in filters."""

    projects: Mapping[str, str]
    """Every project's name by its id."""
    users: Callable[[], Mapping[str, str]]
    """Reads every user's name by its id; only called if a filter names a user."""
    tag_exists: Callable[[str], bool]
    """Whether any task has a tag."""
    has_tasks: Callable[[str], bool]
    """Whether any task belongs to the user with this id, who may have been removed."""


@dataclass(frozen=True, slots=True)
class Names:
    """How the entries of a filter become what records hold."""

    find: Callable[[str, Known], Collection[str]] = lambda entry, _: {entry}
    """What an entry stands for; nothing if it matches nothing."""
    unknown: str = ""
    """What to say of entries that match nothing."""
    hint: str = ""
    """How to write them."""
    literal: bool = True
    """Whether an entry that matches nothing can still be what a record holds."""


Predicate = Callable[[Task, frozenset[str]], bool]
"""Whether a task matches the resolved names of a filter."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: what it does, which tasks it matches, and how its names are resolved."""

    effect: Effect
    matches: Predicate
    names: Names = Names()
    listed_by: str = ""
    """The field of ``Query`` that can narrow the listing to it."""
    words: Callable[[Task, frozenset[str]], str] = lambda *_: ""
    """What in a task matches, for people."""


def _in_project(task: Task, ids: frozenset[str]) -> bool:
    return task.project in ids


def _has_tag(task: Task, tags: frozenset[str]) -> bool:
    return not tags.isdisjoint(task.tags)


def _the_tag(task: Task, tags: frozenset[str]) -> str:
    return f"the tag {min(tags.intersection(task.tags))!r}"


def _is_of_type(task: Task, types: frozenset[str]) -> bool:
    return task.type in types


def _has_status(task: Task, statuses: frozenset[str]) -> bool:
    return task.status in statuses


def _is_of_user(task: Task, ids: frozenset[str]) -> bool:
    return task.user in ids


def _projects_found(entry: str, known: Known) -> frozenset[str]:
    """The ids of the projects that an entry names, including sub-projects."""
    exact = set(_projects_named(entry, known.projects))
    roots = tuple(name + "/" for name in exact)
    return frozenset(i for i, name in known.projects.items() if name in exact or (roots and name.startswith(roots)))


def _projects_named(entry: str, projects: Mapping[str, str]) -> list[str]:
    """The names of the projects that an entry names, without sub-projects."""
    pattern = re.compile(".*".join(map(re.escape, entry.split("*"))), re.DOTALL)
    return [name for i, name in projects.items() if i == entry or pattern.fullmatch(name)] if entry else []


def _users_found(entry: str, known: Known) -> Collection[str]:
    """The ids of the users that an entry names. A user who was removed is only known by the id, on tasks."""
    called = {i for i, name in known.users().items() if entry in {i, name}}
    return called or ({entry} if known.has_tasks(entry) else set())


PROJECTS = Names(
    _projects_found,
    "no project is called {} or has this id",
    "Project names are whole paths (`team/project`) and case-sensitive; `*` stands for any text.",
    literal=False,
)
TAGS = Names(lambda tag, known: {tag} if known.tag_exists(tag) else (), "no task has the tag {}")
USERS = Names(
    _users_found,
    "no user is called {}, and no task is of a user with this id",
    "Users who were removed from ClearML are named by id.",
)

FILTERS: Mapping[str, Filter] = MappingProxyType(
    {
        "projects": Filter(Effect.ONLY, _in_project, PROJECTS, listed_by="projects"),
        "tags": Filter(Effect.ONLY, _has_tag, TAGS),
        "types": Filter(Effect.ONLY, _is_of_type, listed_by="types"),
        "statuses": Filter(Effect.ONLY, _has_status, listed_by="statuses"),
        "users": Filter(Effect.ONLY, _is_of_user, USERS, listed_by="users"),
        "exclude_projects": Filter(Effect.EXCLUDE, _in_project, PROJECTS),
        "exclude_tags": Filter(Effect.EXCLUDE, _has_tag, TAGS),
        "exclude_statuses": Filter(Effect.EXCLUDE, _has_status),
        "exclude_users": Filter(Effect.EXCLUDE, _is_of_user, USERS),
        "keep_tags": Filter(Effect.KEEP, _has_tag, TAGS, words=_the_tag),
        "keep_projects": Filter(Effect.KEEP, _in_project, PROJECTS, words=lambda *_: "its project"),
    }
)
"""Every filter, by its setting's name."""


@dataclass(frozen=True, slots=True)
class ActiveFilter:
    """A filter of this pass, with its names resolved."""

    name: str
    ids: frozenset[str]

    @property
    def effect(self) -> Effect:
        """What it does with the tasks that match."""
        return FILTERS[self.name].effect

    @property
    def by_project(self) -> bool:
        """Whether projects decide: for a project that was created later, the answer is unknown."""
        return FILTERS[self.name].names is PROJECTS

    def matches(self, task: Task) -> bool:
        """Whether a task matches."""
        return FILTERS[self.name].matches(task, self.ids)

    def words(self, task: Task) -> str:
        """What in a task that matches does so."""
        return f"{FILTERS[self.name].words(task, self.ids)} is in {variable(self.name)}"


def active(filters: object, known: Known, warn: Callable[[str], None]) -> dict[Effect, tuple[ActiveFilter, ...]]:
    """The filters that are set, by what they do.

    What an ``ONLY`` filter names may no longer exist because its work is done: the filter then only asks for less. What any
    other filter names has to exist: a misspelled name would protect nothing.

    Args:
        filters: The settings' group: it has an attribute for each of ``FILTERS``.
        known: What the server knows.
        warn: Called with the names in ``ONLY`` filters that match nothing.

    Raises:
        SettingsError: a name in another filter matches nothing.
    """
    found: dict[Effect, list[ActiveFilter]] = {effect: [] for effect in Effect}
    for name, one in FILTERS.items():
        entries: Sequence[str] = getattr(filters, name)
        if entries:
            lenient = warn if one.effect is Effect.ONLY else None
            found[one.effect].append(ActiveFilter(name, resolved(name, entries, one.names, known, lenient)))
    return {effect: tuple(some) for effect, some in found.items()}


def resolved(
    setting: str, entries: Sequence[str], names: Names, known: Known, warn: Callable[[str], None] | None = None
) -> frozenset[str]:
    """What the entries of a setting stand for.

    Args:
        setting: Its name.
        entries: As they were written.
        names: How they are resolved.
        known: What the server knows.
        warn: Called with what matches nothing. Without it, that is an error.

    Raises:
        SettingsError: an entry matches nothing.
    """
    ids = {entry: frozenset(names.find(entry, known)) for entry in entries}
    missing = [entry for entry, found in ids.items() if not found]
    if missing and warn is None:
        said = names.unknown.format(repr(missing[0]))
        advice = f"Correct or remove it: an unknown name protects nothing. {names.hint}".rstrip()
        raise SettingsError(f"{variable(setting)}: {said}. {advice}")
    if missing and warn is not None:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        said = names.unknown.format(", ".join(map(repr, missing[:NAMED])) + more)
        warn(f"{variable(setting)}: {said}. Nothing is deleted because of that; correct it, or remove it if its work is done.")
    return frozenset().union(*ids.values(), missing if names.literal else ())


def needed_by(filters: object, projects: Mapping[str, str], without: Collection[str], policies: Collection[str] = ()) -> str:
    """The entry that would match nothing without some projects, so that the next pass refused; empty if there is none.

    Args:
        filters: The settings' group.
        projects: Every project's name by its id.
        without: Ids of projects that are to be deleted.
        policies: The projects that policies have to find, as they are written there.
    """
    left = {project: name for project, name in projects.items() if project not in without}
    for setting, entry in (*_projects_that_must_exist(filters), *((POLICIES, entry) for entry in policies)):
        if not _projects_named(entry, left) and _projects_named(entry, projects):
            return f"{entry!r} in {variable(setting)}"
    return ""


def _projects_that_must_exist(filters: object) -> Iterator[tuple[str, str]]:
    for name, one in FILTERS.items():
        if one.names is PROJECTS and one.effect is not Effect.ONLY:
            yield from ((name, entry) for entry in getattr(filters, name))
    yield from ((RULES, threshold_of(rule)[0]) for rule in getattr(filters, RULES))


def variable(setting: str) -> str:
    """The environment variable of a filter, for messages."""
    return f"CLEANUP_{setting.upper()}"


def threshold_of(rule: str) -> tuple[str, float | None]:
    """The project of an entry such as ``vision=90`` or ``vision/golden=never``, and its age in days; None for ``never``.

    Raises:
        ValueError: it is not such an entry.
    """
    project, _, days = (part.strip() for part in rule.rpartition("="))
    try:
        age = None if days == "never" else float(days)
    except ValueError:
        age = -1.0
    if not project or (age is not None and not 0 <= age <= LONGEST):
        message = f"wrong entry {rule!r}; write PROJECT=DAYS or PROJECT=never, with days from 0 to {LONGEST}"
        raise ValueError(message)
    return project, age
