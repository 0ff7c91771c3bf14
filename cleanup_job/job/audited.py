"""The audit log of a run: where it is opened, how it begins and ends, and where logs are found again."""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from cleanup_job import wiring
from cleanup_job.errors import AuditError, CleanupError, SettingsError
from cleanup_job.job import pod
from cleanup_job.planning.outcome import Report
from cleanup_job.planning.paths import AUDIT_LOG, Location
from cleanup_job.planning.sweep_outcome import SweepReport
from cleanup_job.report.audit_log import Log, find
from cleanup_job.report.audit_text import sentence
from cleanup_job.report.audit_writer import AuditLog, Place, Who
from cleanup_job.retry import Retry
from cleanup_job.settings.audit import IN_A_TASK, in_a_task_folder, is_bucket
from cleanup_job.settings.model import Settings, env_name, names, shown

Run = Literal["pass", "sweep"]
_MAY_PASS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""Errors that are not a wrong setting: trying again may help."""


@contextmanager
def audited(settings: Settings, connection: wiring.Login, run: Run, report: Report | SweepReport) -> Iterator[AuditLog | None]:
    """The audit log of a run; None without ``CLEANUP_AUDIT``, and for a run that deletes nothing.

    Raises:
        SettingsError: the folder or bucket can't be written to.
        AuditError: a line could not be written.
        UnreachableError: the server gives no usable answer.
    """
    log = _begun(settings, connection, run, report)
    if log is None:
        yield None
        return
    try:
        try:
            yield log
        except BaseException as error:
            with suppress(AuditError):  # what ended the run counts
                log.end(report, str(error) if isinstance(error, CleanupError) else type(error).__name__)
            raise
        log.end(report, "")
    finally:
        with suppress(AuditError):
            log.close()
        if isinstance(report, Report):
            report.audit, report.audit_hash = log.place.name, log.hash


def _begun(settings: Settings, connection: wiring.Login, run: Run, report: Report | SweepReport) -> AuditLog | None:
    """The log with its first line."""
    from cleanup_job.clearml_api.current_user import current_user  # noqa: PLC0415 -- clearml is slow to import

    value, started, host = settings.audit.audit, report.started, pod.NAME
    if value is None:
        return None
    name = f"{AUDIT_LOG}{started:%Y%m%dT%H%M%S.%fZ}-{re.sub('[^A-Za-z0-9-]', '-', host)}"
    deletes = settings.sweep.sweep_delete if run == "sweep" else not settings.run.dry_run
    place = _place(settings, connection.retry, value, name, create=deletes)
    if place is None:
        return None
    user, user_name = current_user(connection.transport)
    who = Who(
        version=version("clearml-cleanup"),
        server=settings.connection.api_host,
        user=user,
        user_name=user_name,
        host=host,
        job=settings.cluster.job or "",
        cronjob=settings.cluster.cronjob or "",
        namespace=settings.cluster.lease_namespace or "",
    )
    log = AuditLog(place, value, records=settings.audit.audit_records)
    try:
        log.begin(run, who, started, [(env_name(one), shown(one, _text(settings.value(one)))) for one in names()])
    except AuditError as error:
        if isinstance(error.__cause__, PermissionError):
            raise SettingsError(str(error)) from error
        raise
    return log


def _text(value: Any) -> str:
    """A setting's value as it would be written; empty where there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)


def _place(settings: Settings, retry: Retry, value: str, name: str, *, create: bool) -> Place | None:
    """Where to write; with ``create`` false, only check that it could be written to, as far as that can be seen."""
    if is_bucket(value):
        from cleanup_job.storage.audit_places import BucketParts  # noqa: PLC0415 -- obstore is only needed here

        client, place = _bucket(settings, retry, value)
        return BucketParts(client, place, name, retry) if create else None
    from cleanup_job.storage.audit_places import FolderFile  # noqa: PLC0415 -- as above

    if in_a_task_folder(os.path.realpath(value)):  # symbolic links may lead into one
        raise SettingsError(f"CLEANUP_AUDIT={value} ({os.path.realpath(value)}): {IN_A_TASK}")
    try:
        if not create:
            _see_that_it_can_be_written(Path(value))
            return None
        return FolderFile(Path(value), name)
    except OSError as error:
        kind = AuditError if error.errno in _MAY_PASS else SettingsError
        raise kind(
            f"CLEANUP_AUDIT={value}: no file can be created there ({error.strerror}). Name a folder that exists and that the "
            "job may write to; in Kubernetes, a mounted volume (extraVolumes, extraVolumeMounts)."
        ) from error


def _see_that_it_can_be_written(folder: Path) -> None:
    """Look without creating anything.

    Raises:
        OSError: it can't.
    """
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _bucket(settings: Settings, retry: Retry, value: str) -> tuple[Any, Location]:
    """A client for the bucket that a URL names, and the place in it. No store: nothing can be deleted by it.

    Raises:
        SettingsError: it can't be opened.
    """
    from cleanup_job.storage.buckets import NOT_OPEN, NoAccessError  # noqa: PLC0415 -- clearml is slow to import

    buckets = wiring.buckets(settings, retry, [value])
    place = buckets.locate(value)
    if place is None:
        raise SettingsError(f"CLEANUP_AUDIT={value}: {NOT_OPEN}")
    try:
        return buckets.open(place.store, retries=False), place
    except NoAccessError as error:
        raise SettingsError(f"CLEANUP_AUDIT={value}: {error}") from error


def audit_logs(places: Iterable[str], environ: Mapping[str, str] = os.environ) -> Iterator[Log]:
    """The audit logs at these places: files, folders, and URLs of buckets, for which settings are read.

    Raises:
        SettingsError: a place can't be read, or has no audit log.
    """
    from cleanup_job.storage import audit_places  # noqa: PLC0415 -- obstore is only needed here

    for place in places:
        try:
            if is_bucket(place):
                settings, _ = wiring.read_settings({}, environ)
                found = list(audit_places.in_bucket(*_bucket(settings, Retry(settings.run.attempts), place)))
            else:
                found = list(audit_places.in_folder(Path(place)))
        except OSError as error:
            raise SettingsError(f"{place}: it can't be read ({error.strerror or error})") from error
        if not found:
            raise SettingsError(f"{place}: there is no audit log in it, whose name begins with {AUDIT_LOG}")
        yield from found


def deletions_of(task: str, places: Iterable[str], environ: Mapping[str, str] = os.environ) -> tuple[list[dict[str, Any]], int]:
    """What the audit logs at these places say of the deletion of a task, each with a ``text`` for people; and their number.

    Raises:
        SettingsError: a place can't be read, or has no audit log.
    """
    logs = list(audit_logs(places, environ))
    try:
        return [found.as_document() | {"text": sentence(found)} for found in find(logs, task)], len(logs)
    except OSError as error:
        raise SettingsError(f"{', '.join(places)}: a log can't be read ({error.strerror or error})") from error
