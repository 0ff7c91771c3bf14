"""The tasks service: listing, making, and what moves a task from one status to the next."""

import copy
from typing import Any

from cleanup_job.sandbox.answer import ApiError, Call, each, endpoint
from cleanup_job.sandbox.deletion import artifact_urls, dequeue_everywhere, invalid_task, own_task, release_models
from cleanup_job.sandbox.query import TASK, query
from cleanup_job.sandbox.queues import default_queue, make_queue, queue
from cleanup_job.sandbox.store import Document, Store, new_id, now

SHORTEST_NAME = 3
TYPES = frozenset(
    "training testing inference data_processing application monitor controller report optimizer service qc custom".split()
)
SYSTEM_TAGS = (2, 3)
"""Before this version the API knew one list of tags."""


@endpoint("tasks.get_all")
def _get_all(call: Call) -> Document:
    return query(call, call.store.tasks, TASK)


@endpoint("tasks.get_all_ex")
@endpoint("tasks.get_by_id_ex")
def _get_all_ex(call: Call) -> Document:
    return query(call, call.store.tasks, TASK, extended=True)


@endpoint("tasks.get_by_id")
def _get_by_id(call: Call) -> Document:
    key = call.text("task")
    if key not in call.store.tasks:
        raise ApiError(400, 101, f"Invalid task id: ids=({key})")
    task = call.store.tasks[key]
    if call.version < SYSTEM_TAGS:
        task = {**task, "tags": [*(task.get("system_tags") or ()), *(task.get("tags") or ())]}
    return {"task": task}


# -- making and editing
@endpoint("tasks.create")
def _create(call: Call) -> Document:
    name, kind, moment = call.text("name"), call.text("type"), now()
    if len(name) < SHORTEST_NAME:
        raise ApiError(400, 800, "Data validation error: name=String value is too short")
    if kind not in TYPES:
        raise ApiError(400, 12, f"Validation error (error for field 'type': value '{kind}' is not a valid choice..)")
    project = call.body.get("project")
    if project and project not in call.store.projects:
        raise ApiError(400, 16, f"Invalid value for fields (expecting Project id): id={project}, field=project")
    given = {field: value for field, value in call.body.items() if field in TASK.fields}
    if "script" in given:
        given["script"] = _script(given["script"] or {})
    stamp = {"created": moment, "last_update": moment, "last_change": moment, "last_changed_by": call.user}
    own = {"id": new_id(), "company": call.store.company["id"], "user": call.user, "type": kind, "status": "created"}
    return {"id": call.store.tasks.put({**_blank(), **given, **own, **stamp})["id"]}


def _blank() -> Document:
    """What every new task has."""
    return {
        "execution": {"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []},
        **{field: [] for field in ("tags", "system_tags", "report_assets", "unique_metrics")},
        **{field: {} for field in ("output", "last_metrics", "metric_stats", "hyperparams", "configuration")},
        **{field: {} for field in ("runtime", "container")},
        "script": _script({}),
        "models": {"input": [], "output": []},
        "last_iteration": 0,
    }


def _script(given: Document) -> Document:
    return {"binary": "python", "repository": "", "entry_point": "", "requirements": {}, **given}


@endpoint("tasks.edit")
def _edit(call: Call) -> Document:
    task = own_task(call.store, call.text("task"))
    if task["status"] != "created" and not call.flag("force"):
        raise ApiError(400, 110, f"Invalid task status: expected=created, status={task['status']}")
    return _update(call)


@endpoint("tasks.update")
def _update(call: Call) -> Document:
    """Tags alone are no work on a task: they leave `last_update` as it is."""
    task, moment = own_task(call.store, call.text("task")), now()
    fields = {f: v for f, v in call.body.items() if f in TASK.fields and f not in {"id", "company"} and v is not None}
    if "script" in fields:
        fields["script"] = _script(fields["script"])
    if call.body.get("output_dest"):
        fields["output"] = {**(task.get("output") or {}), "destination": call.body["output_dest"]}
    times = {"last_change": moment, "last_changed_by": call.user}
    if not fields or fields.keys() - {"tags", "system_tags"}:
        times["last_update"] = moment
    call.store.tasks.change(task["id"], **fields, **times)
    return {"fields": fields | times, "updated": 1}


@endpoint("tasks.update_tags")
def _update_tags(call: Call) -> Document:
    """Gives the number of changes: adding and removing count apiece."""
    keys, add, remove = call.ids(), call.body.get("add_tags") or [], call.body.get("remove_tags") or []
    missing = [key for key in keys if key not in call.store.tasks]
    if missing:
        raise ApiError(400, 101, f"Invalid task id: ids=({', '.join(missing)})")
    for key in keys:
        tags = {*(own_task(call.store, key).get("tags") or ()), *add} - set(remove)
        call.store.tasks.change(key, tags=sorted(tags), last_change=now(), last_changed_by=call.user)
    return {"updated": len(keys) * (bool(add) + bool(remove))}


@endpoint("tasks.add_or_update_artifacts", (2, 10))
def _add_artifacts(call: Call) -> Document:
    task = own_task(call.store, call.text("task"))
    given = {a["key"]: {"mode": "output", "display_data": [], **a} for a in call.body.get("artifacts") or ()}
    old = {a["key"]: a for a in task["execution"].get("artifacts") or ()}
    execution = {**task["execution"], "artifacts": list((old | given).values())}
    call.store.tasks.change(task["id"], execution=execution, last_update=now(), last_change=now())
    return {"updated": 1}


@endpoint("tasks.add_or_update_model", (2, 13))
def _add_model(call: Call) -> Document:
    task, moment = own_task(call.store, call.text("task")), now()
    direction, name = call.body.get("type") or "output", call.body.get("name")
    entry = {"name": name, "model": call.text("model"), "updated": moment}
    models = {"input": [], "output": [], **(task.get("models") or {})}
    models[direction] = [e for e in models[direction] if e.get("name") != name] + [entry]
    call.store.tasks.change(task["id"], models=models, last_update=moment, last_change=moment)
    return {"updated": 1}


@endpoint("tasks.set_requirements")
def _set_requirements(call: Call) -> Document:
    task = own_task(call.store, call.text("task"))
    script = {**(task.get("script") or {}), "requirements": call.body.get("requirements") or {}}
    call.store.tasks.change(task["id"], script=script, last_update=now())
    return {"updated": 1, "fields": {}}


@endpoint("tasks.ping")
def _ping(call: Call) -> Document:
    """A sign of life of a running task; one that isn't there is no error."""
    key = call.text("task")
    if key in call.store.tasks:
        call.store.tasks.change(key, last_update=now())
    return {}


@endpoint("tasks.clone")
def _clone(call: Call) -> Document:
    """What a task is made of goes along; what it did, its runtime properties and its system tags don't."""
    source, body, moment = own_task(call.store, call.text("task")), call.body, now()
    kept = ("name", "comment", "project", "script", "hyperparams", "configuration", "container", "type", "tags")
    copied = copy.deepcopy({field: source[field] for field in kept if field in source})
    new_names = {"new_task_name": "name", "new_task_comment": "comment", "new_task_project": "project", "new_task_tags": "tags"}
    copied |= {field: body[name] for name, field in new_names.items() if body.get(name) is not None}
    copied |= {"parent": body.get("new_task_parent") or source["id"], "system_tags": body.get("new_task_system_tags") or []}
    copied |= {"models": {"input": list((source.get("models") or {}).get("input") or []), "output": []}}
    own = {"id": new_id(), "company": call.store.company["id"], "user": call.user, "status": "created"}
    stamp = {"created": moment, "last_update": moment, "last_change": moment, "last_changed_by": call.user}
    return {"id": call.store.tasks.put({**_blank(), **copied, **own, **stamp})["id"]}


# -- statuses
_FROM = {
    "in_progress": {"created", "queued", "stopped", "failed", "completed", "in_progress"},
    "completed": {"in_progress", "stopped", "failed", "completed"},
    "stopped": {"in_progress", "queued", "created", "stopped"},
    "failed": {"in_progress", "stopped", "created", "queued", "failed"},
    "queued": {"created", "stopped", "in_progress", "queued"},
    "published": {"completed", "stopped", "failed", "closed"},
}


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


def _move(call: Call, status: str, time: str) -> Document:
    task = own_task(call.store, call.text("task"))
    if task["status"] not in _FROM[status] and not call.flag("force"):
        message = f"Invalid task status (Invalid status change): current_status={task['status']}, new_status={status}"
        raise ApiError(400, 110, message)
    more: Document = {name: call.body[name] for name in ("status_reason", "status_message") if call.body.get(name)}
    if time and not (status == "in_progress" and task["status"] == status and task.get("started")):
        more[time] = now()
    if status == "published":
        more["output"] = task.get("output") or {}
    return {"fields": set_status(call.store, task["id"], status, call.user, **more), "updated": 1}


@endpoint("tasks.started")
def _started(call: Call) -> Document:
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


@endpoint("tasks.enqueue")
def _enqueue(call: Call) -> Document:
    """`queue_name` makes the queue where there is none; a task that is run by an agent is no longer a development run."""
    task, chosen = own_task(call.store, call.text("task")), _chosen_queue(call)
    if any(entry["task"] == task["id"] for entry in chosen["entries"]):
        raise ApiError(400, 706, f"Failed adding task to queue since task is already queued: task={task['id']}")
    if task["status"] not in _FROM["queued"] and not call.flag("force"):
        message = f"Invalid task status (Invalid status change): current_status={task['status']}, new_status=queued"
        raise ApiError(400, 110, message)
    dequeue_everywhere(call.store, task["id"])
    chosen["entries"].append({"task": task["id"], "added": now()})
    chosen["last_update"] = now()
    tags = [tag for tag in task.get("system_tags") or () if tag != "development"]
    execution = {**(task.get("execution") or {}), "queue": chosen["id"]}
    fields = set_status(call.store, task["id"], "queued", call.user, execution=execution, system_tags=tags)
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
    call.store.tasks.change(
        key, system_tags=tags, status_reason="", status_message="", last_change=now(), last_changed_by=call.user
    )


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
    deleted, _, model_urls = release_models(store, key, delete=call.flag("delete_output_models", default=True))
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
