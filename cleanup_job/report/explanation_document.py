"""Explanations of tasks as JSON."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cleanup_job.planning.explanation import Explained, Files, Holder, ModelFate, Place, Remains, State
from cleanup_job.planning.outcome import TaskOutcome
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Task
from cleanup_job.report.outlook_text import outlook_document

Link = Callable[[TaskId, str], str]
"""Gives the web page of a task, by its id and that of its project; empty if there is none."""


def document(one: Explained, now: datetime, link: Link) -> dict[str, Any]:
    """One explanation as JSON. Times are in ISO 8601 and UTC, sizes in bytes."""
    found: dict[str, Any] = {"task": one.id, "there": one.task is not None, "asked": one.asked}
    if one.task is None:
        return {**found, "remains": _remains_document(one.remains)}
    found |= {
        "name": one.task.name,
        "link": link(one.id, one.task.project) or None,
        "project": one.project,
        "project_id": one.task.project,
        "parent": one.task.parent or None,
    }
    if isinstance(one.task, Task):
        found |= _record_document(one, one.task, now)
    return (
        found
        | _outcome_document(one.outcome)
        | {
            "rules": [{"setting": rule.setting or None, "allows": rule.allows, "text": rule.text} for rule in one.judgements],
            "trouble": one.trouble or None,
            "due": _iso(one.due),
            "due_if_archived": _iso(one.due_if_archived),
            **({"policy": outlook_document(one.outlook)} if one.outlook is not None else {}),
            "files": _files_document(one.files) if one.files else None,
            "models": [_model_document(model) for model in one.models],
            "needs": [_holder_document(holder) for holder in one.holders],
            "need_counts": dict(one.counts),
        }
    )


def _record_document(one: Explained, task: Task, now: datetime) -> dict[str, Any]:
    return {
        "owner": one.owner,
        "user": task.user,
        "status": task.status,
        "type": task.type,
        "tags": list(task.tags),
        "system_tags": list(task.system_tags),
        "archived": task.archived,
        "public": task.public,
        "created": _iso(task.created),
        "status_changed": _iso(task.status_changed),
        "last_update": _iso(task.last_update),
        "last_change": _iso(task.last_change),
        "active": _iso(task.active),
        "age_days": round((now - task.active) / timedelta(days=1), 2) if task.active else None,
    }


def _outcome_document(outcome: TaskOutcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"verdict": None, "reason": None, "detail": None}
    return {"verdict": outcome.verdict, "reason": outcome.reason, "detail": outcome.detail or None}


def _files_document(files: Files) -> dict[str, Any]:
    return {
        "places": [_place_document(place) for place in files.places],
        "protected": list(files.protected),
        "external": list(files.external),
        "external_count": files.external_count,
        "unknown_stores": dict(files.unknown_stores),
        "unusable": files.unusable or None,
        "unreadable": files.unreadable or None,
    }


def _place_document(place: Place) -> dict[str, Any]:
    size = {"kind": place.kind or None, "files": place.size.files, "bytes": place.size.bytes, "unsized": place.size.unsized}
    return {"store": place.store, "path": place.path, **size, "missing": place.missing, "trouble": place.trouble or None}


def _model_document(model: ModelFate) -> dict[str, Any]:
    return {"model": model.id, "uri": model.uri, "kept": model.kept or None}


def _holder_document(holder: Holder) -> dict[str, Any]:
    is_model = holder.state is State.MODEL
    by = {"model" if is_model else "task": holder.by, "name": holder.name or None}
    return {"need": holder.need, "what": holder.what or None, **by, "state": holder.state}


def _remains_document(remains: Remains | None) -> dict[str, Any] | None:
    if remains is None:
        return None
    return {
        "confirmed": remains.confirmed,
        "models": [_model_document(model) for model in remains.models],
        "searched": list(remains.searched),
        "places": [_place_document(place) for place in remains.places],
        "logs": remains.logs,
        "deletions": list(remains.deletions),
    }


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time is not None else None
