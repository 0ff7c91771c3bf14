"""What all forms of the report say in the same words: sizes, counts, links, why a pass ended and what its exit code means."""

import re
from datetime import UTC, datetime
from urllib.parse import quote

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import ReasonSum, Report, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.redaction import redacted

LONGEST = 4000
"""Characters of one text in a line or a report."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MISLEADING = re.compile(r"[\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """Text on one line, without secrets and without what moves a terminal's cursor, turns text around or can't be written."""
    return shortened(_MISLEADING.sub("\ufffd", _UNPRINTABLE.sub(" ", redacted(str(text)))))


def shortened(text: str) -> str:
    """A text without secrets, cut where it is too long for a line: a record may name a file by an address of megabytes."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more characters)"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 file``, ``1,200 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004 -- of bytes
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"


def seconds(report: Report) -> float:
    """How long the pass took; 0 while it runs."""
    return (report.finished - report.started).total_seconds() if report.finished else 0.0


def seconds_left(done: int, total: int, elapsed: float) -> float:
    """How long the rest takes if it goes on like this; ``done`` is at least 1."""
    return elapsed * (total - done) / done


def duration(number: float) -> str:
    """Seconds as people read them."""
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{number:.1f} s"


def moment(text: str) -> str:
    """An ISO 8601 time as people read it."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def headline(report: Report) -> str:
    """The pass in one sentence."""
    total = report.total()
    known = f" ({size(total.bytes)} known)" if total.bytes else ""
    doing = "Dry run: would delete" if report.dry_run else "Deleted"
    what = f"{counted(total.tasks, 'task')}, {counted(total.models, 'model')} and {counted(total.files, 'file')}{known}"
    rest = (
        ("keep" if report.dry_run else "kept", total.kept),
        ("failed", total.failed),
        ("not ours", total.not_ours),
        ("already deleted by others", total.gone_already),
    )
    staying = ", ".join(f"{name} {number:,}" for name, number in rest if number)
    if report.files_missing:
        what += f" ({counted(report.files_missing, 'more file')} in their records {_was(report.files_missing)} not there)"
    part = f"Shard {report.shard} of {report.shards}: " if report.shard is not None else ""
    return f"{part}{doing} {what}; {staying}." if staying else f"{part}{doing} {what}."


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def verdict_of(entry: ReasonSum) -> Verdict | None:
    """What became of all tasks with this reason; None where it differs."""
    verdicts = {outcome.verdict for outcome in entry.examples}
    return verdicts.pop() if len(verdicts) == 1 else None


def by_weight(report: Report) -> list[ReasonSum]:
    """The reasons: failures first, then what was kept, then what is not ours; the most frequent first."""
    order = (Verdict.FAILED, None, Verdict.KEPT, Verdict.NOT_OURS, Verdict.DELETED)
    return sorted(report.reasons.values(), key=lambda entry: (order.index(verdict_of(entry)), -entry.count))


def left_over(number: int, stopped_by: StopReason | None) -> str:
    """How many tasks this pass did not come to, and why."""
    text = f"{counted(number, 'task')} {'is' if number == 1 else 'are'} left for the next pass"
    return f"{text}: {stopped_by.text}" if stopped_by else text


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
        return "if this folder can be mounted, mount it where the records say, and name it in the setting"
    if address.startswith(BUCKETS):
        return "if the job is to delete there, name this bucket or account with its credentials in that file (docs/stores.md)"
    return "this kind of store is not supported; the setting deletes the records and leaves the files"


def link(report: Report, task: TaskId, project_id: str) -> str:
    """The task's web page; empty where there is none, and never anything but a well-formed http address."""
    address = report.task_link(task, project_id)
    if not address.startswith(("http://", "https://")):
        return ""
    return quote(plain(address), safe=":/*?#@&=+,;%~-._[]$!")
