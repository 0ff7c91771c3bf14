"""The tasks service as far as it lists, makes and edits tasks."""

import copy

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.deletion import own_task
from clearml_sandbox.api.kinds import TASK
from clearml_sandbox.api.projects import find_or_make_project
from clearml_sandbox.api.query import query
from clearml_sandbox.api.task_outputs import artifact_record, model_entry
from clearml_sandbox.store import Document, new_id, now

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
    if project is not None and project not in call.store.projects:
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
    """Ended tasks only with `force`. Of some fields, what is not given stays as it is; others are replaced whole.

    Tags alone do not count as work on a task: they leave `last_update` as it is.
    """
    task = own_task(call.store, call.text("task"))
    if task["status"] != "created" and not call.flag("force"):
        raise ApiError(400, 110, f"Invalid task status: expected=created, status={task['status']}")
    fields = {f: v for f, v in call.body.items() if f in TASK.fields - {"id", "company"} and v is not None}
    if call.body.get("output_dest"):
        fields["output"] = {"destination": call.body["output_dest"]}
    _merge(task, fields)
    return _save(call, task, fields, last_update=bool(fields.keys() - {"tags", "system_tags"}))


def _merge(task: Document, fields: Document) -> None:
    """Complete given fields by what a task has of them, and write models and artifacts as the server does."""
    blank = _blank()
    for field in _MERGED & fields.keys():
        if isinstance(fields[field], dict):
            fields[field] = {**(task.get(field) or blank[field]), **fields[field]}
    if "models" in fields:
        fields["models"] = {direction: [*map(model_entry, of or ())] for direction, of in fields["models"].items()}
    if "execution" in fields:
        fields["execution"]["artifacts"] = [*map(artifact_record, fields["execution"].get("artifacts") or ())]


_MERGED = {"execution", "script", "models", "output"}
_BY_USERS = {"name", "comment", "project", "tags", "system_tags"}
"""What people change at any time: that does not count as work on a task, and leaves `last_update` as it is."""


@endpoint("tasks.update")
def _update(call: Call) -> Document:
    """Other fields than those that people change are dropped without a word."""
    task = own_task(call.store, call.text("task"))
    return _save(call, task, {f: v for f, v in call.body.items() if f in _BY_USERS and v is not None}, last_update=False)


def _save(call: Call, task: Document, fields: Document, *, last_update: bool) -> Document:
    if not fields:
        return {"fields": {}, "updated": 0}
    moment = now()
    times = {"last_change": moment, "last_changed_by": call.user} | ({"last_update": moment} if last_update else {})
    call.store.tasks.change(task["id"], **fields, **times)
    return {"fields": fields | times, "updated": 1}


@endpoint("tasks.update_tags")
def _update_tags(call: Call) -> Document:
    """Gives the number of changes: adding and removing count apiece."""
    keys, add, remove = call.ids(), call.body.get("add_tags") or [], call.body.get("remove_tags") or []
    if not add and not remove:
        raise ApiError(400, 12, "Validation error (Either add tags or remove tags should be provided)")
    missing = [key for key in keys if key not in call.store.tasks]
    if missing:
        raise ApiError(400, 101, f"Invalid task id: ids=({', '.join(missing)})")
    for task in [own_task(call.store, key) for key in keys]:
        tags = {*(task.get("tags") or ()), *add} - set(remove)
        call.store.tasks.change(task["id"], tags=sorted(tags), last_change=now(), last_changed_by=call.user)
    return {"updated": len(keys) * (bool(add) + bool(remove))}


@endpoint("tasks.move")
def _move(call: Call) -> Document:
    """To a project by its id, or by its name, which makes the project where there is none."""
    tasks = [own_task(call.store, key) for key in call.ids()]
    name, key = call.body.get("project_name"), call.body.get("project")
    if name:
        key = find_or_make_project(call, str(name))["id"]
    elif key is not None and key not in call.store.projects:
        raise ApiError(400, 401, f"Invalid project id: id={key}")
    moment = now()
    for task in tasks:
        call.store.tasks.change(task["id"], project=key, last_update=moment, last_change=moment, last_changed_by=call.user)
    return {"project_id": key}


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
    made = find_or_make_project(call, body["new_project_name"]) if body.get("new_project_name") else None
    if made:
        copied["project"] = made["id"]
    copied |= {"parent": body.get("new_task_parent") or source["id"], "system_tags": body.get("new_task_system_tags") or []}
    copied |= {"models": {"input": list((source.get("models") or {}).get("input") or []), "output": []}}
    own = {"id": new_id(), "company": call.store.company["id"], "user": call.user, "status": "created"}
    stamp = {"created": moment, "last_update": moment, "last_change": moment, "last_changed_by": call.user}
    key = call.store.tasks.put({**_blank(), **copied, **own, **stamp})["id"]
    return {"id": key, "new_project": {"id": made["id"], "name": made["name"]}} if made else {"id": key}
