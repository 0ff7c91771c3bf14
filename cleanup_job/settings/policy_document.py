"""Policies as people write them, checked, and what they become once the server's names are known.

Nothing that is unknown, empty or out of bounds is read as anything: it is an error. ``policy_file.py`` reads the file.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, WithJsonSchema, model_validator

from cleanup_job.errors import SettingsError
from cleanup_job.planning.filters import PROJECTS, TAGS, USERS, Known, Names
from cleanup_job.planning.lifecycle import policy as lifecycle
from cleanup_job.planning.lifecycle.caution import is_more_careful
from cleanup_job.planning.lifecycle.marks import PREFIX
from cleanup_job.planning.lifecycle.policy import Kind, LifecyclePolicy, PolicyFile, TagNames, duration
from cleanup_job.settings.filters import Status, TaskType

SETTING = "CLEANUP_POLICIES"


def _as_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        message = f"{value!r} is not a duration; write a number with m, h, d or w: 10m, 12h, 14d, 8w"
        raise ValueError(message)  # noqa: TRY004 -- pydantic reports ValueError as a validation error
    return duration(value)


Duration = Annotated[
    timedelta,
    BeforeValidator(_as_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}[mhdw]$", "examples": ["10m", "12h", "14d", "8w"]}),
]
Text = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?$")]
Find = Callable[[str, Sequence[str] | None, Names], frozenset[str] | None]
"""Gives what the names in a field stand for; None where there are none."""
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Match(_Part):
    """Which tasks a policy is for; all conditions have to hold."""

    projects: Texts | None = None
    """Projects by name or ID, with their sub-projects; `*` stands for any text."""
    statuses: Annotated[tuple[Status, ...], Field(min_length=1)] | None = None
    """Statuses, such as `failed`."""
    users: Texts | None = None
    """Owners, by name or ID."""
    types: Annotated[tuple[TaskType, ...], Field(min_length=1)] | None = None
    """Types, such as `training`."""
    tags: Texts | None = None
    """Tags, of which the task has one; `*` stands for any text, `?` for any character."""
    name: Text | None = None
    """A pattern for the whole name; `*` stands for any text, `?` for any character."""
    ran_less_than: Duration | None = None
    """Only tasks that ran for a shorter time."""


class Best(_Part):
    """The tasks of a project with the best values of a metric."""

    metric: Text | None = None
    """Title and series of the metric, as `validation/accuracy`. Where one of them has a `/`, write `title` and `series`."""
    title: Text | None = None
    """Title of the metric, in place of `metric`."""
    series: Text | None = None
    """Series of the metric, in place of `metric`."""
    order: Literal["max", "min"] = "max"
    """Whether a higher or a lower value is better. The best value of a run counts, not its last one."""
    count: Annotated[StrictInt, Field(ge=1, le=10_000)] = 1
    """How many tasks to keep; tasks with the same value as the last of them are kept, too."""

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        both = self.title is not None and self.series is not None
        neither = self.title is None and self.series is None
        if (self.metric is None) is neither or not (both or neither):
            message = "write either metric: title/series, or title and series"
            raise ValueError(message)
        if self.metric is not None and [bool(part.strip()) for part in self.metric.split("/")] != [True, True]:
            message = f"metric: {self.metric!r} is not title/series with one /; write title: and series: instead"
            raise ValueError(message)
        return self

    def resolved(self) -> lifecycle.Best:
        """As the rest of the job takes it."""
        title, _, series = (self.metric or "").partition("/")
        return lifecycle.Best(self.title or title, self.series or series, self.order, self.count)


class Keep(_Part):
    """What is kept as it is: never archived, slimmed or deleted."""

    last: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = None
    """So many tasks of each project: those with the newest activity."""
    best: Annotated[tuple[Best, ...], Field(min_length=1)] = ()
    """The tasks of each project with the best values of metrics."""
    tags: Texts | None = None
    """Tasks with one of these tags; `*` stands for any text, `?` for any character."""
    model_tags: Texts | None = None
    """Models with one of these tags are kept, with their files, although their task is deleted; in all policies."""

    @model_validator(mode="after")
    def _names_tags_of_models_in_full(self) -> Self:
        if found := next((one for one in self.model_tags or () if _is_pattern(one)), None):
            message = f"model_tags: {found!r} is a pattern, and tags of models are named in full; write each of them"
            raise ValueError(message)
        return self


class Archive(_Part):
    """Tasks are archived, which one click takes back."""

    after: Duration
    """From this age on."""


class Checkpoints(_Part):
    """Which output models are kept."""

    keep_last: Annotated[StrictInt, Field(ge=0, le=10_000)] = 1
    """So many of each task: the newest."""


class Artifacts(_Part):
    """Which artifacts are removed, by their names; `*` stands for any text, `?` for any character."""

    only: Texts | None = None
    """Only these."""
    except_: Annotated[Texts | None, Field(alias="except")] = None
    """All but these."""


class Slim(_Part):
    """Chosen outputs are removed, and the record of the task is kept."""

    after: Duration
    """From this age on."""
    remove: Annotated[tuple[Kind, ...], Field(min_length=1)]
    """What is removed: `debug_samples`, `plots`, `artifacts`, `checkpoints`, `console`."""
    checkpoints: Checkpoints | None = None
    """Which of the checkpoints are kept."""
    artifacts: Artifacts | None = None
    """Which of the artifacts are removed."""
    also: Literal["not_archived"] | None = None
    """`not_archived`: tasks that are not archived, too."""

    @model_validator(mode="after")
    def _removes_what_it_details(self) -> Self:
        for kind, part in ((Kind.CHECKPOINTS, self.checkpoints), (Kind.ARTIFACTS, self.artifacts)):
            if part is not None and kind not in self.remove:
                message = f"{kind}: has no effect, since remove does not list {kind}; add it there, or leave this out"
                raise ValueError(message)
        return self

    def resolved(self) -> lifecycle.Slim:
        """As the rest of the job takes it."""
        artifacts = self.artifacts or Artifacts()
        return lifecycle.Slim(
            after=self.after,
            remove=frozenset(self.remove),
            keep_last=(self.checkpoints or Checkpoints()).keep_last,
            artifacts_only=artifacts.only or (),
            artifacts_except=artifacts.except_ or (),
            also_not_archived=self.also is not None,
        )


class Delete(_Part):
    """Archived tasks are deleted, with their models, artifacts, debug samples and plots."""

    after: Duration
    """From this age on."""
    archived_for: Duration = timedelta()
    """And after so long in the archive."""


class Policy(_Part):
    """What becomes of some tasks."""

    name: Annotated[Text, Field(max_length=64)]
    """A name of its own, for reports."""
    match: Match = Match()
    """Which tasks it is for; all if it is left out."""
    keep: Literal["all"] | Keep = Keep()
    """What is kept as it is, or `all`."""
    archive: Archive | None = None
    """When tasks are archived; never if it is left out."""
    slim: Slim | None = None
    """When outputs are removed, and which; never if it is left out."""
    delete: Delete | None = None
    """When archived tasks are deleted; never if it is left out."""
    notice: Duration = timedelta()
    """How long before each of these a task gets a tag that announces it."""
    allow_shorter: StrictBool = False
    """Whether a tag such as `ttl=3d` may make them come sooner."""
    max_ttl: Duration | None = None
    """The age up to which such a tag may make them come later; any if it is left out."""

    @model_validator(mode="after")
    def _does_not_contradict_itself(self) -> Self:
        if self.keep == "all" and (self.archive or self.slim or self.delete):
            message = "keep: all leaves nothing to archive, slim or delete; remove it, or the stages"
            raise ValueError(message)
        return self

    def resolved(self, find: Find) -> LifecyclePolicy:
        """As the rest of the job takes it; ``find`` gives what the names in a field stand for."""
        keep = lifecycle.Keep(all=True) if self.keep == "all" else _resolved_keep(self.keep)
        find("keep.tags", [one for one in keep.tags if not _is_pattern(one) and "[" not in one] or None, TAGS)
        return LifecyclePolicy(
            name=self.name,
            match=_resolved_match(self.match, find),
            keep=keep,
            archive=self.archive.after if self.archive else None,
            slim=self.slim.resolved() if self.slim else None,
            delete=self.delete.after if self.delete else None,
            archived_for=self.delete.archived_for if self.delete else timedelta(),
            notice=self.notice,
            allow_shorter=self.allow_shorter,
            max_ttl=self.max_ttl,
        )


class TaskTags(_Part):
    """The names of tags by which the owner of a task decides."""

    keep: Text = "keep"
    """Keeps the task."""
    ttl: Text = "ttl"
    """With a duration, `ttl=14d`: the age up to which it lives."""
    expires: Text = "expires"
    """With a date, `expires=2026-12-31`: the last day of its life."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        names = (self.keep, self.ttl, self.expires)
        if len(set(names)) < len(names) or any(name.startswith(PREFIX) or "=" in name for name in names):
            message = f"write three different names, without = and not beginning with {PREFIX}"
            raise ValueError(message)
        return self


class PolicyDocument(_Part):
    """Policies for the life of tasks; the first one that matches a task counts."""

    policies: Annotated[tuple[Policy, ...], Field(min_length=1)]
    """In the order in which they are tried."""
    task_tags: StrictBool | TaskTags = False
    """Whether owners decide by tags of their tasks: `keep`, `ttl=14d`, `expires=2026-12-31`; or the names of these tags."""

    @model_validator(mode="after")
    def _have_names_of_their_own(self) -> Self:
        names = sorted(policy.name for policy in self.policies)
        if twice := next((one for one, other in pairwise(names) if one == other), None):
            message = f"two policies are called {twice!r}; give each a name of its own"
            raise ValueError(message)
        return self

    @property
    def tag_names(self) -> TagNames | None:
        """The names of the tags of owners; None if these decide nothing."""
        if isinstance(self.task_tags, TaskTags):
            return TagNames(self.task_tags.keep, self.task_tags.ttl, self.task_tags.expires)
        return TagNames() if self.task_tags else None

    @property
    def model_tags(self) -> frozenset[str]:
        """Models with one of these tags are kept."""
        keeps = [policy.keep for policy in self.policies if isinstance(policy.keep, Keep)]
        return frozenset(tag for keep in keeps for tag in keep.model_tags or ())

    def must_exist(self) -> list[str]:
        """The projects, as they are written, that a later policy would treat less carefully if they were not found."""
        protective = self._protective()
        return [project for policy in self.policies if policy.name in protective for project in policy.match.projects or ()]

    def _protective(self) -> frozenset[str]:
        """The names of policies that are more careful in anything than one behind them."""
        plain = [policy.resolved(lambda *_: None) for policy in self.policies]
        return frozenset(
            one.name for at, one in enumerate(plain) if any(is_more_careful(one, other) for other in plain[at + 1 :])
        )

    def resolved(self, known: Known, warn: Callable[[str], None]) -> PolicyFile:
        """With the server's names resolved.

        A name that matches nothing leaves its tasks to the policies behind. If one of these would treat them less carefully,
        that is an error; otherwise it is a warning, since what it names may be gone because its work is done.

        Raises:
            SettingsError: such a name, or a tag to keep that no task has.
        """
        protective = self._protective()

        def finder(policy: Policy) -> Find:
            def find(field: str, entries: Sequence[str] | None, names: Names) -> frozenset[str] | None:
                where = f"{SETTING}: {field} of policy {policy.name!r}"
                strict = policy.name in protective or field == "keep.tags"
                return None if entries is None else _found(where, entries, names, known, None if strict else warn)

            return find

        return PolicyFile(tuple(policy.resolved(finder(policy)) for policy in self.policies), self.tag_names)


FIELDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        where: frozenset(field.alias or name for name, field in part.model_fields.items())
        for where, part in dict[str, type[_Part]](
            {
                "the file": PolicyDocument,
                "a policy": Policy,
                "match": Match,
                "keep": Keep,
                "best": Best,
                "archive": Archive,
                "slim": Slim,
                "checkpoints": Checkpoints,
                "artifacts": Artifacts,
                "delete": Delete,
                "task_tags": TaskTags,
            }
        ).items()
    }
)
"""The keys that there are, by where they belong."""


def _resolved_match(match: Match, find: Find) -> lifecycle.Match:
    find("match.tags", [one for one in match.tags or () if not _is_pattern(one)] or None, TAGS)
    return lifecycle.Match(
        projects=find("match.projects", match.projects, PROJECTS),
        statuses=_set(match.statuses),
        users=find("match.users", match.users, USERS),
        types=_set(match.types),
        tags=match.tags,
        name=match.name,
        ran_less_than=match.ran_less_than,
    )


def _resolved_keep(keep: Keep) -> lifecycle.Keep:
    return lifecycle.Keep(
        last=keep.last or 0,
        best=tuple(one.resolved() for one in keep.best),
        tags=keep.tags or (),
        model_tags=frozenset(keep.model_tags or ()),
    )


def _set(values: Collection[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _is_pattern(tag: str) -> bool:
    return any(one in tag for one in "*?")


def _found(
    where: str, entries: Sequence[str], names: Names, known: Known, warn: Callable[[str], None] | None
) -> frozenset[str]:
    ids = {entry: frozenset(names.find(entry, known)) for entry in entries}
    missing = [entry for entry, found in ids.items() if not found]
    if missing:
        said = f"{where}: {names.unknown.format(', '.join(map(repr, missing)))}"
        if warn is None:
            raise SettingsError(f"{said}. Correct or remove it: an unknown name protects nothing. {names.hint}".rstrip())
        warn(f"{said}. It selects nothing; correct it, or remove it if its work is done.")
    return frozenset().union(*ids.values())
