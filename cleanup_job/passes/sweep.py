"""Orphans: task folders in a store whose task no longer has a record.

A folder is listed first, and its task looked up afterwards: a task has its record before its first file, so one that is just
being written is known. Once the first listing has shown that this is the right server, a second one deletes, and each folder is
looked at again. The server has to say of each task that it does not exist; a list without the task is not enough.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

from cleanup_job.errors import RefusedError
from cleanup_job.passes.ports import Audit, ClaimServer, SweepServer, SweepStorage
from cleanup_job.planning.claim import task_ids_in
from cleanup_job.planning.orphans import FoundFolder
from cleanup_job.planning.paths import Location, TaskFolder, TaskId
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, Sum, SweepReport

CHUNK = 500
"""Folders whose tasks are looked up together."""
FEWEST = 3
"""Young folders without a record from which on they can be a sign of the wrong server."""


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """What the settings say of one sweep."""

    delete: bool = False
    grace: timedelta = timedelta(days=30)
    known_one_in: int = 10
    """At least one folder in this many has to be known, or this is taken for the wrong server."""
    refuse_above: float = 0.5
    """No more than this share of the folders may be deleted."""
    sure: bool = False
    """The operator confirmed that it is the right server, however few folders it knows and however many would be deleted."""


@dataclass(slots=True)
class _Census:
    """Counts of the folders with files in them. Empty ones, which passes leave behind, are not a loss."""

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

    def __init__(  # noqa: PLR0913 -- all that is around a sweep
        self,
        server: SweepServer,
        options: SweepOptions,
        report: SweepReport,
        notify: Callable[[Orphan], None],
        stopped: Callable[[], bool] = lambda: False,
        *,
        audit: Audit | None = None,
    ) -> None:
        """``report`` is filled in during the sweep; ``notify`` gets each orphan once; ``audit`` keeps what is deleted."""
        self._server = server
        self._options = options
        self._report = report
        self._notify = notify
        self._stopped = stopped
        self._audit = audit
        self._census = _Census()

    def run(self, places: list[tuple[SweepStorage, Location]]) -> None:
        """Look through all places; then, if orphans are to be deleted, once more to delete them.

        Raises:
            CleanupError: the server or a store gives no usable answer, or it knows so few tasks that it may be the wrong one.
        """
        for storage, place in places:
            for orphan in self._orphans(storage, place, count=True):
                if not self._options.delete:
                    self._note(orphan)
        self._refuse_the_wrong_server()
        if self._options.delete:
            for storage, place in places:
                for orphan in self._orphans(storage, place, count=False):
                    self._note(done := self._delete(storage, orphan) if orphan.verdict is OrphanVerdict.FOUND else orphan)
                    if self._audit is not None and done.verdict in {OrphanVerdict.DELETED, OrphanVerdict.FAILED}:
                        self._audit.after_orphan(done)

    def _note(self, orphan: Orphan) -> None:
        self._report.sums.setdefault(orphan.verdict, Sum()).add(orphan)
        self._notify(orphan)

    def _orphans(self, storage: SweepStorage, place: Location, *, count: bool) -> Iterator[Orphan]:
        """The folders of a place whose tasks have no record, each with what may become of it."""
        claimed = claimed_tasks(self._server)
        listing = storage.folders(place)
        while (chunk := list(islice(listing, CHUNK))) and not self._stopped():
            unknown = self._without_a_record({found.folder.task for found in chunk}, claimed)
            judged = [(found, self._judged(found) if found.folder.task in unknown else None) for found in chunk]
            if count:
                self._count(judged)
            for _, orphan in judged:
                if orphan is not None and not self._stopped():
                    yield orphan

    def _without_a_record(self, tasks: set[TaskId], claimed: set[TaskId]) -> set[TaskId]:
        """Those of which the server has neither a record nor a model, and in whose folders no other record names a file."""
        unknown = tasks - self._server.existing(tasks) - claimed
        return unknown - self._server.models_of(unknown).keys() if unknown else unknown

    def _count(self, judged: list[tuple[FoundFolder, Orphan | None]]) -> None:
        self._report.folders += len(judged)
        self._report.known += sum(orphan is None for _, orphan in judged)
        for found, orphan in judged:
            if found.files:
                self._census.add(orphan.verdict if orphan else None, young=self._is_young(found))

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
        """Before the first deletion: with a wrong server, a fresh database or an old backup, living tasks look like orphans."""
        if not (self._stopped() or self._options.sure) and (why := self._why_wrong_server()):
            raise RefusedError(
                f"{self._report.server} {why}: on a wrong server, a fresh database or one from an old backup, tasks that are "
                f"needed would be taken for gone. Nothing was deleted. If this is the right server, say so: --i-know "
                f"{self._report.server}"
            )

    def _why_wrong_server(self) -> str:
        there, options = self._census, self._options
        if there.known * options.known_one_in < there.folders:
            return (
                f"knows {there.known} of {there.folders} tasks whose folders are there, fewer than one in "
                f"{options.known_one_in} (CLEANUP_SWEEP_KNOWN_ONE_IN)"
            )
        if there.young_unknown >= max(FEWEST, there.young // 2 + 1):
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
        """Delete one, if a listing of it alone and the server still say that it is an orphan."""
        folder = TaskFolder(orphan.store, orphan.path, orphan.task)
        found = next(storage.folders(Location(orphan.store, orphan.path)), None)
        if found is None or found.folder != folder:
            return replace(orphan, verdict=OrphanVerdict.ODD, detail="it has changed since it was listed")
        again = self._judged(found)
        if again.verdict is not OrphanVerdict.FOUND:
            return again
        if not self._server.is_gone(orphan.task) or self._server.models_of([orphan.task]):
            return replace(orphan, verdict=OrphanVerdict.ODD, detail="its task, or a model of it, has a record after all")
        if self._audit is not None:
            self._audit.before_orphan(again)
        removed = storage.delete([folder])
        if folder in removed.failed:
            return replace(again, verdict=OrphanVerdict.FAILED, detail=removed.failed[folder])
        return replace(again, verdict=OrphanVerdict.DELETED)


def claimed_tasks(server: ClaimServer) -> set[TaskId]:
    """The tasks in whose folders another record names a file, or writes: a pass has kept such files there."""
    found: set[TaskId] = set()
    for model in server.all_models():
        found |= (task_ids_in(model.uri) | model.mentions) - {model.task}
    for claimant in server.claimants("all"):
        named = (task_ids_in(uri) for uri in (*claimant.uris, claimant.destination))
        found |= claimant.mentions.union(*named) - {claimant.id}
    return found
