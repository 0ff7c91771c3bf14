"""What moves a task from one status to the next: runs, queues, the archive, reset."""

from datetime import UTC, datetime, timedelta
from typing import Any

from clearml_sandbox.api.answer import ApiError, Call, each, endpoint
from clearml_sandbox.api.deletion import artifact_urls, dequeue_everywhere, invalid_task, own_task, release_models
from clearml_sandbox.api.queues import default_queue, make_queue, queue
from clearml_sandbox.store import Document, Store, now

STOPPING = "stopping"
"""The message of a task that its agent shall stop."""
WORKER_SECONDS = 600
"""How long a worker counts as at work on a task after its last message, in seconds."""


# -- statuses
_NEXT = {
    "created": {"queued", "in_progress"},
    "queued": {"created", "in_progress", "stopped"},
    "in_progress": {"stopped", "failed", "created", "completed"},
    "stopped": {"closed", "created", "failed", "queued", "in_progress", "published", "publishing", "completed"},
    "closed": {"created", "failed", "published", "publishing", "stopped"},
    "failed": {"created", "stopped", "published", "queued"},
    "publishing": {"published"},
    "completed": {"published", "in_progress", "created"},
}
"""The server's own table (`apiserver/bll/task/utils.py`): what may follow a status, besides the status itself."""


def _check_change(current: str, new: str) -> None:
    if new != current and new not in _NEXT.get(current, ()):
        message = f"Invalid task status (Invalid status change): current_status={current}, new_status={new}"
        raise ApiError(400, 110, message)


def set_status(store: Store, key: str, status: str, user: str, **more: Any) -> Document:
    """Give a task a status, with the times that this sets; gives the fields that changed."""
    moment = now()
    fields: Document = {
        "status": status,
        "status_reason": "",
        "status_message": "",
        "status_changed": moment,
        "last_update": moment,
        "last_change": moment,
        "last_changed_by": user,
        **more,
    }
    store.tasks.change(key, **fields)
    return fields


def _reason(call: Call) -> Document:
    """The reason and the message that a caller gave; a change of status empties what it does not give."""
    return {name: call.body.get(name) or "" for name in ("status_reason", "status_message")}


def _move(call: Call, status: str, time: str) -> Document:
    task = own_task(call.store, call.text("task"))
    if not call.flag("force"):
        _check_change(task["status"], status)
    more: Document = _reason(call)
    if time and not (status == "in_progress" and task["status"] == status and task.get("started")):
        more[time] = now()
    if status == "published":
        more["output"] = task.get("output") or {}
    fields = set_status(call.store, task["id"], status, call.user, **more)
    if status == "in_progress":
        call.store.tasks.change(task["id"], completed=None)
    return {"fields": fields, "updated": 1}


@endpoint("tasks.started")
def _started(call: Call) -> Document:
    if call.text("task") not in call.store.tasks:
        raise ApiError(400, 10, "Invalid object id: task=None")
    return {**_move(call, "in_progress", "started"), "started": 1}


@endpoint("tasks.completed", (2, 2))
def _completed(call: Call) -> Document:
    return {**_move(call, "completed", "completed"), "published": 0}


@endpoint("tasks.stopped")
def _stopped(call: Call) -> Document:
    return _move(call, "stopped", "completed")


@endpoint("tasks.failed")
def _failed(call: Call) -> Document:
    return _move(call, "failed", "completed")


@endpoint("tasks.publish")
def _publish(call: Call) -> Document:
    return _move(call, "published", "published")


@endpoint("tasks.stop")
def _stop(call: Call) -> Document:
    return _stop_one(call, call.text("task"))


@endpoint("tasks.stop_many")
def _stop_many(call: Call) -> Document:
    return each(call.ids(), lambda key: _stop_one(call, key))


def _stop_one(call: Call, key: str) -> Document:
    """A task that an agent is at work on is only told to stop; the agent then says that it has."""
    task = own_task(call.store, key)
    status, message = "stopped", f"Stopped by {call.store.user.get('name')}"
    silent = datetime.now(UTC) - datetime.fromisoformat(task.get("last_update") or "1970-01-01T00:00:00+00:00")
    at_work = bool(task.get("last_worker")) and silent < timedelta(seconds=WORKER_SECONDS)
    if at_work and task["status"] != "queued" and "development" not in (task.get("system_tags") or ()):
        status, message = task["status"], STOPPING
    if not call.flag("force"):
        _check_change(task["status"], status)
    dequeue_everywhere(call.store, key)
    more = {"status_reason": call.body.get("status_reason") or "", "status_message": message}
    return {"fields": set_status(call.store, key, status, call.user, **more), "updated": 1}


# -- queues
@endpoint("tasks.enqueue")
def _enqueue(call: Call) -> Document:
    """`queue_name` makes the queue where there is none; a task that is run by an agent is no longer a development run."""
    task = own_task(call.store, call.text("task"))
    if not call.flag("force"):
        _check_change(task["status"], "queued")
    chosen = _chosen_queue(call)
    if any(entry["task"] == task["id"] for entry in chosen["entries"]):
        set_status(call.store, task["id"], task["status"], call.user, status_reason="failed enqueueing")
        raise ApiError(400, 706, f"Failed adding task to queue since task is already queued: task={task['id']}")
    dequeue_everywhere(call.store, task["id"])
    chosen["entries"].append({"task": task["id"], "added": now()})
    chosen["last_update"] = now()
    tags = [tag for tag in task.get("system_tags") or () if tag != "development"]
    execution = {**(task.get("execution") or {}), "queue": chosen["id"]}
    fields = set_status(call.store, task["id"], "queued", call.user, **_reason(call), execution=execution, system_tags=tags)
    shown = {field: value for field, value in fields.items() if field not in {"execution", "system_tags"}}
    was = "created" if task["status"] == "queued" else task["status"]
    return {"queued": 1, "updated": 1, "fields": {**shown, "enqueue_status": was, "execution.queue": chosen["id"]}}


def _chosen_queue(call: Call) -> Document:
    queues, name = call.store.queues, call.body.get("queue_name")
    if name:
        found = next((there for there in queues.values() if there["name"] == name), None)
        return found or make_queue(call.store, name)
    key = call.body.get("queue")
    return queue(call.store, str(key)) if key else default_queue(call.store)


@endpoint("tasks.dequeue")
def _dequeue(call: Call) -> Document:
    task = own_task(call.store, call.text("task"))
    dequeue_everywhere(call.store, task["id"])
    if task["status"] != "queued" and not call.body.get("new_status"):
        return {"dequeued": 1, "updated": 0, "fields": {}}
    fields = set_status(call.store, task["id"], str(call.body.get("new_status") or "created"), call.user)
    return {"dequeued": 1, "updated": 1, "fields": {**fields, "enqueue_status": None}}


# -- the archive
def _archive_one(call: Call, key: str) -> Document:
    """Archiving stops a running task and dequeues a queued one; otherwise it touches no time but `last_change`."""
    task = own_task(call.store, key)
    if task["status"] == "in_progress":
        set_status(call.store, key, "stopped", call.user)
    elif task["status"] == "queued":
        dequeue_everywhere(call.store, key)
        set_status(call.store, key, "created", call.user)
    _set_system_tags(call, key, sorted({*(call.store.tasks[key].get("system_tags") or ()), "archived"}))
    return {"archived": True}


def _unarchive_one(call: Call, key: str) -> Document:
    _set_system_tags(call, key, [tag for tag in own_task(call.store, key).get("system_tags") or () if tag != "archived"])
    return {"unarchived": True}


def _set_system_tags(call: Call, key: str, tags: list[str]) -> None:
    call.store.tasks.change(key, system_tags=tags, **_reason(call), last_change=now(), last_changed_by=call.user)


@endpoint("tasks.archive")
def _archive(call: Call) -> Document:
    return {"archived": len([_archive_one(call, key) for key in call.ids("tasks")])}


@endpoint("tasks.archive_many")
def _archive_many(call: Call) -> Document:
    return each(call.ids(), lambda key: _archive_one(call, key))


@endpoint("tasks.unarchive")
def _unarchive(call: Call) -> Document:
    return {"unarchived": len([_unarchive_one(call, key) for key in call.ids("tasks")])}


@endpoint("tasks.unarchive_many")
def _unarchive_many(call: Call) -> Document:
    return each(call.ids(), lambda key: _unarchive_one(call, key))


# -- reset
def _reset_one(call: Call, key: str) -> Document:
    store = call.store
    if key not in store.tasks:
        raise invalid_task(store, key)
    task = own_task(store, key)
    if task["status"] == "published" and not call.flag("force"):
        raise ApiError(400, 110, f"Invalid task status: task_id={key}, status=published", task_id=key, status="published")
    urls = artifact_urls(task)
    deleted, _, model_urls = release_models(store, task, delete=call.flag("delete_output_models", default=True))
    store.events.pop(key, None)
    fields = set_status(store, key, "created", call.user, status_reason="reset", status_message="reset")
    store.tasks.change(
        key,
        execution={**task["execution"], "artifacts": []},
        models={**(task.get("models") or {}), "output": []},
        last_metrics={},
        metric_stats={},
        unique_metrics=[],
        last_iteration=0,
        started=None,
        completed=None,
        published=None,
        active_duration=None,
    )
    return {
        "deleted_models": deleted,
        "fields": fields,
        "updated": 1,
        "urls": {"model_urls": model_urls, "artifact_urls": urls, "event_urls": []} if call.flag("return_file_urls") else None,
    }


@endpoint("tasks.reset")
def _reset(call: Call) -> Document:
    answer = _reset_one(call, call.text("task"))
    return {**answer, "urls": answer["urls"] or {}, "dequeued": {}, "events": {}}


@endpoint("tasks.reset_many")
def _reset_many(call: Call) -> Document:
    return each(call.ids(), lambda key: {**_reset_one(call, key), "dequeued": False})
