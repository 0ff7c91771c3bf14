"""Parameters of tasks: what the Web UI's CONFIGURATION tab reads and writes."""

from typing import Any

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.deletion import own_task
from clearml_sandbox.store import Document, now

Sections = dict[str, dict[str, Document]]


def _editable(call: Call) -> Document:
    """The task, if it is a draft; `force` makes no difference unless it is running."""
    task = own_task(call.store, call.text("task"))
    if task["status"] != "created" and not (call.flag("force") and task["status"] == "in_progress"):
        raise ApiError(400, 110, f"Invalid task status: expected=created, status={task['status']}")
    return task


def _given(call: Call) -> list[Document]:
    entries = call.body.get("hyperparams") or []
    if not isinstance(entries, list) or not entries:
        message = "Validation error (error for field 'hyperparams'. value '[]' length is lower than allowed minimum '1'.)"
        raise ApiError(400, 12, message)
    return entries


def _save(call: Call, task: Document, **fields: Any) -> Document:
    moment = now()
    call.store.tasks.change(task["id"], last_update=moment, last_change=moment, last_changed_by=call.user, **fields)
    return fields


@endpoint("tasks.edit_hyper_params")
def _edit(call: Call) -> Document:
    """`replace_hyperparams`: `none` keeps what is not given, `section` replaces the sections that are, `all` everything."""
    task, entries = _editable(call), _given(call)
    how = call.body.get("replace_hyperparams") or "none"
    sections: Sections = {} if how == "all" else {name: dict(of) for name, of in (task.get("hyperparams") or {}).items()}
    if how == "section":
        sections |= {entry["section"]: {} for entry in entries}
    for entry in entries:
        sections.setdefault(entry["section"], {})[entry["name"]] = entry
    _save(call, task, hyperparams=sections)
    return {"updated": 1}


@endpoint("tasks.delete_hyper_params")
def _delete(call: Call) -> Document:
    """An entry without a name stands for its whole section."""
    task = _editable(call)
    gone = [(entry["section"], entry.get("name")) for entry in _given(call)]
    sections = {
        section: {name: value for name, value in of.items() if (section, name) not in gone}
        for section, of in (task.get("hyperparams") or {}).items()
        if (section, None) not in gone
    }
    _save(call, task, hyperparams={section: of for section, of in sections.items() if of})
    return {"deleted": 1}


@endpoint("tasks.get_hyper_params")
def _get(call: Call) -> Document:
    tasks = [own_task(call.store, key) for key in call.ids("tasks")]
    return {
        "params": [
            {
                "task": task["id"],
                "hyperparams": [entry for of in (task.get("hyperparams") or {}).values() for entry in of.values()],
            }
            for task in tasks
        ]
    }


@endpoint("tasks.edit_configuration")
def _edit_configuration(call: Call) -> Document:
    task = _editable(call)
    given = {entry["name"]: entry for entry in call.body.get("configuration") or ()}
    old = {} if call.flag("replace_configuration") else task.get("configuration") or {}
    _save(call, task, configuration=old | given)
    return {"updated": 1}


@endpoint("tasks.delete_configuration")
def _delete_configuration(call: Call) -> Document:
    task, gone = _editable(call), call.ids("configuration")
    _save(call, task, configuration={name: of for name, of in (task.get("configuration") or {}).items() if name not in gone})
    return {"deleted": 1}


@endpoint("tasks.get_configuration_names")
def _get_configuration_names(call: Call) -> Document:
    tasks = [own_task(call.store, key) for key in call.ids("tasks")]
    return {"configurations": [{"task": task["id"], "names": sorted(task.get("configuration") or {})} for task in tasks]}


@endpoint("tasks.get_configurations")
def _get_configurations(call: Call) -> Document:
    tasks = [own_task(call.store, key) for key in call.ids("tasks")]
    return {
        "configurations": [{"task": t["id"], "configuration": list((t.get("configuration") or {}).values())} for t in tasks]
    }
