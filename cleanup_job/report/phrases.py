"""Sentences about a pass that all forms of the report share, and the order in which they give its reasons."""

from urllib.parse import quote

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import LeftOut, Reason, ReasonSum, Report, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import stages
from cleanup_job.report.formatting import at_least, counted, plain

VERDICT_NAMES = {
    Verdict.DELETED: "deleted",
    Verdict.WOULD_DELETE: "to delete",
    Verdict.KEPT: "kept",
    Verdict.FAILED: "failed",
    Verdict.NOT_OURS: "skipped",
    Verdict.GONE_ALREADY: "already deleted by others",
    Verdict.ARCHIVED: "archived",
    Verdict.WOULD_ARCHIVE: "to archive",
    Verdict.SLIMMED: "slimmed",
    Verdict.WOULD_SLIM: "to slim",
    Verdict.NOTICED: "announced",
    Verdict.WOULD_NOTICE: "to announce",
    None: "not deleted",
}
"""What became of a task, in words. None: tasks with the same reason ended differently."""
LINK_SAFE = ":/*?#@&=+,;%~-._[]$!"
"""Characters that a link keeps; all others but letters and digits are percent-encoded."""


def seconds(report: Report) -> float:
    """How long the pass took; 0 while it runs."""
    return (report.finished - report.started).total_seconds() if report.finished else 0.0


def seconds_left(done: int, total: int, elapsed: float) -> float:
    """How long the rest takes at the pace so far; ``done`` is at least 1."""
    return elapsed * (total - done) / done


def headline(report: Report) -> str:
    """The pass in one sentence."""
    total = report.total()
    known = f" ({at_least(total.bytes, total.unsized)})" if total.bytes or total.unsized else ""
    doing = "Dry run: would delete" if report.dry_run else "Deleted"
    what = f"{counted(total.tasks, 'task')}, {counted(total.models, 'model')} and {counted(total.files, 'file')}{known}"
    if report.files_missing:
        verb = "was" if report.files_missing == 1 else "were"
        what += f" ({counted(report.files_missing, 'more file')} in their records {verb} not there)"
    what = ", ".join([what, *stages.phrases(report)])
    part = f"Shard {report.shard} of {report.shards}: " if report.shard is not None else ""
    others = ", ".join(_not_deleted(report))
    return f"{part}{doing} {what}; {others}." if others else f"{part}{doing} {what}."


def _not_deleted(report: Report) -> list[str]:
    """How many of the other tasks ended how: ``17 kept``, ``1 skipped (public example)``."""
    total = report.total()
    counts = (
        (total.kept, "to keep" if report.dry_run else "kept"),
        (total.failed, "failed"),
        (total.not_ours, f"skipped ({_why_skipped(report, total.not_ours)})"),
        (total.gone_already, "already deleted by others"),
    )
    return [f"{number:,} {name}" for number, name in counts if number]


def _why_skipped(report: Report, number: int) -> str:
    examples = "public example" if number == 1 else "public examples"
    if Reason.FORBIDDEN not in report.reasons:
        return examples
    return f"{examples} or no write access" if Reason.PUBLIC in report.reasons else "no write access"


def verdict_of(entry: ReasonSum) -> Verdict | None:
    """What became of all tasks with this reason; None where it differs."""
    verdicts = {outcome.verdict for outcome in entry.examples}
    return verdicts.pop() if len(verdicts) == 1 else None


def by_weight(report: Report) -> list[ReasonSum]:
    """The reasons: of failures first, then of what was kept, then of what was skipped; the most frequent first."""
    order = (Verdict.FAILED, None, Verdict.KEPT, Verdict.NOT_OURS, *Verdict)
    return sorted(report.reasons.values(), key=lambda entry: (order.index(verdict_of(entry)), -entry.count))


def left_over(number: int, stopped_by: StopReason | None, *, at_least: bool = False) -> str:
    """How many tasks this pass did not get to, and why; ``at_least`` if it did not find all of them."""
    text = "More tasks may be left for the next pass"
    if number:
        least = "At least " if at_least else ""
        text = f"{least}{counted(number, 'task')} {'is' if number == 1 else 'are'} left for the next pass"
    return f"{text}: {stopped_by.text}" if stopped_by else text


def waiting(entry: LeftOut) -> str:
    """Archived tasks that the settings leave out, and the setting."""
    least = "at least " if entry.is_least else ""
    setting = f": set {entry.setting}" if "=" in entry.setting else f" ({entry.setting})"
    return f"{least}{entry.count:,} {entry.text}{setting}"


BUCKETS = ("s3://", "gs://", "azure://")


def store_setting(address: str) -> str:
    """The setting to add for a store that the job doesn't know."""
    if address.startswith(("http://", "https://")):
        return f"CLEANUP_FILES_URL_PREFIXES={address}"
    if address.startswith("file:"):
        return "CLEANUP_MOUNTED_FOLDERS=/the/folder"
    if address.startswith(BUCKETS):
        return "CLEARML_CONFIG_FILE=/the/clearml.conf"
    return "CLEANUP_UNKNOWN_STORES=delete_record"


def store_hint(address: str) -> str:
    """When to add it."""
    if address.startswith(("http://", "https://")):
        return "if this is the same fileserver under another name, add it to the setting"
    if address.startswith("file:"):
        return "if this folder can be mounted, mount it at the path in the records and name it in the setting"
    if address.startswith(BUCKETS):
        return "to let the job delete there, name this bucket or account with its credentials in that file (docs/stores.md)"
    return "this kind of store is not supported; the setting deletes the records and leaves the files"


def link(report: Report, task: TaskId, project_id: str) -> str:
    """The task's web page, always a well-formed http address; empty where there is none."""
    address = report.task_link(task, project_id)
    if not address.startswith(("http://", "https://")):
        return ""
    return quote(plain(address), safe=LINK_SAFE)
