"""Orphans: task folders in a store whose record is long gone.

A folder is listed first, and its task asked for afterwards: a task has its record before its first file, so one that is being
written meanwhile is known. Deletion takes a second listing once the first one has shown that this is the right server, and
looks at each folder again; the server has to say of each task that there is none, not merely leave it out of a list.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

from cleanup_job.errors import RefusedError
from cleanup_job.passes.ports import SweepServer, SweepStorage
from cleanup_job.planning.claim import task_ids_in
from cleanup_job.planning.orphans import FoundFolder
from cleanup_job.planning.paths import Location, TaskFolder, TaskId
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, Sum, SweepReport

MANY = 500
"""Folders whose tasks are asked for together."""
FEW = 3
"""So many young folders without a record, or more, can be a sign of the wrong server; fewer are not."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the settings say of one sweep."""

    delete: bool = False
    grace: timedelta = timedelta(days=30)
    known_one_in: int = 10
    """At least one folder in so many has to be known, or this is taken for the wrong server."""
    refuse_above: float = 0.5
    """No more than this share of the folders may be deleted."""
    sure: bool = False
    """The operator said that it is the right server, however few folders it knows and however many would be deleted."""


@dataclass(slots=True)
class _Census:
    """Folders with files in them: what a sweep would take away. Empty ones are what passes leave behind, and no loss."""

    folders: int = 0
    known: int = 0
    young: int = 0
    young_unknown: int = 0
    orphans: int = 0
    """Those that would be deleted."""

    def add(self, verdict: OrphanVerdict | None, *, young: bool) -> None:
        """Count a folder in; without a verdict it is known."""
        self.folders += 1
        self.known += verdict is None
        self.young += young
        self.young_unknown += young and verdict is not None
        self.orphans += verdict is OrphanVerdict.FOUND


class Sweep:
    """One sweep over some stores."""

    def __init__(
        self,
        server: SweepServer,
        options: Options,
        report: SweepReport,
        notify: Callable[[Orphan], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """``report`` is filled in as the sweep goes; ``notify`` gets each orphan once."""
        self._server = server
        self._options = options
        self._report = report
        self._notify = notify
        self._stopped = stopped
        self._census = _Census()

    def run(self, places: list[tuple[SweepStorage, Location]]) -> None:
        """Look through all places; then, if that is wanted, once more to delete.

        Raises:
            CleanupError: the server or a store gives no usable answer, or what is unknown to the server is too much to be true.
        """
        for storage, place in places:
            for orphan in self._orphans(storage, place, count=True):
                if not self._options.delete:
                    self._note(orphan)
        self._refuse_the_wrong_server()
        if self._options.delete:
            for storage, place in places:
                for orphan in self._orphans(storage, place, count=False):
                    self._note(self._delete(storage, orphan) if orphan.verdict is OrphanVerdict.FOUND else orphan)

    def _note(self, orphan: Orphan) -> None:
        self._report.sums.setdefault(orphan.verdict, Sum()).add(orphan)
        self._notify(orphan)

    def _orphans(self, storage: SweepStorage, place: Location, *, count: bool) -> Iterator[Orphan]:
        """The folders of a place that nobody knows, each with what may become of it."""
        claimed = self._claimed()
        listing = storage.folders(place)
        while (chunk := list(islice(listing, MANY))) and not self._stopped():
            ids = {found.folder.task for found in chunk}
            unknown = ids - self._server.existing(ids) - claimed
            unknown -= self._server.models_of(unknown).keys() if unknown else set()
            if count:
                self._report.folders += len(chunk)
                self._report.known += sum(found.folder.task not in unknown for found in chunk)
            for found in chunk:
                orphan = self._judged(found) if found.folder.task in unknown else None
                if count and found.files:
                    self._census.add(orphan.verdict if orphan else None, young=self._is_young(found))
                if orphan is not None and not self._stopped():
                    yield orphan

    def _claimed(self) -> set[TaskId]:
        """Find the tasks in whose folders a record that is not theirs names a file, or writes: what a pass has kept there."""
        found: set[TaskId] = set()
        for model in self._server.all_models():
            found |= (task_ids_in(model.uri) | model.mentions) - {model.task}
        for claimant in self._server.claimants("all"):
            named = (task_ids_in(uri) for uri in (*claimant.uris, claimant.destination))
            found |= claimant.mentions.union(*named) - {claimant.id}
        return found

    def _judged(self, found: FoundFolder) -> Orphan:
        verdict = OrphanVerdict.FOUND
        if found.odd:
            verdict = OrphanVerdict.ODD
        elif self._is_young(found):
            verdict = OrphanVerdict.YOUNG
        folder, when = found.folder, found.youngest or found.changed
        return Orphan(folder.store, folder.path, folder.task, verdict, found.files, found.bytes, when, found.odd)

    def _is_young(self, found: FoundFolder) -> bool:
        when = found.youngest or found.changed
        return when is None or when > self._report.started - self._options.grace

    def _refuse_the_wrong_server(self) -> None:
        """Before the first deletion: on a wrong server, a fresh database or an old backup, living tasks would be orphans."""
        if not (self._stopped() or self._options.sure) and (why := self._doubt()):
            raise RefusedError(
                f"{self._report.server} {why}: on a wrong server, a fresh database or one from an old backup, tasks that are "
                f"needed would be taken for gone. Nothing was deleted. If this is the right server, say so: --i-know "
                f"{self._report.server}"
            )

    def _doubt(self) -> str:
        there, options = self._census, self._options
        if there.known * options.known_one_in < there.folders:
            return (
                f"knows {there.known} of {there.folders} tasks whose folders are there, fewer than one in "
                f"{options.known_one_in} (CLEANUP_SWEEP_KNOWN_ONE_IN)"
            )
        if there.young_unknown >= max(FEW, there.young // 2 + 1):
            return (
                f"does not know {there.young_unknown} of {there.young} tasks in whose folders files changed within the last "
                f"{options.grace.total_seconds() / 86400:g} days (CLEANUP_SWEEP_GRACE_DAYS)"
            )
        if there.orphans > there.folders * options.refuse_above:
            return (
                f"knows so few tasks that {there.orphans} of {there.folders} folders would be deleted, a larger share than "
                f"CLEANUP_SWEEP_REFUSE_ABOVE={options.refuse_above:g} allows"
            )
        return ""

    def _delete(self, storage: SweepStorage, orphan: Orphan) -> Orphan:
        """Delete one, if it is still an orphan by its own listing and by the server's word."""
        folder = TaskFolder(orphan.store, orphan.path, orphan.task)
        found = next(storage.folders(Location(orphan.store, orphan.path)), None)
        if found is None or found.folder != folder:
            return replace(orphan, verdict=OrphanVerdict.ODD, detail="it has changed since it was listed")
        again = self._judged(found)
        if again.verdict is not OrphanVerdict.FOUND:
            return again
        if not self._server.is_gone(orphan.task) or self._server.models_of([orphan.task]):
            return replace(orphan, verdict=OrphanVerdict.ODD, detail="its task, or a model of it, has a record after all")
        removed = storage.delete([folder])
        if folder in removed.failed:
            return replace(again, verdict=OrphanVerdict.FAILED, detail=removed.failed[folder])
        return replace(again, verdict=OrphanVerdict.DELETED)
