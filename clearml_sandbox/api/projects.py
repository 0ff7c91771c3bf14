"""The projects service."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.api.deletion import artifact_urls, delete_task
from clearml_sandbox.api.kinds import PROJECT
from clearml_sandbox.api.query import query
from clearml_sandbox.store import Document, Store, new_id, now

STATUSES = "closed completed created failed in_progress published publishing queued stopped unknown".split()
SHORTEST_NAME = 3


@endpoint("projects.get_all")
def _get_all(call: Call) -> Document:
    tops = [lambda project: "/" not in project["name"]] if call.flag("shallow_search") else []
    found = query(call, call.store.projects, PROJECT, also=tops)
    if not call.body.get("only_fields"):
        for shown in found["projects"]:
            shown.pop("path", None)
    return found


@endpoint("projects.get_all_ex")
def _get_all_ex(call: Call) -> Document:
    found = query(call, call.store.projects, PROJECT, extended=True)
    for shown in found["projects"]:
        project = call.store.projects[shown["id"]]
        if "parent" in project and "parent" in shown:
            shown["parent"] = {"id": project["parent"]}
        shown.pop("path", None)
        if _hidden(project) and call.body.get("search_hidden"):
            shown["hidden"] = True
        if call.flag("check_own_contents"):
            shown.update(_own_contents(call.store, project["id"]))
        if call.flag("include_stats"):
            shown.update(_with_stats(call, project))
    return found


def _own_contents(store: Store, project: str) -> Document:
    """How many tasks and models that are not archived lie in a project itself."""
    kinds = {"own_tasks": store.tasks, "own_models": store.models}
    return {name: sum(not _archived(one) for one in _in(of.values(), {project})) for name, of in kinds.items()}


def _with_stats(call: Call, project: Document) -> Document:
    """The statistics of a project with its sub-projects, and the names of those."""
    below = _below(call.store, project)
    visible = [p for p in below if call.body.get("search_hidden") or not _hidden(p)]
    return {
        "stats": {"active": _stats(call, {project["id"], *(p["id"] for p in below)})},
        "sub_projects": [{"id": p["id"], "name": p["name"]} for p in sorted(visible, key=lambda p: p["name"])],
    }


def _hidden(document: Document) -> bool:
    return "hidden" in (document.get("system_tags") or ())


def _below(store: Store, project: Document) -> list[Document]:
    return [p for p in store.projects.values() if p["name"].startswith(project["name"] + "/")]


def _in(documents: Iterable[Document], projects: set[str]) -> list[Document]:
    return [document for document in documents if document.get("project") in projects]


def _archived(document: Document) -> bool:
    return "archived" in (document.get("system_tags") or ())


def _counted(call: Call, projects: set[str]) -> list[Document]:
    """The tasks that statistics count: those that are not archived, and hidden ones only where asked for."""
    visible = (t for t in _in(call.store.tasks.values(), projects) if call.body.get("search_hidden") or not _hidden(t))
    return [task for task in visible if not _archived(task)]


def _stats(call: Call, projects: set[str]) -> Document:
    tasks = _counted(call, projects)
    counts = Counter(task["status"] for task in tasks)
    day_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    runs = [task["started"] for task in tasks if task.get("started")]
    return {
        "status_count": {status: counts[status] for status in STATUSES},
        "total_tasks": len(tasks),
        "total_runtime": sum(task.get("active_duration") or 0 for task in tasks),
        "completed_tasks_24h": sum(str(task.get("completed") or "") > day_ago for task in tasks),
        "last_task_run": max(runs, default=None),
    }


@endpoint("projects.get_by_id")
def _get_by_id(call: Call) -> Document:
    return {"project": _project(call)}


def _project(call: Call) -> Document:
    key = call.text("project")
    if key not in call.store.projects:
        raise ApiError(400, 401, f"Invalid project id: id={key}")
    return call.store.projects[key]


@endpoint("projects.create")
def _create(call: Call) -> Document:
    name = _tidy_name(call.text("name"))
    if _named(call.store, name):
        message = f"Project with the same name already exists: name={name}, company={call.store.company['id']}"
        raise ApiError(400, 801, message)
    project = find_or_make_project(call, name)
    given = {field: call.body[field] for field in _GIVEN if call.body.get(field) is not None}
    return {"id": call.store.projects.change(project["id"], **given)["id"]}


_GIVEN = ("description", "tags", "system_tags", "default_output_destination")


def _tidy_name(name: str) -> str:
    """A project's name as the server stores it: without empty parts, and without blanks around a part."""
    parts = [part.strip() for part in name.split("/") if part]
    if not parts:
        raise ApiError(400, 407, f"Invalid project name: name={name}")
    if any(len(part) < SHORTEST_NAME for part in parts):
        raise ApiError(400, 12, "Validation error (Project name cannot be blank)")
    return "/".join(parts)


def _named(store: Store, name: str) -> Document | None:
    return next(store.projects.having("name", [name]), None)


def find_or_make_project(call: Call, name: str) -> Document:
    """The project of a name; where there is none it is made, with the projects that it lies in."""
    name = _tidy_name(name)
    there = _named(call.store, name)
    if there:
        return there
    above, _, basename = name.rpartition("/")
    parent = find_or_make_project(call, above) if above else None
    moment = now()
    project: Document = {
        "id": new_id(),
        "company": call.store.company["id"],
        "user": call.user,
        "name": name,
        "basename": basename,
        "description": "",
        "created": moment,
        "tags": [],
        "system_tags": [],
        "last_update": moment,
        "featured": 9999,
        "path": [],
    }
    if parent:
        project |= {"parent": parent["id"], "path": [*(parent.get("path") or ()), parent["id"]]}
    return call.store.projects.put(project)


# -- deletion
@endpoint("projects.validate_delete")
def _validate_delete(call: Call) -> Document:
    project = _project(call)
    keys = {project["id"], *(p["id"] for p in _below(call.store, project))}
    tasks, models = _in(call.store.tasks.values(), keys), _in(call.store.models.values(), keys)
    return {
        "pipelines": 0,
        "datasets": 0,
        "tasks": len(tasks),
        "non_archived_tasks": sum(not _archived(task) for task in tasks),
        "models": len(models),
        "non_archived_models": sum(not _archived(model) for model in models),
        "reports": 0,
        "non_archived_reports": 0,
    }


@endpoint("projects.delete")
def _delete(call: Call) -> Document:
    project, store = _project(call), call.store
    keys = {project["id"], *(p["id"] for p in _below(store, project))}
    tasks, models = _in(store.tasks.values(), keys), _in(store.models.values(), keys)
    if not call.flag("force"):
        _refuse_living(project, tasks, models)
    if call.flag("delete_contents"):
        answer = _delete_contents(call, keys, tasks, models)
    else:
        answer = _release_contents(store, tasks, models)
    for key in keys:
        del store.projects[key]
    return {"deleted": len(keys), **answer}


def _refuse_living(project: Document, tasks: Iterable[Document], models: Iterable[Document]) -> None:
    """A project with anything that is not archived is not deleted without `force`."""
    for what, subcode, found in (("tasks", 402, tasks), ("models", 405, models)):
        if not all(_archived(document) for document in found):
            raise ApiError(400, subcode, f"Project has associated {what} (use force=true): id={project['id']}")


def _delete_contents(call: Call, keys: set[str], tasks: list[Document], models: list[Document]) -> Document:
    """Delete the tasks and models of some projects; only the URLs of artifacts elsewhere come back."""
    own = (call.files + "/", "s3://", "gs://", "azure://")
    urls = {uri for task in tasks for uri in artifact_urls(task) if not uri.startswith(own)}
    for task in tasks:
        delete_task(call.store, task, models=True, queues=False)
    for model in _in(call.store.models.values(), keys):
        del call.store.models[model["id"]]
    return {
        "disassociated_tasks": 0,
        "deleted_models": len(models),
        "deleted_tasks": len(tasks),
        "urls": {"model_urls": [], "artifact_urls": sorted(urls), "event_urls": []},
    }


def _release_contents(store: Store, tasks: list[Document], models: list[Document]) -> Document:
    """Leave the tasks and models of some projects without a project."""
    for documents, found in ((store.tasks, tasks), (store.models, models)):
        for document in found:
            documents.change(document["id"], project=None)
    return {"disassociated_tasks": len(tasks), "deleted_models": 0, "deleted_tasks": 0, "urls": None}


@endpoint("projects.get_unique_metric_variants")
def _metric_variants(call: Call) -> Document:
    project = _project(call)
    keys = {project["id"], *(p["id"] for p in _below(call.store, project))}
    found: dict[tuple[str, str], Document] = {}
    for task in _in(call.store.tasks.values(), keys):
        for metric, variants in (task.get("last_metrics") or {}).items():
            for variant, value in variants.items():
                names = {"metric": value["metric"], "variant": value["variant"]}
                found[metric, variant] = {**names, "metric_hash": metric, "variant_hash": variant}
    return {"metrics": list(found.values())}
