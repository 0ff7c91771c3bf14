"""What takes the space on a server, read from its records and, where stores are given, from their listings. Changes nothing.

    projects, users -> rules -> listings of stores, each folder with its task -> all tasks, newest first, with their models

A file in a place that is listed is counted there, and not where a record names it. Which addresses lead to such a place is
found out from the records: a fileserver's volume does not know by which names the fileserver is reached.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from cleanup_job.errors import AnswerError, SettingsError
from cleanup_job.passes.claim_index import MOUNTED
from cleanup_job.passes.ports import UsageServer, UsageStorage
from cleanup_job.passes.rules_now import rules_now
from cleanup_job.passes.sweep import claimed_tasks
from cleanup_job.planning.claim import task_ids_in
from cleanup_job.planning.outputs import INTERRUPTED
from cleanup_job.planning.paths import Location, TaskFolder, TaskId, unquoted
from cleanup_job.planning.records import Detail, Model, Task, Unreadable
from cleanup_job.planning.selection import Rules
from cleanup_job.planning.usage import Kind, Measured, Owner, Space, Usage, measured
from cleanup_job.settings.model import Settings

CHUNK = 500
"""Tasks, or parts of folders, that are looked up together."""
MOST_ADDRESSES = 100
"""Addresses of listed places that are remembered. A fileserver has a few names."""
_PLACE = re.compile(r"[a-z][a-z0-9+.-]*://[^/]+|(file://)?/[^/]+", re.IGNORECASE)
"""How an address begins that names a server or a folder."""
Places = Sequence[tuple[UsageStorage, Location]]


class Addresses:
    """Which addresses lead to the places that were listed."""

    def __init__(self, places: Places) -> None:
        """Only those that a store itself knows, so far."""
        self._places = places
        self._known: tuple[str, ...] = ()

    def learn(self, uri: str, folder: TaskFolder, place: Location) -> None:
        """Look for a further address of a place in a file that a task names, which has this folder there."""
        for form in (uri, unquoted(uri)):
            above, found, _ = form.partition(f"/{folder.path}/")
            is_new = found and _PLACE.match(above) and not form.startswith(self._known)
            if is_new and len(self._known) < MOST_ADDRESSES:
                self._known = (*self._known, f"{above}/{place.path}/" if place.path else f"{above}/")

    def lead_to(self, uri: str) -> bool:
        """Whether a file was counted in a listing, if it is there."""
        if uri.startswith(self._known) or unquoted(uri).startswith(self._known):
            return True
        return any(self._is_in(place, storage.locate(uri)) for storage, place in self._places)

    @staticmethod
    def _is_in(place: Location, found: Location | None) -> bool:
        if found is None or found.store != place.store:
            return False
        return not place.path or found.path.startswith(f"{place.path}/")


class Survey:
    """Reads what takes the space on one server."""

    def __init__(
        self,
        server: UsageServer,
        settings: Settings,
        places: Places,
        warn: Callable[[str], None],
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Nothing is read yet.

        Args:
            server: Where the records are.
            settings: They decide which tasks a pass may delete.
            places: What to list, each with its store; none may lie in another one.
            warn: Called with what people have to know.
            progress: Called now and then with what is being read.
        """
        self._server = server
        self._settings = settings
        self._addresses = Addresses(places)
        self._places = places
        self._warn = warn
        self._progress = progress
        self._rules: tuple[Rules, ...] = ()
        """As they are set and, if they concern drafts only, the same for tasks in any status."""
        self.projects: dict[str, str] = {}
        """Names by id, once they are read."""
        self.users: dict[str, str] = {}
        """The same; empty if the key may not read them."""
        self.usage = Usage(datetime.now(UTC))

    def run(self) -> None:
        """Read it all; the sums are in ``usage``.

        Raises:
            CleanupError: the server or a store gives no usable answer, or a filter names what does not exist.
        """
        found = rules_now(self._server, self._settings, self._warn)
        self.usage.now, self.projects = found.now, dict(found.projects)
        self._rules = (found.rules,) if found.rules.force_delete else (found.rules, _with_force(found.rules))
        self.users = self._users()
        claimed = claimed_tasks(self._server) if self._places else set()
        for storage, place in self._places:
            self._list(storage, place, claimed)
        self._read_tasks()
        for warning in {text: None for storage, _ in self._places for text in storage.warnings()}:
            self._warn(warning)

    # -- by which rules
    def _users(self) -> dict[str, str]:
        try:
            return self._server.users()
        except AnswerError as error:
            self._warn(f"users are shown by their ids, since their names can't be read: {error}")
            return {}

    # -- from listings
    def _list(self, storage: UsageStorage, place: Location, claimed: set[TaskId]) -> None:
        name = f"{place.store}/{place.path}".removeprefix(MOUNTED).rstrip("/")
        listed = self.usage.stores.setdefault(name, Space())
        parts = measured(place.store, storage.entries(place))
        while chunk := list(islice(parts, CHUNK)):
            tasks = {part.folder.task for part in chunk if part.folder is not None}
            details, models = self._server.details(tasks), self._server.models_of(tasks)
            self._learn_addresses(place, chunk, details, models)
            for part in chunk:
                listed.add(part.space)
                self._count(part, details, claimed, models)
            self._progress(f"{name}: {listed.files:,} files")

    def _learn_addresses(
        self,
        place: Location,
        chunk: Iterable[Measured],
        details: Mapping[TaskId, Detail | Unreadable],
        models: Mapping[TaskId, Iterable[Model]],
    ) -> None:
        for folder in {part.folder for part in chunk if part.folder is not None}:
            detail = details.get(folder.task)
            for _, uri, _ in _outputs(detail, models.get(folder.task, ())) if detail is not None else ():
                self._addresses.learn(uri, folder, place)

    def _count(self, part: Measured, details: Mapping[TaskId, Detail | Unreadable], *claimed: Container[TaskId]) -> None:
        """Count in a part of a listing. Without a record, and if no other record names a file there, it is an orphan."""
        found = details.get(part.folder.task) if part.folder is not None else None
        is_orphan = part.folder is not None and found is None and not any(part.folder.task in some for some in claimed)
        owner = self._owner(found) if found is not None else None
        self.usage.add(owner, Kind.ORPHANS if is_orphan else part.kind, part.space)

    # -- from records
    def _read_tasks(self) -> None:
        tasks = self._server.all_tasks()
        count = 0
        while chunk := list(islice(tasks, CHUNK)):
            models = self._server.models_of({_task(found).id for found in chunk} - {""})
            for found in chunk:
                owner = self._owner(found)
                self.usage.add_task(owner)
                if isinstance(found, Detail) and any(owner.slimmed):
                    self.usage.add_slimmed(owner, [_slimmed(found, rules) for rules in self._rules])
                for kind, space in self._recorded(found, models.get(owner.id, ())).items():
                    self.usage.add(owner, kind, space)
            count += len(chunk)
            self._progress(f"{count:,} tasks")

    def _recorded(self, found: Detail | Unreadable, models: Iterable[Model]) -> dict[Kind, Space]:
        """What the records of a task and its models name in its own folder, where that was not listed."""
        sums: dict[Kind, Space] = {}
        task = _task(found).id
        for kind, uri, size in dict.fromkeys(_outputs(found, models)):
            if task not in task_ids_in(uri):
                self.usage.elsewhere += 1
            elif not self._addresses.lead_to(uri):
                sums.setdefault(kind, Space()).add_file(size)
        return sums

    def _owner(self, found: Detail | Unreadable) -> Owner:
        return Owner.of(_task(found), self._rules, self.usage.now)


def _with_force(rules: Rules) -> Rules:
    life = rules.lifecycle
    return replace(rules, force_delete=True, lifecycle=life and replace(life, slims=True))


def _slimmed(found: Detail, rules: Rules) -> Space:
    """The artifacts in a task's own folder that slimming removes: of all else that it removes, no record has the size."""
    policy, space = rules.lifecycle.file.of(found.task) if rules.lifecycle is not None else None, Space()
    for one in found.artifacts:
        is_own = one.mode == "output" and found.task.id in task_ids_in(one.uri)
        if is_own and policy is not None and policy.slim is not None and policy.slim.removes_artifact(one.key):
            space.add_file(one.size)
    return space


def _task(found: Detail | Unreadable) -> Task | Unreadable:
    return found.task if isinstance(found, Detail) else found


def _outputs(found: Detail | Unreadable, models: Iterable[Model]) -> Iterator[tuple[Kind, str, int | None]]:
    """The files that records name, each with its size in bytes if that is known."""
    if isinstance(found, Detail):
        yield from ((Kind.ARTIFACTS, one.uri, one.size) for one in found.artifacts if one.mode == "output")
        yield from ((Kind.REPORTS, uri, None) for uri in found.assets)
    yield from ((Kind.MODELS, one.uri, None) for one in models if one.uri and not one.uri.endswith(f"/{INTERRUPTED}"))


def refuse_twice(places: Iterable[Location]) -> None:
    """See that no place lies in another one.

    Raises:
        SettingsError: one does, so its files would be counted twice.
    """
    names = [f"{place.store}/{place.path}".rstrip("/") for place in places]
    for n, name in enumerate(names):
        for other in names[:n] + names[n + 1 :]:
            if f"{name}/".startswith(f"{other}/"):
                raise SettingsError(f"--store {name} lies in --store {other}: it would be counted twice. Name only the latter.")
