"""Artifacts and models in a task's record. The files and the models themselves are left alone, and no URI comes back."""

from typing import Any

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.deletion import own_task
from clearml_sandbox.store import Document, now

DIRECTIONS = ("input", "output")


def artifact_record(given: Document) -> Document:
    """An artifact with what every artifact has."""
    return {"mode": "output", "display_data": [], **given}


def model_entry(given: Document) -> Document:
    """A model in a task's record with what every such entry has."""
    return {"updated": now(), **given}


def _open_task(call: Call) -> Document:
    """A task whose outputs may be changed: a draft, or one at work; `force` makes no difference."""
    task = own_task(call.store, call.text("task"))
    if task["status"] not in {"created", "in_progress"}:
        raise ApiError(400, 110, f"Invalid task status: expected=created, status={task['status']}")
    return task


def _given(call: Call, name: str) -> list[Document]:
    entries: Any = call.body.get(name)
    if not isinstance(entries, list) or not entries:
        message = f"Validation error (error for field '{name}': value '[]' length is lower than allowed minimum '1'..)"
        raise ApiError(400, 12, message)
    return entries


@endpoint("tasks.add_or_update_artifacts", (2, 10))
def _add_artifacts(call: Call) -> Document:
    given = {_place(artifact): artifact_record(artifact) for artifact in _given(call, "artifacts")}
    task = _open_task(call)
    old = {_place(artifact): artifact for artifact in (task.get("execution") or {}).get("artifacts") or ()}
    _save_artifacts(call, task, list((old | given).values()))
    return {"updated": 1}


@endpoint("tasks.delete_artifacts", (2, 10))
def _delete_artifacts(call: Call) -> Document:
    gone = {_place(artifact) for artifact in _given(call, "artifacts")}
    task = _open_task(call)
    artifacts = (task.get("execution") or {}).get("artifacts") or ()
    _save_artifacts(call, task, [artifact for artifact in artifacts if _place(artifact) not in gone])
    return {"deleted": 1}


def _place(artifact: Document) -> tuple[str, str]:
    """What tells a task's artifacts apart."""
    return str(artifact.get("key")), str(artifact.get("mode") or "output")


def _save_artifacts(call: Call, task: Document, artifacts: list[Document]) -> None:
    execution = {**(task.get("execution") or {}), "artifacts": sorted(artifacts, key=_place)}
    moment = now()
    call.store.tasks.change(task["id"], execution=execution, last_update=moment, last_change=moment, last_changed_by=call.user)


@endpoint("tasks.add_or_update_model", (2, 13))
def _add_model(call: Call) -> Document:
    model, name = call.text("model"), call.body.get("name")
    task, moment = _open_task(call), now()
    direction = call.body.get("type") or "output"
    models = _models(task)
    models[direction] = [e for e in models[direction] if e.get("name") != name] + [model_entry({"name": name, "model": model})]
    call.store.tasks.change(task["id"], models=models, last_update=moment, last_change=moment, last_changed_by=call.user)
    return {"updated": 1}


@endpoint("tasks.delete_models", (2, 13))
def _delete_models(call: Call) -> Document:
    """Remove entries by name and direction; the models and `last_update` are kept."""
    gone = {(entry.get("type"), entry.get("name")) for entry in _given(call, "models")}
    task = _open_task(call)
    models = {
        direction: [entry for entry in entries if (direction, entry.get("name")) not in gone]
        for direction, entries in _models(task).items()
    }
    call.store.tasks.change(task["id"], models=models, last_change=now(), last_changed_by=call.user)
    return {"updated": 1}


def _models(task: Document) -> Document:
    return {direction: list((task.get("models") or {}).get(direction) or ()) for direction in DIRECTIONS}
