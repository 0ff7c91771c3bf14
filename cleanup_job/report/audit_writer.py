"""The audit log of one run: what is going to be deleted is written before it is, and what was confirmed after it.

The lines are described in docs/audit.md. A log that failed once is not written to again: its chain would have a gap.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Protocol

import msgspec

from cleanup_job.errors import AnswerError, AuditError
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import NOTICES, Report, TaskOutcome
from cleanup_job.planning.paths import LinkedFile, OwnedPath, PartOfFolder, TaskFile, TaskId
from cleanup_job.planning.records import Model, Project, Task
from cleanup_job.planning.sweep_outcome import Orphan, SweepReport
from cleanup_job.redaction import cleaned
from cleanup_job.report.audit_chain import Chain, hash_of_settings
from cleanup_job.report.audit_log import STAGES

SCHEMA = 1
"""Raised when a field is removed or changes its meaning; new fields don't raise it."""
SETTING = "CLEANUP_AUDIT"
PIECE = 2**20
"""Bytes from which on lines are written before all of a batch are there: a task may have any number of files."""

LARGE = 2**20
"""Bytes from which on a record is large."""


class Place(Protocol):
    """Where a log is written: a file, or the objects below a prefix."""

    @property
    def name(self) -> str:
        """Its path or URL, for people."""

    def append(self, data: bytes, *, lasting: bool) -> None:
        """Add whole lines; with ``lasting``, return only when they, and all before them, will survive the end of the machine.

        Raises:
            OSError: they could not be written.
        """

    def close(self) -> None:
        """Write what still waits.

        Raises:
            OSError: it could not be written.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who runs it, and where. Each is empty if it is not known."""

    version: str
    server: str
    user: str = ""
    """The id of the user whose key the job has."""
    user_name: str = ""
    host: str = ""
    """The pod's name, which begins with its Job's; outside a pod, the machine's."""
    job: str = ""
    cronjob: str = ""
    namespace: str = ""


@dataclass(slots=True)
class AuditLog:
    """Writes one log. Safe to use from many threads."""

    place: Place
    value: str
    """What ``CLEANUP_AUDIT`` names, for messages."""
    records: bool = True
    """Whether a copy of each task's record goes into it."""
    _chain: Chain = field(default_factory=lambda: Chain(""), init=False)
    _lock: Lock = field(default_factory=Lock, init=False)
    _turns: Lock = field(default_factory=Lock, init=False)
    """For large records: as objects, several at the same time would take much memory."""
    _failure: AuditError | None = field(default=None, init=False)
    _at_a_stage: dict[TaskId, str] = field(default_factory=dict, init=False)
    """The event of the line from before, for each task that a policy is changing right now."""

    def begin(self, run: str, who: Who, started: datetime, settings: Sequence[tuple[str, str]]) -> None:
        """Write the first line: who deletes, from where, with which settings. ``run`` is what runs: ``pass`` or ``sweep``.

        Raises:
            AuditError: it could not be written.
        """
        shown = [list(row) for row in settings]
        self._chain = Chain(hash_of_settings(shown))
        line = {"schema": SCHEMA, "run": run, "started": _time(started), **_filled(cleaned(asdict(who))), "settings": shown}
        self._write("its first line", [_line("begin", **line)], lasting=True)

    def record(self, task: TaskId, record: bytes) -> None:
        """Copy the record of a task that is going to be deleted: the JSON that the server gave. Secrets in it are masked.

        Raises:
            AnswerError: the record can't be read.
            AuditError: it could not be written.
        """
        with self._turns if len(record) > LARGE else nullcontext():
            try:
                document = cleaned(msgspec.json.decode(record))
            except (ValueError, RecursionError) as error:
                raise AnswerError(f"the record of task {task} can't be read: {error}") from error
            self._write(f"the record of task {task}", [_line("record", task=task, record=document)])

    def before(self, planned: Sequence[tuple[Deletion, TaskOutcome, Sequence[str]]]) -> None:
        """Write what is deleted as soon as this returns: each task, the outcome that is planned for it, and why it may go.

        Raises:
            AuditError: it could not be written: nothing of it may be deleted.
        """
        what = f"the lines of {len(planned)} task{'' if len(planned) == 1 else 's'}"
        self._write(what, (_deletion(*one) for one in planned), lasting=True)

    def before_stage(self, planned: Sequence[tuple[Task, TaskOutcome, Sequence[str], Sequence[str]]]) -> None:
        """Write what policies do as soon as this returns, apart from deletion.

        Each task comes with the outcome that is planned for it, why it may be done, and the URIs of what is removed with it.

        Raises:
            AuditError: it could not be written: nothing of it may be done.
        """
        what = f"the lines of {len(planned)} task{'' if len(planned) == 1 else 's'}"
        self._at_a_stage |= {task.id: _event(outcome) for task, outcome, *_ in planned}
        self._write(what, (_stage(*one) for one in planned), lasting=True)

    def after(self, outcomes: Iterable[TaskOutcome]) -> None:
        """Write what became of these tasks.

        Raises:
            AuditError: it could not be written.
        """
        events = ((STAGES.get(self._at_a_stage.pop(outcome.task, ""), "deleted"), outcome) for outcome in outcomes)
        self._write("what became of some tasks", (_line(event, **_result(outcome)) for event, outcome in events))

    def before_project(self, project: Project) -> None:
        """Write that an emptied project is deleted as soon as this returns.

        Raises:
            AuditError: it could not be written: it may not be deleted.
        """
        line = _line("delete_project", project=cleaned(project.name), project_id=project.id, setting="delete_empty_projects")
        self._write(f"the line of project {project.name}", [line], lasting=True)

    def after_project(self, project: Project, error: str) -> None:
        """Write what became of a project; ``error`` is empty if it was deleted.

        Raises:
            AuditError: it could not be written.
        """
        line = _line("project_deleted", project=cleaned(project.name), project_id=project.id, **_verdict(error))
        self._write(f"what became of project {project.name}", [line])

    def before_orphan(self, orphan: Orphan) -> None:
        """Write that a sweep deletes a task folder without a record as soon as this returns.

        Raises:
            AuditError: it could not be written: it may not be deleted.
        """
        path = {"store": orphan.store, "folder": orphan.path}
        line = _line("delete_orphan", task=orphan.task, files=orphan.files, bytes=orphan.bytes, paths=[path])
        line["changed"] = _time(orphan.youngest) if orphan.youngest else None
        self._write(f"the line of {orphan.store}/{orphan.path}", [line], lasting=True)

    def after_orphan(self, orphan: Orphan) -> None:
        """Write what became of it.

        Raises:
            AuditError: it could not be written.
        """
        line = _line("orphan_deleted", task=orphan.task, verdict=orphan.verdict.value, detail=cleaned(orphan.detail))
        self._write(f"what became of {orphan.store}/{orphan.path}", [line])

    def end(self, report: Report | SweepReport, error: str) -> None:
        """Write the last line; ``error`` is why the run ended early, or empty.

        Raises:
            AuditError: it could not be written.
        """
        total = {} if isinstance(report, SweepReport) else _total(report)
        stopped = report.stopped_by.value if report.stopped_by else None
        self._write("its last line", [_line("end", error=cleaned(error) or None, stopped_by=stopped, **total)], lasting=True)

    @property
    def hash(self) -> str:
        """The hash of the last line so far."""
        return self._chain.last

    def close(self) -> None:
        """Close the log; after a failure, as it is.

        Raises:
            AuditError: something that waited could not be written.
        """
        with self._lock:
            try:
                self.place.close()
            except OSError as error:
                raise self._failed("its last lines", error) from error

    def _write(self, what: str, lines: Iterable[Mapping[str, Any]], *, lasting: bool = False) -> None:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            waiting = bytearray()
            try:
                for line in map(self._chain.line, lines):
                    if waiting and len(waiting) + len(line) > PIECE:
                        self.place.append(bytes(waiting), lasting=False)
                        waiting.clear()
                    waiting += line
                self.place.append(bytes(waiting), lasting=lasting)
            except OSError as error:
                raise self._failed(what, error) from error

    def _failed(self, what: str, error: OSError) -> AuditError:
        self._failure = self._failure or AuditError(
            f"{SETTING}={self.value}: {what} could not be written to {self.place.name} ({error.strerror or error}). What is "
            "not in the log is not deleted. Make space or give access there, or name another folder or bucket; without "
            f"{SETTING}, passes keep no audit log."
        )
        return self._failure


def _line(event: str, **fields: Any) -> dict[str, Any]:
    return {"time": _time(datetime.now(UTC)), "event": event, **fields}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value or None for name, value in fields.items()}


def _deletion(deletion: Deletion, outcome: TaskOutcome, why: Sequence[str]) -> dict[str, Any]:
    task = deletion.task
    shown = {
        **_shown(task, outcome),
        "protected": deletion.protected,
        "external": deletion.external,
        **_decided_by(outcome),
        "rule": outcome.rule or None,
        "why": why,
    }
    return _line(
        "delete",
        task=task.id,
        **cleaned(shown),
        project_id=task.project,
        status=task.status,
        parent=task.parent or None,
        active=_time(task.active) if task.active else None,
        digest=outcome.digest,
        files=deletion.files,
        bytes=deletion.bytes,
        unsized=deletion.unsized,
        paths=[_path(path) for path in deletion.paths],
        linked=[_path(link) for link in deletion.linked],
        models=[_model(model) for model in deletion.models],
        kept_models=deletion.kept_models,
        external_count=deletion.external_count,
        together_with=[other for other in deletion.unit if other != task.id],
    )


def _decided_by(outcome: TaskOutcome) -> dict[str, Any]:
    """The setting that says when a task is old enough, and its policy if it has one."""
    if outcome.policy:
        return {"setting": "policies", "policy": outcome.policy}
    return {"setting": "threshold_rules" if outcome.rule else "delete_threshold_days"}


def _event(outcome: TaskOutcome) -> str:
    """What is done with a task at its stage; a notice of any stage only announces it."""
    if outcome.stage is None or outcome.stage is Stage.DELETE or outcome.verdict in NOTICES:
        return "notice"
    return outcome.stage.value


def _stage(task: Task, outcome: TaskOutcome, why: Sequence[str], uris: Sequence[str]) -> dict[str, Any]:
    shown = {**_shown(task, outcome), "policy": outcome.policy, "rule": outcome.rule or None, "why": why, "uris": uris}
    return _line(
        _event(outcome),
        task=task.id,
        **cleaned(shown),
        project_id=task.project,
        status=task.status,
        active=_time(task.active) if task.active else None,
        stage=outcome.stage.value if outcome.stage else None,
        due=_time(outcome.due) if outcome.due else None,
        files=outcome.files,
        bytes=outcome.bytes,
        unsized=outcome.unsized,
    )


def _shown(task: Task, outcome: TaskOutcome) -> dict[str, Any]:
    """What lines from before say of a task; secrets are to be masked."""
    return {
        "name": task.name,
        "project": outcome.project,
        "type": task.type,
        "user": task.user,
        "tags": task.tags,
        "system_tags": task.system_tags,
    }


def _path(path: OwnedPath | LinkedFile) -> dict[str, Any]:
    """As the store spells it. Not masked: it is a path, and has to be found again."""
    if isinstance(path, TaskFile | LinkedFile):
        return {"store": path.store, "file": path.path}
    kept = {"except": list(path.keep)} if isinstance(path, PartOfFolder) else {}
    return {"store": path.store, "folder": path.path, **kept}


def _model(model: Model) -> dict[str, Any]:
    return {"model": model.id, "uri": cleaned(model.uri), "published": model.ready, "tags": cleaned(model.tags)}


def _result(outcome: TaskOutcome) -> dict[str, Any]:
    return {
        "task": outcome.task,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason.value if outcome.reason else None,
        "detail": cleaned(outcome.detail),
        "models": outcome.models,
        "files": outcome.files,
        "bytes": outcome.bytes,
        "unsized": outcome.unsized,
        "files_missing": outcome.files_missing,
    }


def _verdict(error: str) -> dict[str, Any]:
    return {"verdict": "failed" if error else "deleted", "detail": cleaned(error)}


def _total(report: Report) -> dict[str, Any]:
    total = report.total()
    return {
        "tasks": total.tasks,
        "models": total.models,
        "files": total.files,
        "bytes": total.bytes,
        "unsized": total.unsized,
        "failed": total.failed,
    } | _stages(report)


def _stages(report: Report) -> dict[str, Any]:
    """With policies, the digest of their file, and how many tasks each stage was carried out on, or announced for."""
    if not report.policies and not report.stages:
        return {}
    done, noticed = Counter[str](), 0
    for entry in report.stages.values():
        done[entry.stage.value] += entry.done
        noticed += entry.noticed
    return {"policies": report.policies, "stages": dict(done), "noticed": noticed}
