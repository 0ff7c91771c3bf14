"""The workers service: agents that say which queues they listen on."""

from datetime import UTC, datetime, timedelta

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.store import Document, Store, now

SINCE = (2, 4)
TIMEOUT = 600
"""Seconds without a word after which a worker counts as gone, unless it asked for another time."""


@endpoint("workers.register", SINCE)
def _register(call: Call) -> Document:
    _new(call, call.text("worker"))
    return {}


def _new(call: Call, key: str) -> Document:
    moment = now()
    call.store.workers[key] = worker = {
        "id": key,
        "user": call.user,
        "company": call.store.company["id"],
        "ip": "127.0.0.1",
        "queues": list(call.body.get("queues") or ()),
        "tags": list(call.body.get("tags") or ()),
        "register_time": moment,
        "last_activity_time": moment,
        "register_timeout": int(call.body.get("timeout") or TIMEOUT),
    }
    return worker


@endpoint("workers.unregister", SINCE)
def _unregister(call: Call) -> Document:
    call.store.workers.pop(call.text("worker"), None)
    return {}


@endpoint("workers.status_report", SINCE)
def _status_report(call: Call) -> Document:
    """A sign of life, which registers a worker that is unknown; one that names a task is noted in that task, too."""
    key, task = call.text("worker"), call.body.get("task")
    if not isinstance(call.body.get("timestamp"), int):
        raise ApiError(400, 12, "Validation error (error for field 'timestamp'. field is required!)")
    moment = now()
    worker = call.store.workers.get(key) or _new(call, key)
    worker |= {"last_activity_time": moment, "task": task, "queues": call.body.get("queues") or worker["queues"]}
    if task in call.store.tasks:
        call.store.tasks.change(str(task), last_worker=key, last_worker_report=moment, last_update=moment)
    return {}


@endpoint("workers.get_all", SINCE)
def _get_all(call: Call) -> Document:
    return {"workers": [_shown(call.store, worker) for worker in alive(call.store, call.body.get("last_seen") or 0)]}


def alive(store: Store, last_seen: int = 0) -> list[Document]:
    """Workers that have not timed out; `last_seen` in seconds asks for such as spoke since, 0 for all."""
    found = []
    for worker in store.workers.values():
        silent = datetime.now(UTC) - datetime.fromisoformat(worker["last_activity_time"])
        if silent < timedelta(seconds=worker["register_timeout"]) and (not last_seen or silent < timedelta(seconds=last_seen)):
            found.append(worker)
    return found


def _shown(store: Store, worker: Document) -> Document:
    queues = [
        {"id": key, "name": store.queues[key]["name"], "num_tasks": len(store.queues[key]["entries"])}
        for key in worker["queues"]
        if key in store.queues
    ]
    shown = {
        **{name: worker[name] for name in ("id", "ip", "tags", "register_time", "last_activity_time")},
        "user": {"id": worker["user"], "name": store.users.get(worker["user"], {}).get("name")},
        "company": {"id": store.company["id"], "name": store.company.get("name")},
        "last_report_time": worker["last_activity_time"],
        "queues": queues,
    }
    task = store.tasks.get(worker.get("task") or "")
    return {**shown, "task": {"id": task["id"], "name": task["name"]}} if task else shown
