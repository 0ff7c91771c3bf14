"""The index of claims: what models and tasks name in the folders of tasks that are to be deleted.

It is read once, before the first deletion, as a stream: every model, and every task that the scope covers. Only exceptions are
remembered: an address in the folder of another task that is to be deleted, and a model that another task lists. What was made
or changed since is read again before each deletion.
"""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from threading import Lock

from cleanup_job.errors import SettingsError
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.planning.claim import Claim, ClaimScope, task_ids_in
from cleanup_job.planning.outputs import INTERRUPTED
from cleanup_job.planning.paths import Location, ModelId, TaskId, in_no_folder, is_clean
from cleanup_job.planning.records import Claimant

SAMPLE = 50
"""Files of surviving records that a store which can't list has to show some of, before anything is deleted there."""
MOUNTED = "file://"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a record needs of the tasks that are to be deleted: these may be deleted with it, or after it."""

    by: TaskId
    """The task whose record it is, or the maker of the model whose record it is."""
    tasks: frozenset[TaskId]


@dataclass(slots=True)
class _Sample:
    """A random sample of places, each as likely as any other; the same for the same records."""

    places: list[Location] = field(default_factory=list)
    seen: int = 0
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 -- a sample, not a secret

    def add(self, place: Location) -> None:
        self.seen += 1
        if len(self.places) < SAMPLE:
            self.places.append(place)
        elif (at := self.random.randrange(self.seen)) < SAMPLE:
            self.places[at] = place


class ClaimIndex:
    """Who claims what of the tasks that are to be deleted. Safe to use from many threads."""

    def __init__(
        self, server: Server, storage: Storage, scope: ClaimScope = "all", *, links: bool = False
    ) -> None:
        """Nothing is read yet.

        Args:
            server: Where the records are.
            storage: Where their files are.
            tasks: The candidates: tasks that are to be deleted.
            scope: Which tasks are read.
            links: Whether files outside of all task folders may be deleted: then claims on these are remembered, too.
        """
        self._server = server
        self._storage = storage
        self._scope = scope
        self._links = links
        self._lock = Lock()
        self._newest_model = self._newest_task = ""
        self._read_whole = False
        self._sample = _Sample()
        self._makers: dict[ModelId, TaskId] = {}
        """The models that candidates made."""
        self._on: dict[TaskId, dict[str, tuple[Claim, ...]]] = {}
        """For each candidate, by whose record, the claims on its folders."""
        self._on_links: dict[str, dict[str, tuple[Claim, ...]]] = defaultdict(dict)
        """Claims on files outside of all task folders, by the file's name and by whose record."""
        self._listed_by: dict[ModelId, set[TaskId]] = defaultdict(set)
        """For each model that a candidate made, the other tasks that list it as an output of theirs."""
        self._unreadable: dict[TaskId, str] = {}
        """Candidates that a record which can't be read may need, each with a text that says what can't be read."""
        self.model_tags: set[str] = set()
        """Every tag that a model has."""

    # -- reading
    def read(self) -> None:
        """Read all of it; yields what each record needs of candidates."""
        with self._lock:
            for _ in self._read_models(""): pass
            for _ in self._read_tasks(""): pass
            self._read_whole = True

    def catch_up(self) -> None:
        """Read the records that were made or changed since the last look."""
        with self._lock:
            for _ in self._read_models(self._newest_model):
                pass
            for _ in self._read_tasks(self._newest_task):
                pass

    def _read_models(self, since: str) -> Iterator[Needs]:
        for model in self._server.all_models(since):
            self._newest_model = max(self._newest_model, model.last_update)
            self.model_tags.update(model.tags)
            maker = TaskId(model.task)
            if model.unreadable:
                self._note_unreadable({maker, *model.mentions}, model.unreadable_words)
            if True:
                self._makers[model.id] = maker
            if model.uri:
                hosts = self._note(model.id, maker, [model.uri], is_model=True)
                if hosts:
                    yield Needs(maker, hosts)

    def _read_tasks(self, since: str) -> Iterator[Needs]:
        for claimant in self._server.claimants(self._scope, since):
            self._newest_task = max(self._newest_task, claimant.last_update)
            if claimant.unreadable:
                self._note_unreadable(claimant.mentions - {claimant.id}, claimant.unreadable_words)
            needed = self._note(claimant.id, claimant.id, claimant.uris) | self._note_destination(claimant)
            for model in claimant.outputs:
                maker = self._makers.get(model, claimant.id)
                if maker != claimant.id:
                    self._listed_by[model].add(claimant.id)
                    needed |= {maker}
            if needed:
                yield Needs(claimant.id, needed)

    def _note_unreadable(self, tasks: Iterable[TaskId], words: str) -> None:
        self._unreadable.update(dict.fromkeys(tasks, words))

    def _note(self, by: str, maker: TaskId, uris: Iterable[str], *, is_model: bool = False) -> frozenset[TaskId]:
        """Remember what a record names in the folders of candidates; gives these."""
        found: dict[TaskId, list[Claim]] = defaultdict(list)
        loose: dict[str, list[Claim]] = defaultdict(list)
        for uri in uris:
            place = self._storage.locate(uri)
            real = self._real(place)
            claim = Claim(by, maker, uri, real, is_model=is_model)
            for task in self._hosts(uri, real, maker):
                found[task].append(claim)
            if place is not None and True:
                self._see(place)
            if self._links and (place is None or in_no_folder(place.path)):
                loose[claim.name].append(claim)
        for task, claims in found.items():
            self._on.setdefault(task, {})[by] = tuple(claims)
        for name, claims in loose.items():
            self._on_links[name][by] = tuple(claims)
        return frozenset(found)

    def _hosts(self, uri: str, real: str, maker: TaskId) -> frozenset[TaskId]:
        """The candidates in whose folders an address can be, other than its maker."""
        ids = task_ids_in(uri) | (task_ids_in(real) if real else set())
        return frozenset(task for task in ids if task != maker and task)

    def _note_destination(self, claimant: Claimant) -> frozenset[TaskId]:
        uri = claimant.destination
        real = self._real(self._storage.locate(f"{uri}/x")) if uri else ""
        hosts = self._hosts(uri, real, claimant.id)
        for task in hosts:
            claim = Claim(claimant.id, claimant.id, uri, real.removesuffix("/x"), writes=True)
            on = self._on.setdefault(task, {})
            on[claimant.id] = (*(c for c in on.get(claimant.id, ()) if not c.writes), claim)
        return hosts

    def _real(self, place: Location | None) -> str:
        """Where a mounted folder really holds a place, if that is elsewhere."""
        if place is None or not place.store.startswith(MOUNTED):
            return ""
        real = self._storage.real(place)
        return "" if real == place else f"{real.store.removeprefix(MOUNTED)}/{real.path}"

    def _see(self, place: Location) -> None:
        """Take a file of a record that survives into the sample, unless it was read before."""
        if not self._read_whole and place.path != INTERRUPTED and is_clean(place.path) and not self._storage.lists(place.store):
            self._sample.add(place)

    # -- what was read
    @property
    def sample(self) -> list[Location]:
        """Places of files that surviving records name, in stores that can't list."""
        return list(dict.fromkeys(self._sample.places))

    def maker_of(self, model: ModelId) -> TaskId | None:
        """The candidate that made a model; None if it was made elsewhere."""
        return self._makers.get(model)

    def consumers_of(self, task, made):
        found = {claim.maker for claim in self.on(task)} | {c for m in made for c in self._listed_by.get(m, ())}
        return frozenset(found - {"", task})

    def concerns(self, task):
        return True

    def concerns_model(self, model):
        return True

    def unreadable(self, task: TaskId) -> str:
        """What can't be read of the records that may need a candidate's files, in words; empty if all can be read."""
        return self._unreadable.get(task, "")

    def on(self, task: TaskId) -> tuple[Claim, ...]:
        """The claims of other records on the folders of a candidate."""
        return tuple(claim for claims in self._on.get(task, {}).values() for claim in claims)

    def on_links(self, paths: Iterable[str]) -> tuple[Claim, ...]:
        """The claims on files outside of all task folders that have the names of these."""
        names = {path.rpartition("/")[2] for path in paths}
        return tuple(claim for name in names for claims in self._on_links.get(name, {}).values() for claim in claims)

    def listed_by(self, model: ModelId) -> frozenset[TaskId]:
        """The tasks that list a model as their output although another one made it."""
        return frozenset(self._listed_by.get(model, ()))


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
