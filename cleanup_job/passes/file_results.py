"""What became of the files of some tasks, and whose records may be deleted now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.lifecycle.marks import Marks
from cleanup_job.planning.outcome import Reason, TaskOutcome, Verdict
from cleanup_job.planning.outcome_builder import OutcomeBuilder
from cleanup_job.planning.paths import KINDS, OwnedPath, TaskFile
from cleanup_job.planning.plan import Kept
from cleanup_job.planning.records import Removed, Size
from cleanup_job.settings.limits import FileSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResults:
    """Decides by what the stores answered whose record is kept."""

    outcomes: OutcomeBuilder
    settings: FileSettings

    def judge(self, plans: Sequence[Deletion], removed: Removed) -> tuple[list[TaskOutcome], list[Deletion]]:
        """Those that are kept because of a file, and those whose records may be deleted, with what their stores counted."""
        kept: list[TaskOutcome] = []
        ready: list[Deletion] = []
        keep_missing = self.settings.missing_files == "keep_record"
        broken = {deletion.unit for deletion in plans if _failed_paths(deletion, removed)}
        lost = {deletion.unit: deletion for deletion in plans if keep_missing and _is_lost(deletion, removed)}
        for deletion in plans:
            if deletion.unit in lost and deletion.unit not in broken:
                kept.append(self.outcomes.kept(_not_found(deletion, lost[deletion.unit])))
            elif deletion.unit in broken and self.settings.on_file_error == "keep_record":
                kept.append(self._not_deleted(deletion, removed))
            else:
                ready.append(_counted(deletion, removed))
        return kept, ready

    def _not_deleted(self, deletion: Deletion, removed: Removed) -> TaskOutcome:
        reasons = [f"{path.path}: {removed.failed[path]}" for path in _failed_paths(deletion, removed)]
        detail = "; ".join(reasons[:3]) or "a file of a task that it is deleted with could not be deleted"
        return self.outcomes.of(deletion.task, Verdict.FAILED, Reason.FILE_ERROR, detail)


def _failed_paths(deletion: Deletion, removed: Removed) -> list[OwnedPath]:
    return [path for path in deletion.paths if path in removed.failed]


def _is_lost(deletion: Deletion, removed: Removed) -> bool:
    """Whether nothing of a task was there, but its files may be there under another name.

    Of a slimmed task nothing need be left: its events still name what was removed.
    """
    if Marks.of(deletion.task.tags).slimmed is not None:
        return False
    return deletion.doubtful and bool(deletion.paths) and removed.missing.issuperset(deletion.paths)


def _not_found(deletion: Deletion, lost: Deletion) -> Kept:
    if deletion is not lost:
        detail = f"task {lost.task.id}, with which it is deleted, has files like that"
        return Kept(deletion.task, Reason.FILES_NOT_FOUND, detail)
    detail = (
        f"{lost.paths[0].path}: neither this nor another reading of its address is there. If its files are gone, "
        "CLEANUP_MISSING_FILES=delete_record deletes the record; if they are there under another name, remove them first"
    )
    return Kept(deletion.task, Reason.FILES_NOT_FOUND, detail)


def _counted(deletion: Deletion, removed: Removed) -> Deletion:
    """A task with what its stores counted, and without what was not there under any of its names."""
    counted = _sum(removed.sizes[path] for path in deletion.paths if path in removed.sizes)
    recorded = [path for path in deletion.paths if path not in removed.sizes and path not in deletion.guesses]
    absent = _sum(size for path in recorded for size in _absent_sizes(path, deletion, removed))
    missing = min(deletion.files, absent.files)
    if not (missing or absent.bytes or counted.files or counted.bytes):
        return deletion
    return replace(
        deletion,
        files=deletion.files - missing + counted.files,
        bytes=deletion.bytes - absent.bytes + counted.bytes,
        unsized=max(0, min(deletion.unsized - absent.unsized, deletion.files - missing)),
        files_missing=missing,
    )


def _absent_sizes(path: OwnedPath, deletion: Deletion, removed: Removed) -> list[Size]:
    """What records say of the files at a path that were not there under any of its names."""
    absent = _absent(path, removed).intersection(*(_absent(other, removed) for other in deletion.others.get(path, ())))
    parts = {"": Size(1)} if isinstance(path, TaskFile) else deletion.recorded.get(path, {})
    return [size for kind, size in parts.items() if kind in absent]


def _absent(path: OwnedPath, removed: Removed) -> frozenset[str]:
    """Those of the ``KINDS`` in a folder that were not there; of a file, an empty text."""
    return KINDS | {""} if path in removed.missing else removed.parts.get(path, frozenset())


def _sum(sizes: Iterable[Size]) -> Size:
    files = total = unsized = 0
    for size in sizes:
        files += size.files
        total += size.bytes
        unsized += size.unsized
    return Size(files, total, unsized)
