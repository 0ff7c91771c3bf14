"""The audit log: what was deleted, written before it is."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator

from cleanup_job.planning.paths import names_a_task, report_folder
from cleanup_job.settings.fields import Group, option
from cleanup_job.settings.text import folder

IN_A_TASK = "it is in the folder of a task, which is deleted with the task; use a folder outside"
_BUCKETS = ("s3://", "gs://", "azure://")


def is_bucket(place: str) -> bool:
    """Whether a place is the URL of a bucket; otherwise it is a folder."""
    return place.startswith(_BUCKETS)


def _place(value: str) -> str:
    """A folder or the URL of a bucket in which no pass and no sweep can ever delete: outside of all task folders."""
    text = value.strip().rstrip("/")
    if not is_bucket(text):
        try:
            text = folder(text)
        except ValueError:
            message = "use the absolute path of a folder, such as /audit, or the URL of a bucket, such as s3://bucket/audit"
            raise ValueError(message) from None
    _, _, path = text.rpartition("://")
    if in_a_task_folder(path):
        raise ValueError(IN_A_TASK)
    if "?" in path or "#" in path or "@" in path.partition("/")[0]:
        message = "use an address without user, query or fragment"
        raise ValueError(message)
    return text


def in_a_task_folder(path: str) -> bool:
    """Whether a path is, or lies in, what a pass or a sweep may take for the folder of a task or report."""
    segments = path.split("/")
    if any(map(names_a_task, segments)):
        return True
    return any(report_folder("", "/".join([*segments[at:], ""])) for at in range(len(segments)))


class AuditSettings(Group):
    """Where a run writes down what it deletes."""

    heading: ClassVar = "Audit log"
    sweeps: ClassVar = True

    audit: Annotated[str, AfterValidator(_place)] | None = option(
        None,
        "Keep an audit log in this folder or bucket (`s3://bucket/folder`, `gs://…`, `azure://…`): one new file for each pass, "
        "with a line for each task before it is deleted, and one after it. What can't be written there is not deleted (exit "
        "code 4). Default: no audit log.",
    )
    audit_records: bool = option(
        True,
        "With an audit log: copy the record of each task into it, so that parameters and metrics can still be read. A task "
        "whose record can't be copied is kept.",
        rare=True,
    )
