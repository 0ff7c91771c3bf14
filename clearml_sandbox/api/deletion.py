"""What the server does when a task or a model is deleted."""

from typing import Any

from clearml_sandbox.api.answer import ApiError, Call, each, endpoint
from clearml_sandbox.api.older import LOCKED
from clearml_sandbox.store import DELETED, Document, Store, now


def invalid_task(store: Store, key: str) -> ApiError:
    """The error for a task that isn't there."""
    company = store.company["id"]
    return ApiError(400, 101, f"Invalid task id: id={key}, company={company}", id=key, company=company)


def invalid_model(store: Store, key: str) -> ApiError:
    """The error for a model that isn't there."""
    company = store.company["id"]
    return ApiError(400, 201, f"Invalid model id: company={company}, id={key}", company=company, id=key)


def own_task(store: Store, key: str) -> Document:
    """A task that may be changed."""
    if key not in store.tasks:
        raise invalid_task(store, key)
    task = store.tasks[key]
    if not task.get("company"):
        raise ApiError(403, 21, f"Forbidden (modification not allowed) (cannot modify public task(s), ids=('{key}',))")
    return task


@endpoint("tasks.delete")
def _delete(call: Call) -> Document:
    return _delete_one(call, call.text("task"))


@endpoint("tasks.delete_many")
def _delete_many(call: Call) -> Document:
    return each(call.ids(), lambda key: _delete_one(call, key))


def _delete_one(call: Call, key: str) -> Document:
    store, force = call.store, call.flag("force")
    task = own_task(store, key)
    if not force:
        _refuse(store, task)
    steps = call.flag("include_pipeline_steps") and task["type"] == "controller"
    for step in list(store.tasks.having("parent", [key])) if steps else []:
        delete_task(store, step, models=True)
    locked = not force and call.server <= LOCKED and task["status"] in {"published", "publishing"}
    return {"deleted": True, **delete_task(store, task, models=call.flag("delete_output_models", default=True),
                                          urls=call.flag("return_file_urls"), locked=locked)}  # fmt: skip


def _refuse(store: Store, task: Document) -> None:
    key = task["id"]
    if task["status"] != "created" and "archived" not in (task.get("system_tags") or ()):
        _cannot("due to status, use force=True", task=key, expected="created", current=task["status"])
    children = [child for child in store.tasks.having("parent", [key]) if child["status"] == "published"]
    if children:
        _cannot("has children, use force=True", task=key, children=len(children))
    _refuse_models(store, task)


def _refuse_models(store: Store, task: Document) -> None:
    """Published models keep their task: those that it made, and those that its record lists."""
    key = task["id"]
    models = [model for model in store.models.having("task", [key]) if model.get("ready")]
    if models:
        _cannot("has output models, use force=True", task=key, models=len(models))
    listed = [model["id"] for model in _listed(store, task) if model.get("ready")]
    if listed:
        _cannot("has output model, use force=True", task=key, model=listed[0])


def _listed(store: Store, task: Document) -> list[Document]:
    """The models that a task's record lists among its outputs, also those that another task made."""
    listed = {str(entry.get("model")) for entry in (task.get("models") or {}).get("output") or ()}
    return [store.models[key] for key in sorted(listed) if key in store.models]


def _cannot(text: str, **data: Any) -> None:
    told = ", ".join(f"{name}={value}" for name, value in data.items())
    raise ApiError(400, 123, f"Task cannot be deleted ({text}): {told}", **data)


def delete_task(
    store: Store, task: Document, *, models: bool, urls: bool = False, queues: bool = True, locked: bool = False
) -> Document:
    """Take a task out, with what depends on it. Its files are kept; with `queues` false, so is its place in a queue.

    `locked`: an older server gets as far as its events.
    """
    key, moment = task["id"], now()
    artifacts = artifact_urls(task)
    deleted, updated, model_urls = release_models(store, task, delete=models)
    children = list(store.tasks.having("parent", [key]))
    for child in children:
        store.tasks.change(child["id"], parent=DELETED + key, last_change=moment)
    if locked:
        company = store.company["id"]
        raise ApiError(400, 101, f"Invalid task id (or task published): company={company}, id={key}", company=company, id=key)
    store.events.pop(key, None)
    if queues:
        dequeue_everywhere(store, key)
    del store.tasks[key]
    return {
        "updated_children": len(children),
        "updated_models": updated,
        "deleted_models": deleted,
        "urls": {"model_urls": model_urls, "artifact_urls": artifacts, "event_urls": []} if urls else None,
    }


def artifact_urls(task: Document) -> list[str]:
    """All output artifacts' URIs, uploaded or registered by link: the answer tells no difference."""
    artifacts = (task.get("execution") or {}).get("artifacts") or []
    return list({a["uri"]: None for a in artifacts if a.get("mode", "output") == "output" and a.get("uri")})


def release_models(store: Store, task: Document, *, delete: bool) -> tuple[int, int, list[str]]:
    """Delete a task's models, or let go of them: gives how many went, how many changed, and URIs.

    Its models are those that it made and those that its record lists among its outputs. A published model is kept and
    marked; one that a task has as an input, even this one, is kept without a maker, and is not counted. With `delete` false all
    are kept, but the URIs of those that are neither published nor used come back all the same.
    """
    deleted, updated, urls, moment = 0, 0, [], now()
    made = {model["id"]: model for model in store.models.having("task", [task["id"]])}
    for key, model in (made | {model["id"]: model for model in _listed(store, task)}).items():
        used = next(store.tasks.having("inputs", [key]), None) is not None
        if not model.get("ready") and model.get("uri") and not used:
            urls.append(model["uri"])
        if model.get("ready") or not delete:
            updated += 1
            store.models.change(key, task=DELETED + task["id"], last_change=moment)
        elif used:
            store.models.change(key, task=None, last_change=moment)
        else:
            deleted += 1
            store.events.pop(key, None)
            del store.models[key]
    return deleted, updated, list(dict.fromkeys(urls))


def dequeue_everywhere(store: Store, key: str) -> None:
    """Take a task out of the queue that it waits in."""
    for queue in store.queues.values():
        left = [entry for entry in queue["entries"] if entry["task"] != key]
        if len(left) != len(queue["entries"]):
            queue["entries"], queue["last_update"] = left, now()


# -- models
@endpoint("models.delete")
def _delete_model(call: Call) -> Document:
    key = call.text("model")
    return _delete_one_model(call, key)


@endpoint("models.delete_many")
def _delete_models(call: Call) -> Document:
    return each(call.ids(), lambda key: _delete_one_model(call, key))


def _delete_one_model(call: Call, key: str) -> Document:
    store, force, moment = call.store, call.flag("force"), now()
    if key not in store.models:
        raise invalid_model(store, key)
    model = store.models[key]
    users = list(store.tasks.having("inputs", [key]))
    maker = store.tasks.get(model.get("task") or "")
    if users and not force:
        raise ApiError(
            400,
            205,
            f"Model is used by tasks (as execution model, use force=True to delete): num_tasks={len(users)}",
            num_tasks=len(users),
        )
    if maker and maker["status"] == "published" and not force:
        message = f"Task that created this model exists (and published, use force=True to delete): task={maker['id']}"
        raise ApiError(400, 206, message, task=maker["id"])
    for user in users:
        _rename_input(store, user["id"], key)
    if maker:
        _forget_output(store, maker["id"], key, moment, published=maker["status"] == "published")
    store.events.pop(key, None)
    url = store.models.pop(key).get("uri")
    return {"deleted": True, "url": url}


def _rename_input(store: Store, task: str, model: str) -> None:
    models = store.tasks[task]["models"]
    inputs = [{**e, "model": DELETED + model} if e.get("model") == model else e for e in models["input"]]
    store.tasks.change(task, models={**models, "input": inputs})


def _forget_output(store: Store, task: str, model: str, moment: str, *, published: bool) -> None:
    record = store.tasks[task]
    outputs = record["models"]["output"]
    if published:
        left = [{**e, "model": DELETED + model} if e.get("model") == model else e for e in outputs]
        output = {**(record.get("output") or {}), "error": f"model deleted on {moment}"}
    else:
        left, output = [e for e in outputs if e.get("model") != model], record.get("output") or {}
    store.tasks.change(task, models={**record["models"], "output": left}, output=output, last_change=moment)
