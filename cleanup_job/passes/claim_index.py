"""The index of claims: what models and tasks name in the folders of other tasks, and which models of others they list.

It is read once, before the first deletion, as a stream: every model, and every task that the scope covers. Which tasks will be
deleted is not known then, so all that a record names of another task is remembered, and nothing else: on a usual server that is
next to nothing. What was made or changed since is read again before each deletion.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import takewhile
from threading import Event, Lock
from typing import NamedTuple

from cleanup_job.errors import SettingsError
from cleanup_job.passes import survivors
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.planning.claim import Claim, ClaimScope, task_ids_in
from cleanup_job.planning.outputs import INTERRUPTED
from cleanup_job.planning.paths import Location, ModelId, TaskId, in_no_folder, is_clean
from cleanup_job.planning.records import DELETED_PREFIX, Claimant

MOUNTED = "file://"
NOT_MOUNTED = ("http://", "https://", "s3://", "gs://", "azure://")
"""How addresses begin that no mounted folder has. To locate a file takes as long as all else that is done about its address."""


class _Foreign(NamedTuple):
    """An address that a record names, and what it can mean outside of the folders of the record's own task."""

    claim: Claim
    tasks: set[TaskId]
    """Other tasks in whose folders it can be."""
    is_loose: bool
    """Whether it can be outside of all task folders, where that is of interest."""


class ClaimIndex:
    """Who claims what of which tasks. Safe to use from many threads.

    Whether a task is there, or is to be deleted, makes no difference here.
    """

    def __init__(
        self,
        server: Server,
        storage: Storage,
        scope: ClaimScope = "all",
        *,
        links: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Nothing is read yet.

        Args:
            server: Where the records are.
            storage: Where their files are.
            scope: Which tasks are read.
            links: Whether files outside of all task folders may be deleted: then claims on these are remembered, too.
            stopped: Whether the pass has to end. What is read by then is incomplete, and nothing may be deleted with it.
        """
        self._server = server
        self._storage = storage
        self._scope = scope
        self._links = links
        self._stopped = stopped
        self._is_read = False
        self._reading = Lock()
        """Held while records are read, which takes requests."""
        self._begun = self._ended = 0
        """How many looks at what has changed since have begun, and the number of the last one that was read to its end."""
        self._newest_model = self._newest_task = ""
        self._pools = survivors.Pool(), survivors.Pool()
        """Files that models and tasks name."""
        self._failed = Event()
        self.sample: list[Location] = []
        """Places of files that surviving records name, in stores that can't list. Empty until all is read."""
        self.model_tags: set[str] = set()
        """Every tag that a model has."""
        self._known = Lock()
        """Held while one of the following is changed or read."""
        self._on: dict[TaskId, list[Claim]] = defaultdict(list)
        """For each task the claims on its folders."""
        self._on_links: dict[str, list[Claim]] = defaultdict(list)
        """Claims on files outside of all task folders, by the file's name."""
        self._by: set[str] = set()
        """The models and tasks whose records these are."""
        self._holders: set[TaskId] = set()
        """The tasks with which these end, and those that list models of others."""
        self._listed_by: dict[ModelId, set[TaskId]] = defaultdict(set)
        """For each model that tasks list which did not make it, these tasks."""
        self._unreadable: dict[TaskId, str] = {}
        """Tasks that a record which can't be read may need, each with a text that says what can't be read."""

    # -- reading
    def read(self) -> None:
        """Read all of it, once: models and tasks at the same time. What was read before is not read again.

        Raises:
            AnswerError: something of it can't be read.
            UnreachableError: the server gives no usable answer.
        """
        with self._reading, ThreadPoolExecutor(2, "claims") as pool:
            if self._is_read:
                return
            try:
                for one in as_completed([pool.submit(self._read_models), pool.submit(self._read_tasks)]):
                    one.result()
            except BaseException:
                self._failed.set()  # what the other one reads is of no use any more
                raise
            if self._failed.is_set():
                return
            self.sample = survivors.sample(self._server, *self._pools)
            self._is_read = True

    def catch_up(self) -> None:
        """Read the records that were made or changed since the last look.

        Threads that wait for a look in progress share the next one: it begins after all of them have asked for it.

        Raises:
            AnswerError: something of it can't be read.
            UnreachableError: the server gives no usable answer.
        """
        wanted = self._begun + 1
        with self._reading:
            if self._ended >= wanted:
                return
            if not self._is_read:
                message = "claims that were not read to the end"
                raise RuntimeError(message)
            self._begun += 1
            self._read_models(self._newest_model)
            self._read_tasks(self._newest_task)
            self._ended = self._begun

    def _is_wanted(self, _: object) -> bool:
        if not self._is_read and self._stopped():
            self._failed.set()
        return not self._failed.is_set()

    def _read_models(self, since: str = "") -> None:
        for model in takewhile(self._is_wanted, self._server.all_models(since)):
            self._newest_model = max(self._newest_model, model.last_update)
            self.model_tags.update(model.tags)
            maker = TaskId(model.task)
            if model.unreadable:
                self._note_unreadable(model.mentions | {maker}, model.unreadable_words)
            if model.uri:
                if not model.unreadable:
                    self._see(self._pools[0], model.uri, maker)
                self._remember([*self._named(model.id, maker, [model.uri], is_model=True)])

    def _read_tasks(self, since: str = "") -> None:
        for claimant in takewhile(self._is_wanted, self._server.claimants(self._scope, since)):
            task = claimant.id
            self._newest_task = max(self._newest_task, claimant.last_update)
            if claimant.unreadable:
                self._note_unreadable(claimant.mentions - {task}, claimant.unreadable_words)
            for uri in claimant.uris if not claimant.archived else ():
                self._see(self._pools[1], uri, task)
            self._remember([*self._named(task, task, claimant.uris), *self._written(claimant)])
            if claimant.listed:
                with self._known:
                    self._holders.add(task)
                    for model in claimant.listed:
                        self._listed_by[model].add(task)

    def _note_unreadable(self, tasks: Iterable[TaskId], words: str) -> None:
        with self._known:
            self._unreadable.update((task, words) for task in tasks if task)

    def _named(self, by: str, maker: TaskId, uris: Iterable[str], *, is_model: bool = False) -> Iterator[_Foreign]:
        """What a record names of others."""
        for uri in uris:
            real = self._real(uri)
            tasks = _others_in(uri, real, maker)
            is_loose = self._links and _is_loose(self._storage.locate(uri))
            if tasks or is_loose:
                yield _Foreign(Claim(by, maker, uri, real, is_model=is_model), tasks, is_loose)

    def _written(self, claimant: Claimant) -> Iterator[_Foreign]:
        """The place that a task writes to, if it is one of others."""
        uri, task = claimant.destination, claimant.id
        real = self._real(f"{uri}/x").removesuffix("/x") if uri else ""
        if tasks := _others_in(uri, real, task):
            yield _Foreign(Claim(task, task, uri, real, writes=True), tasks, is_loose=False)

    def _remember(self, found: Sequence[_Foreign]) -> None:
        """Remember what one record names of others, in place of what it named when it was read before."""
        if not found:
            return
        on: dict[TaskId, list[Claim]] = defaultdict(list)
        on_links: dict[str, list[Claim]] = defaultdict(list)
        for claim, tasks, is_loose in found:
            for task in tasks:
                on[task].append(claim)
            if is_loose:
                on_links[claim.name].append(claim)
        by = found[0].claim.by
        with self._known:
            again = by in self._by
            for task, claims in on.items():
                _put(self._on[task], claims, again=again)
            for name, claims in on_links.items():
                _put(self._on_links[name], claims, again=again)
            self._holders.add(found[0].claim.maker)
            if by:  # without an id that can be read, each may be another record
                self._by.add(by)

    def _real(self, uri: str) -> str:
        """Where a mounted folder really holds a file, if that is elsewhere."""
        place = None if uri.startswith(NOT_MOUNTED) else self._storage.locate(uri)
        if place is None or not place.store.startswith(MOUNTED):
            return ""
        real = self._storage.real(place)
        return "" if real == place else f"{real.store.removeprefix(MOUNTED)}/{real.path}"

    def _see(self, pool: survivors.Pool, uri: str, task: TaskId) -> None:
        """Take a file into a sample, if it is one that can be looked for in a store that can't list."""
        if not pool.wants():
            return
        place = self._storage.locate(uri)
        if place is None or place.path == INTERRUPTED or not is_clean(place.path):
            return
        if not self._storage.lists(place.store):
            pool.add(place, task)

    # -- what was read
    def unreadable(self, task: TaskId) -> str:
        """What can't be read of the records that may need a task's files, in words; empty if all can be read."""
        with self._known:
            return self._unreadable.get(task, "")

    def on(self, task: TaskId) -> tuple[Claim, ...]:
        """The claims of other records on the folders of a task."""
        with self._known:
            return tuple(self._on.get(task, ()))

    def on_links(self, paths: Iterable[str]) -> tuple[Claim, ...]:
        """The claims on files outside of all task folders that have the names of these."""
        names = {path.rpartition("/")[2] for path in paths}
        with self._known:
            return tuple(claim for name in names for claim in self._on_links.get(name, ()))

    def listed_by(self, model: ModelId) -> frozenset[TaskId]:
        """The tasks that list a model as their output although another one made it."""
        with self._known:
            return frozenset(self._listed_by.get(model, ()))

    def consumers_of(self, task: TaskId, made: Iterable[ModelId]) -> frozenset[TaskId]:
        """The other tasks that name a task's files, in their own records or in those of models they made, or list its models.

        ``made``: the models that the task made.
        """
        makers = {claim.maker for claim in self.on(task) if not claim.maker.startswith(DELETED_PREFIX)}
        return frozenset(makers.union(*map(self.listed_by, made)) - {task, ""})

    def concerns(self, task: TaskId) -> bool:
        """Whether a claim ends with a task, or it lists models of others: it makes a difference then whether it was deleted."""
        with self._known:
            return task in self._holders

    def concerns_model(self, model: ModelId) -> bool:
        """Whether a model's own record claims a file of others: it makes a difference then whether the model is kept."""
        with self._known:
            return model in self._by


def _put(known: list[Claim], claims: list[Claim], *, again: bool) -> None:
    """Add the claims of a record, in place of earlier ones if it was read before."""
    if again:
        known[:] = [claim for claim in known if claim.by != claims[0].by]
    known += claims


def _is_loose(place: Location | None) -> bool:
    """Whether a file can be outside of all task folders."""
    return place is None or in_no_folder(place.path)


def _others_in(uri: str, real: str, maker: TaskId) -> set[TaskId]:
    """The tasks in whose folders an address can be, other than the one whose record, or whose model's record, has it."""
    return task_ids_in(uri).union(task_ids_in(real) if real else ()) - {maker}


def check_model_tags(wanted: Collection[str], known: Collection[str]) -> None:
    """Check that each tag of models to keep is one that a model has.

    Raises:
        SettingsError: one is not: it may be misspelled, and would keep nothing.
    """
    for tag in wanted:
        if tag not in known:
            raise SettingsError(
                f"CLEANUP_KEEP_MODEL_TAGS: no model has the tag {tag!r}. Correct or remove it: an unknown tag keeps nothing."
            )
