"""What is removed from a task that is slimmed, and what of it is kept although its policy would remove it, with the reason.

Only single files are deleted, each named by what is removed: in the task's own folder, on a known store, and neither claimed by
another record nor named by anything that is kept. Pure: no I/O.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.lifecycle.fate import Step
from cleanup_job.planning.lifecycle.policy import Kind, LifecyclePolicy, Slim, Stage
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.outputs import External, Owned, UnknownStore, classify
from cleanup_job.planning.paths import Locate, ModelId, TaskFile, TaskFolder
from cleanup_job.planning.plan import Kept, unreadable
from cleanup_job.planning.protection import Claimed, Protection
from cleanup_job.planning.records import Artifact, Detail, Model, Removed, Task, Unreadable
from cleanup_job.planning.selection import Rules

File = str | Unreadable
"""The address of a file that an event names, or what can't be read of the events."""
_DATASETS = "dataset"
_REPORTS = frozenset({"report", "reports"})
"""The type of a report, and its system tag."""
EXTERNAL = "its file is not in the task's folder"
UNKNOWN_STORE = "its file is on a store that the job does not know"
UNUSABLE = "the address of its file is not safe to send to a store"
BESIDE = "its file is not where ClearML's SDK puts files"
NAMED_TWICE = "another record, or an output that is kept, names its file"
SAME_KEY = "two artifacts have this name"


Time = TypeVar("Time", datetime, str)


@dataclass(frozen=True, slots=True)
class Wrote:
    """What a task wrote: by its record, by those of its models, and by the events of all of these."""

    detail: Detail
    models: Sequence[Model] = ()
    created: Mapping[ModelId, datetime] = field(default_factory=dict)
    """When models were made, as far as that is known."""
    debug_samples: Sequence[File] = ()
    plots: Sequence[File] = ()
    of_models: Mapping[ModelId, Sequence[File]] = field(default_factory=dict)
    """The files of the models' own debug samples and plots, which are deleted with a model's record."""

    @property
    def files(self) -> Iterator[File]:
        """All files that events name."""
        yield from (*self.debug_samples, *self.plots)
        for some in self.of_models.values():
            yield from some


@dataclass(frozen=True, slots=True)
class Output:
    """One thing that a task wrote: it is removed with all its files, or kept with all of them."""

    kind: Kind
    uris: tuple[str, ...]
    artifact: Artifact | None = None
    model: Model | None = None
    size: int | None = None
    """Of its one file, in bytes; None if it is not known."""
    places: tuple[tuple[TaskFile, ...], ...] = ()
    """Where each of its files is, once that is known. More than one place: its address can be read in more ways, and ClearML's
    SDK can have meant any of them."""

    @property
    def files(self) -> Iterator[TaskFile]:
        """All of these places."""
        return (file for places in self.places for file in places)

    def lost_at(self, removed: Removed) -> TaskFile | None:
        """The place of a file that may be elsewhere: its address can be read in more ways, and it was not where any says."""
        return next((places[0] for places in self.places if len(places) > 1 and removed.missing.issuperset(places)), None)


@dataclass(frozen=True, slots=True)
class Slimmed:
    """What is removed from one task."""

    task: Task
    policy: LifecyclePolicy
    outputs: tuple[Output, ...] = ()
    clears_log: bool = False
    kept: Mapping[tuple[Kind, str], int] = field(default_factory=dict)
    """How many outputs of the chosen kinds are kept, by kind and reason."""
    kept_models: tuple[ModelId, ...] = ()
    protected: tuple[str, ...] = ()
    """Addresses in other records for which files are kept."""

    @property
    def removes(self) -> bool:
        """Whether anything is removed at all."""
        return bool(self.outputs) or self.clears_log

    @property
    def files(self) -> tuple[TaskFile, ...]:
        """The files to delete, each once."""
        return tuple(sorted({file for output in self.outputs for file in output.files}))

    @property
    def uris(self) -> tuple[str, ...]:
        """The addresses of these files, as records and events have them."""
        return tuple(dict.fromkeys(uri for output in self.outputs for uri in output.uris))

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Those to take out of the record once their files are gone."""
        return tuple(output.artifact for output in self.outputs if output.artifact is not None)

    @property
    def models(self) -> tuple[Model, ...]:
        """Those whose records are deleted once their files are gone."""
        return tuple(output.model for output in self.outputs if output.model is not None)

    def without(self, kinds: Iterable[Kind]) -> "Slimmed":
        """The same, apart from some kinds of outputs."""
        others = frozenset(kinds)
        return replace(self, outputs=tuple(output for output in self.outputs if output.kind not in others))

    def lost(self, removed: Removed) -> list[TaskFile]:
        """Files that may be elsewhere, of outputs that have an entry in a record: without it, no one would find them."""
        having = (output for output in self.outputs if output.artifact is not None or output.model is not None)
        return [place for output in having if (place := output.lost_at(removed)) is not None]

    def without_lost(self, removed: Removed) -> "Slimmed":
        """The same, apart from outputs with such files."""
        return replace(self, outputs=tuple(output for output in self.outputs if output.lost_at(removed) is None))

    def failed(self, removed: Removed) -> frozenset[Kind]:
        """The kinds of which a file could not be deleted: all of their entries are kept in the record."""
        return frozenset(one.kind for one in self.outputs if any(file in removed.failed for file in one.files))

    @property
    def kept_words(self) -> str:
        """What is kept, in a line for people; empty if nothing is."""
        parts = [f"{count:,} of {kind.value} ({why})" for (kind, why), count in sorted(self.kept.items())]
        return f"kept: {'; '.join(parts)}" if parts else ""


def why_left_alone(task: Task, now: Detail | Unreadable | None, step: Step, rules: Rules) -> Kept | None:
    """Why a task that was to be slimmed is left as it is; None if it may be slimmed.

    Args:
        task: As it was when that was decided.
        now: As it is; None if it is not there.
        step: What was decided.
        rules: By which it was decided.
    """
    if isinstance(now, Unreadable):
        return unreadable(now, now.field)
    if now is None:
        return Kept(task, Reason.CHANGED, "the server does not list it any more; the next pass looks again", absent=True)
    again = rules.step(now.task)
    same = again is not None and (again.stage, again.announced, again.policy) == (Stage.SLIM, None, step.policy)
    if not same or not _is_untouched(task, now.task):
        return Kept(
            now.task, Reason.CHANGED, "it was restored, run again or edited while the pass ran; the next pass looks again"
        )
    if _DATASETS in now.task.system_tags:
        return Kept(now.task, Reason.DATASET_IN_USE, "a dataset version is never slimmed: it could not be read any more")
    if now.task.type in _REPORTS or not _REPORTS.isdisjoint(now.task.system_tags):
        return Kept(now.task, Reason.IN_USE, "a report is never slimmed: its images are what it shows")
    return None


def _is_untouched(before: Task, now: Task) -> bool:
    return _state(before) == _state(now)


def _state(task: Task) -> tuple[object, ...]:
    return (*(task.status, task.status_changed, task.last_update, task.last_change), task.tags, task.system_tags, task.project)


def plan_slim(wrote: Wrote, policy: LifecyclePolicy, guard: Protection) -> Slimmed | Kept:
    """What is removed from a task that may be slimmed; or why it is kept: something of what it wrote can't be read.

    Args:
        wrote: All that it wrote.
        policy: Its own, which has a ``slim``.
        guard: What other records need of it: models that are kept, and claims.
    """
    task, slim = wrote.detail.task, policy.slim
    assert slim is not None  # noqa: S101 -- otherwise the stage does not come
    if (what := next((file for file in wrote.files if isinstance(file, Unreadable)), None)) is not None:
        return Kept(task, Reason.SERVER_ERROR, what.field) if what.refused else unreadable(task, what.field)
    chosen, stays, kept = _sorted_out(wrote, slim, guard)
    removed, named, protected = _all_but_named(chosen, stays, task, guard)
    kept.update((output.kind, NAMED_TWICE) for output in named)
    models = {output.model.id for output in removed if output.model is not None}
    return Slimmed(
        task,
        policy,
        tuple(removed),
        Kind.CONSOLE in slim.remove,
        kept,
        tuple(model.id for model in wrote.models if model.id not in models),
        protected,
    )


def _sorted_out(wrote: Wrote, slim: Slim, guard: Protection) -> tuple[list[Output], list[str], Counter[tuple[Kind, str]]]:
    """What is chosen and can be removed; the addresses of all else; and how much of what is chosen stays, with the reasons."""
    removed: list[Output] = []
    stays = [artifact.uri for artifact in wrote.detail.artifacts if artifact.mode != "output"]
    kept: Counter[tuple[Kind, str]] = Counter()
    for output, why in _outputs(wrote, slim, guard):
        found = why or _located(output, wrote.detail.task, guard.locate)
        if isinstance(found, Output):
            removed.append(found)
            continue
        stays += output.uris
        if output.kind in slim.remove and found != _NOT_CHOSEN:
            kept[output.kind, found] += 1
    return removed, stays, kept


# -- what is chosen
_NOT_CHOSEN = "not chosen"


def _outputs(wrote: Wrote, slim: Slim, guard: Protection) -> Iterator[tuple[Output, str]]:
    """All that a task wrote, each with why it is kept, apart from where its files are; empty if it is to be removed."""
    keys = Counter((artifact.key, artifact.mode) for artifact in wrote.detail.artifacts)
    for artifact in wrote.detail.artifacts:
        if artifact.mode == "output" and artifact.uri:
            chosen = slim.removes_artifact(artifact.key) and bool(artifact.key)
            why = "" if chosen else _NOT_CHOSEN
            twice = SAME_KEY if keys[artifact.key, artifact.mode] > 1 else ""
            yield Output(Kind.ARTIFACTS, (artifact.uri,), artifact=artifact, size=artifact.size), why or twice
    yield from _checkpoints(wrote, slim, guard)
    for kind, files in ((Kind.DEBUG_SAMPLES, wrote.debug_samples), (Kind.PLOTS, wrote.plots)):
        why = "" if kind in slim.remove else _NOT_CHOSEN
        for uri in dict.fromkeys(files):
            yield Output(kind, (str(uri),)), why


def _checkpoints(wrote: Wrote, slim: Slim, guard: Protection) -> Iterator[tuple[Output, str]]:
    task = wrote.detail.task
    outputs = {model.id: Output(Kind.CHECKPOINTS, _uris_of(model, wrote), model=model) for model in wrote.models}
    own = [model for model in wrote.models if isinstance(_located(outputs[model.id], task, guard.locate), Output)]
    last = _newest(own, wrote.created, slim.keep_last)
    for model in wrote.models:
        if Kind.CHECKPOINTS not in slim.remove:
            why = _NOT_CHOSEN
        elif model.id in last:
            why = f"the last {slim.keep_last}"
        else:
            why = _why_kept(model, guard)
        yield outputs[model.id], why


def _uris_of(model: Model, wrote: Wrote) -> tuple[str, ...]:
    return (model.uri, *dict.fromkeys(map(str, wrote.of_models.get(model.id, ()))))


def _newest(models: Sequence[Model], created: Mapping[ModelId, datetime], count: int) -> set[ModelId]:
    """Models that are among the last: by when they were made, or by when they were last changed; and of unknown age.

    A checkpoint that is written again and again has one record, made long ago; one that someone edits is changed late.
    """
    changed = {model.id: model.last_update for model in models if model.last_update}
    made = {model.id: created[model.id] for model in models if model.id in created}
    unknown = {model.id for model in models if model.id not in changed or model.id not in made}
    return _latest(changed, count) | _latest(made, count) | (unknown if count else set())


def _latest(times: Mapping[ModelId, Time], count: int) -> set[ModelId]:
    """Those with the latest times; of equal ones all."""
    if not count or not times:
        return set()
    order = sorted(times.values(), reverse=True)
    earliest = order[min(count, len(order)) - 1]
    return {model for model, time in times.items() if time >= earliest}


def _why_kept(model: Model, guard: Protection) -> str:
    if model.ready:
        return "published"
    if model.tags:
        return "it has a tag"
    return "used or listed by a task" if model.id in guard.models else ""


# -- where its files are
def _located(output: Output, task: Task, locate: Locate) -> Output | str:
    """An output with the places of its files; or why it has to be kept."""
    places: list[tuple[TaskFile, ...]] = []
    for number, uri in enumerate(output.uris):
        found = classify(uri, task.id, locate)
        if isinstance(found, External):
            if number and output.model is not None:
                continue  # a link in an event of a model: the file is not the task's, and the event goes with the record
            return EXTERNAL
        why = _why_not_deletable(found)
        if why or not isinstance(found, Owned):
            return why
        places.append((found.file, *(found.others if found.doubtful else ())))
    return replace(output, places=tuple(places))


def _why_not_deletable(found: object) -> str:
    if isinstance(found, UnknownStore):
        return UNKNOWN_STORE
    if not isinstance(found, Owned):
        return UNUSABLE
    return "" if all(file.kind for file in (found.file, *found.others)) else BESIDE


# -- what else names them
def _all_but_named(
    outputs: Sequence[Output], stays: Iterable[str], task: Task, guard: Protection
) -> tuple[list[Output], list[Output], tuple[str, ...]]:
    """The outputs of which no file is named elsewhere, the others, and the addresses in other records that name files.

    What is kept for that may in turn name files of others.
    """
    own = [_claim(task, uri) for uri in dict.fromkeys(stays) if uri]
    left, named = list(outputs), list[Output]()
    by_others = guard.claims.get(task.id, ())
    while True:
        held = _Held(replace(guard, claims={task.id: (*by_others, *own)}))
        kept, free = list[Output](), list[Output]()
        for output in left:
            (kept if any(held.holds(file) for file in output.files) else free).append(output)
        if not kept:
            return left, named, _protected(outputs, guard)
        named, left = named + kept, free
        own += [_claim(task, uri) for output in kept for uri in output.uris]


def _claim(task: Task, uri: str) -> Claim:
    return Claim(task.id, task.id, uri)


def _protected(outputs: Iterable[Output], guard: Protection) -> tuple[str, ...]:
    folders = {file.folder for output in outputs for file in output.files}
    return tuple(sorted({uri for folder in folders for uri in guard.of(folder).inside.values()}))


class _Held:
    """What is named in folders of a task; each folder is looked at once."""

    def __init__(self, guard: Protection) -> None:
        self._guard = guard
        self._in: dict[TaskFolder, Claimed] = {}

    def holds(self, file: TaskFile) -> bool:
        if file.folder not in self._in:
            self._in[file.folder] = self._guard.of(file.folder)
        return self._in[file.folder].holds(file.rest)


# -- what became of it
@dataclass(frozen=True, slots=True)
class Counts:
    """What was removed, or would be."""

    files: int = 0
    bytes: int = 0
    unsized: int = 0
    """Those of ``files`` whose size is not known."""
    files_missing: int = 0


def count(slimmed: Slimmed, removed: Removed) -> Counts:
    """Count what the stores have deleted, or found; what they don't say counts as the record has it."""
    sizes = {places: output.size for output in slimmed.outputs for places in output.places}
    not_failed = {places: size for places, size in sizes.items() if removed.failed.keys().isdisjoint(places)}
    there = {places: size for places, size in not_failed.items() if not removed.missing.issuperset(places)}
    known = [_bytes(places, size, removed) for places, size in there.items()]
    return Counts(len(there), sum(one or 0 for one in known), known.count(None), len(not_failed) - len(there))


def _bytes(places: Iterable[TaskFile], recorded: int | None, removed: Removed) -> int | None:
    """What a file had, by the stores that say so, otherwise by the record; None if neither does."""
    measured = [removed.sizes[file].bytes for file in places if file in removed.sizes and file not in removed.missing]
    return sum(measured) if measured else recorded
