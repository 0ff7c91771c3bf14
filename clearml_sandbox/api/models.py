"""The models service, except for deletion."""

from clearml_sandbox.api.answer import ApiError, Call, each, endpoint
from clearml_sandbox.api.deletion import invalid_model
from clearml_sandbox.api.kinds import MODEL
from clearml_sandbox.api.query import query
from clearml_sandbox.api.task_states import set_status
from clearml_sandbox.store import Document, new_id, now


@endpoint("models.get_all")
def _get_all(call: Call) -> Document:
    return query(call, call.store.models, MODEL)


@endpoint("models.get_all_ex")
def _get_all_ex(call: Call) -> Document:
    found = query(call, call.store.models, MODEL, extended=True)
    if call.flag("include_stats"):
        for model in found["models"]:
            model["stats"] = {"labels_count": len(call.store.models[model["id"]].get("labels") or {})}
    return found


@endpoint("models.get_by_id")
def _get_by_id(call: Call) -> Document:
    key = call.text("model")
    if key not in call.store.models:
        company = call.store.company["id"]
        raise ApiError(400, 201, f"Invalid model id (no such public or company model): id={key}, company={company}")
    return {"model": call.store.models[key]}


@endpoint("models.get_by_task_id")
def _get_by_task_id(_: Call) -> Document:
    raise ApiError(301, 1, "This endpoint is no longer supported for the requested api version (use models.get_by_id/get_all)")


@endpoint("models.create")
def _create(call: Call) -> Document:
    name, uri, moment = call.text("name"), call.text("uri"), now()
    blank: Document = {"tags": [], "system_tags": [], "design": {}, "labels": {}, "ready": True, "metadata": {}}
    given = {field: value for field, value in call.body.items() if field in MODEL.fields}
    stamp = {"created": moment, "last_update": moment, "last_change": moment, "last_changed_by": call.user}
    own = {"id": new_id(), "company": call.store.company["id"], "user": call.user, "name": name, "uri": uri}
    rest = {"last_iteration": 0, "last_metrics": {}}
    model = call.store.models.put({**blank, **given, **own, **stamp, **rest})
    if model.get("task") in call.store.tasks:
        call.store.tasks.change(model["task"], last_change=moment)
    return {"created": True, "id": model["id"]}


@endpoint("models.edit")
@endpoint("models.update")
def _edit(call: Call) -> Document:
    key, moment = call.text("model"), now()
    if key not in call.store.models:
        raise ApiError(400, 201, f"Invalid model id: id={key}")
    fields = {f: v for f, v in call.body.items() if f in MODEL.fields - {"id", "company"} and v is not None}
    fields |= {"ui_cache": {}, "last_change": moment, "last_changed_by": call.user, "last_update": moment}
    call.store.models.change(key, **{field: value for field, value in fields.items() if field != "ui_cache"})
    return {"fields": fields, "updated": 1}


@endpoint("models.update_tags")
def _update_tags(call: Call) -> Document:
    keys, add, remove = call.ids(), call.body.get("add_tags") or [], call.body.get("remove_tags") or []
    for key in keys:
        _change_one(call, key, tags=sorted({*_values(call, key, "tags"), *add} - set(remove)))
    return {"updated": len(keys) * (bool(add) + bool(remove))}


def _values(call: Call, key: str, field: str) -> set[str]:
    """What a list of a model holds; nothing, if the model isn't there."""
    return set((call.store.models.get(key) or {}).get(field) or ())


def _change_one(call: Call, key: str, **fields: object) -> None:
    if key not in call.store.models:
        raise invalid_model(call.store, key)
    call.store.models.change(key, **fields, last_change=now())


@endpoint("models.archive_many")
def _archive_many(call: Call) -> Document:
    def archive(key: str) -> Document:
        _change_one(call, key, system_tags=sorted({*_values(call, key, "system_tags"), "archived"}))
        return {"archived": True}

    return each(call.ids(), archive)


@endpoint("models.unarchive_many")
def _unarchive_many(call: Call) -> Document:
    def unarchive(key: str) -> Document:
        _change_one(call, key, system_tags=sorted(_values(call, key, "system_tags") - {"archived"}))
        return {"unarchived": True}

    return each(call.ids(), unarchive)


def _publish_one(call: Call, key: str) -> Document:
    """Publishing a model publishes the task that made it."""
    _change_one(call, key, ready=True, last_update=now())
    task = call.store.tasks.get(call.store.models[key].get("task") or "")
    if task is None or task["status"] == "published":
        return {"updated": 1}
    fields = set_status(call.store, task["id"], "published", call.user, published=now(), output=task.get("output") or {})
    return {"updated": 1, "published_task": {"data": {"fields": fields, "updated": 1}, "id": task["id"]}}


@endpoint("models.set_ready")
def _set_ready(call: Call) -> Document:
    return {"fields": {}, **_publish_one(call, call.text("model"))}


@endpoint("models.publish_many")
def _publish_many(call: Call) -> Document:
    return each(call.ids(), lambda key: {**_publish_one(call, key), "updated": True})
