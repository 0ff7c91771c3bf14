"""The queues service: what waits for an agent."""

from collections.abc import Callable

from clearml_sandbox.api import workers
from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.deletion import own_task
from clearml_sandbox.api.kinds import QUEUE
from clearml_sandbox.api.query import query
from clearml_sandbox.store import Document, Store, new_id, now
from clearml_sandbox.worlds.records import queue_record

SHORTEST_NAME = 3
SINCE = (2, 4)


def queue(store: Store, key: str) -> Document:
    """A queue by its id."""
    if key not in store.queues:
        raise ApiError(400, 701, f"Invalid queue id: id={key}, company={store.company['id']}")
    return store.queues[key]


def make_queue(store: Store, name: str) -> Document:
    """A new queue, empty."""
    if len(name) < SHORTEST_NAME:
        raise ApiError(400, 800, "Data validation error: name=String value is too short")
    if any(there["name"] == name for there in store.queues.values()):
        raise ApiError(400, 703, f"Queue with the same name already exists: name={name}, company={store.company['id']}")
    return store.queues.put(queue_record(new_id(), now(), name) | {"company": store.company["id"], "system_tags": []})


def default_queue(store: Store) -> Document:
    """The queue with the system tag `default`."""
    default = (there["id"] for there in store.queues.values() if "default" in (there.get("system_tags") or ()))
    return queue(store, next(default, ""))


@endpoint("queues.create", SINCE)
def _create(call: Call) -> Document:
    return {"id": make_queue(call.store, call.text("name"))["id"]}


@endpoint("queues.update", SINCE)
def _update(call: Call) -> Document:
    fields = {name: call.body[name] for name in ("name", "tags", "system_tags") if call.body.get(name) is not None}
    call.store.queues.change(queue(call.store, call.text("queue"))["id"], **fields)
    return {"updated": 1, "fields": fields}


@endpoint("queues.delete", SINCE)
def _delete(call: Call) -> Document:
    found = queue(call.store, call.text("queue"))
    if found["entries"] and not call.flag("force"):
        raise ApiError(400, 702, f"Queue is not empty (use force=true to delete): id={found['id']}")
    del call.store.queues[found["id"]]
    return {"deleted": 1}


@endpoint("queues.get_by_id", SINCE)
def _get_by_id(call: Call) -> Document:
    return {"queue": queue(call.store, call.text("queue"))}


@endpoint("queues.get_default", SINCE)
def _get_default(call: Call) -> Document:
    found = default_queue(call.store)
    return {"id": found["id"], "name": found["name"]}


@endpoint("queues.get_all", SINCE)
def _get_all(call: Call) -> Document:
    return query(call, call.store.queues, QUEUE)


@endpoint("queues.get_all_ex", SINCE)
def _get_all_ex(call: Call) -> Document:
    found = query(call, call.store.queues, QUEUE, extended=True)
    for shown in found["queues"]:
        if "entries" in shown:
            shown["entries"] = [_named(call.store, entry) for entry in shown["entries"]]
        if not call.body.get("only_fields"):
            shown["workers"] = [
                {"key": worker["id"], "name": worker["id"], "ip": worker["ip"], "task": worker.get("task")}
                for worker in workers.alive(call.store)
                if shown["id"] in worker["queues"]
            ]
    return found


def _named(store: Store, entry: Document) -> Document:
    task = store.tasks.get(entry["task"]) or {}
    return {**entry, "task": {"id": entry["task"], "name": task.get("name")}}


@endpoint("queues.get_next_task")
def _get_next_task(call: Call) -> Document:
    found = queue(call.store, call.text("queue"))
    if not found["entries"]:
        return {}
    found["last_update"] = now()
    return {"entry": found["entries"].pop(0)}


@endpoint("queues.peek_task", (2, 15))
def _peek_task(call: Call) -> Document:
    entries = queue(call.store, call.text("queue"))["entries"]
    return {"task": entries[0]["task"]} if entries else {}


@endpoint("queues.get_num_entries", (2, 20))
def _get_num_entries(call: Call) -> Document:
    return {"num": len(queue(call.store, call.text("queue"))["entries"])}


@endpoint("queues.add_task", SINCE)
def _add_task(call: Call) -> Document:
    """The entry alone: it is `tasks.enqueue` that gives a task its status."""
    found, task = queue(call.store, call.text("queue")), own_task(call.store, call.text("task"))["id"]
    if any(entry["task"] == task for entry in found["entries"]):
        raise ApiError(400, 706, f"Failed adding task to queue since task is already queued: task={task}")
    found["entries"].append({"task": task, "added": now()})
    found["last_update"] = now()
    return {"added": 1}


@endpoint("queues.remove_task", SINCE)
def _remove_task(call: Call) -> Document:
    found, task = queue(call.store, call.text("queue")), call.text("task")
    left = [entry for entry in found["entries"] if entry["task"] != task]
    if len(left) == len(found["entries"]):
        raise ApiError(400, 707, f"Task not found in queue: task={task}")
    found["entries"] = left
    return {"removed": 1}


def _move(step: int, *, whole: bool = False) -> Callable[[Call], Document]:
    """A call that moves an entry towards the front (-1) or the back (1): by `count`, or the whole way."""

    def handler(call: Call) -> Document:
        entries, task = queue(call.store, call.text("queue"))["entries"], call.text("task")
        there = next((i for i, entry in enumerate(entries) if entry["task"] == task), None)
        if there is None:
            raise ApiError(400, 707, f"Task not found in queue: task={task}")
        distance = len(entries) if whole else call.body.get("count") or 1
        entry = entries.pop(there)
        entries.insert(max(there + step * distance, 0), entry)
        return {"position": entries.index(entry)}

    return handler


endpoint("queues.move_task_to_front", SINCE)(_move(-1, whole=True))
endpoint("queues.move_task_to_back", SINCE)(_move(1, whole=True))
endpoint("queues.move_task_forward", SINCE)(_move(-1))
endpoint("queues.move_task_backward", SINCE)(_move(1))
