"""The job as a task of ClearML: a draft that people edit in the Web UI, its clones for agents, and a run for each pass.

The draft is recognised by its project, its name and its entry point. Runs have the draft as their parent, and a tag.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from cleanup_job.clearml_api import own_task_answers
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.capabilities import HYPERPARAMS, SINCE, UPDATE_TAGS, Capabilities
from cleanup_job.clearml_api.listing import PAGE_CAP
from cleanup_job.clearml_api.own_task_answers import ENTRY_POINT, REGISTERED
from cleanup_job.errors import AnswerError, SettingsError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import RUN_TAG, Queue, Run, ServiceTask
from cleanup_job.service_task.parameters import GENERAL, SECTION, Sync, Values, edited, entry, read, section_of

OWN_VERSION = "clearml-cleanup=="
PROGRAM = '''"""One pass of ClearML Cleanup, with the parameters of this task."""

import sys

from cleanup_job.cli.main import main

sys.exit(main(["run"]))
'''
"""What an agent runs. It is kept in the task as an uncommitted change without a repository."""
_FIELDS = [
    "id",
    "name",
    "status",
    "system_tags",
    "company",
    "created",
    "script",
    "runtime",
    "comment",
    "hyperparams",
    "parent",
    "project",
    "tags",
]
_RUN_FIELDS = [
    *("id", "parent", "created", "started", "last_update", "tags", "system_tags"),
    *("status", "status_reason", "status_message"),
]
_REMARK = "\n\n[clearml-cleanup] "
ALREADY_QUEUED = 706
ENDED = 110
"""Subcodes: a task is in a queue already, a task's status does not allow the call."""


class ServiceTasks:
    """The draft and its runs on ClearML Server.

    Every method may raise AnswerError (the server refused) and UnreachableError (no usable answer).
    """

    def __init__(self, client: ApiClient, project: str, name: str, requirement: str) -> None:
        """``requirement`` is what an agent installs."""
        self._client = client
        self._call = client.call
        self._capabilities = Capabilities(client.version)
        self._project = project
        self._name = name
        self._script = {
            "binary": "python3",
            "repository": "",
            "entry_point": ENTRY_POINT,
            "working_dir": ".",
            "diff": PROGRAM,
            "requirements": {"pip": requirement},
        }

    # -- the draft
    def find(self) -> ServiceTask | None:
        """The draft; if the draft itself was enqueued, the task that it became; if it was archived, the archived one.

        Raises:
            SettingsError: the server's API is too old, or it is not clear which task is the draft.
        """
        self._check_that_tasks_have_parameters()
        found = self._in_place()
        living = [task for task in found if not task.archived]
        drafts = [task for task in living if task.status == "created"]
        if drafts:
            return self._edited_one(drafts)
        if living:
            return living[-1]
        self._check_that_no_draft_was_moved()
        return found[-1] if found else None

    def _check_that_tasks_have_parameters(self) -> None:
        if not self._capabilities.has(HYPERPARAMS):
            had, needed = (".".join(map(str, version)) for version in (self._capabilities.version, SINCE[HYPERPARAMS]))
            raise SettingsError(
                f"CLEANUP_TASK: the server's API is {had}; tasks have parameters since {needed}. Set CLEANUP_TASK=false."
            )

    def _in_place(self) -> list[ServiceTask]:
        """The job's tasks with the name and in the project of the settings, the oldest first."""
        project = self._project_id()
        if not project:
            return []
        named = {"project": [project], "name": f"^{re.escape(self._name)}$"}
        return [task for task in self._ours(named) if task.name == self._name and task.project in {project, ""}]

    def _check_that_no_draft_was_moved(self) -> None:
        """What people edited in a draft must not be ignored silently because it was renamed or moved."""
        for task in self._ours({"type": ["service"], "status": ["created"]}):
            if task.place == self._place and not task.archived:
                raise SettingsError(
                    f"{named_in(self._place)} is now {task.words} in project {task.project}: it was renamed or moved, and what "
                    "was edited there would not count. Restore its name and project, or set CLEANUP_TASK_NAME and "
                    "CLEANUP_TASK_PROJECT to the new ones; archive it to start with a new one."
                )

    def _edited_one(self, drafts: Sequence[ServiceTask]) -> ServiceTask:
        """The draft in which something was edited, of several drafts; the oldest if nothing was.

        Raises:
            SettingsError: several were edited, to different values.
        """
        if len(drafts) == 1:
            return drafts[0]
        # A copy does not contain the registered values, but the draft that it was copied from does.
        first = next((task.registered for task in drafts if task.registered), {})
        edits = [edited(read(task.hyperparams, task.words), task.registered or first) for task in drafts]
        there = [(task, values) for task, values in zip(drafts, edits, strict=True) if values]
        if any(values != there[0][1] for _, values in there):
            raise SettingsError(
                f"{named_in(self._place)} exists {len(drafts)} times, with different edited values: "
                f"{', '.join(task.id for task, _ in there)}. Archive or rename all except the one that counts."
            )
        return there[0][0] if there else drafts[0]

    def _ours(self, filters: Mapping[str, Any]) -> Iterator[ServiceTask]:
        """The job's own tasks that match these filters, the oldest first."""
        body = {**filters, "only_fields": _FIELDS, "order_by": ["created"], "search_hidden": True, "page_size": PAGE_CAP}
        page, more = 0, True
        while more:
            documents = own_task_answers.documents(self._call("tasks.get_all", {**body, "page": page}), "tasks")
            with own_task_answers.readable("tasks.get_all"):
                yield from [
                    own_task_answers.service_task(document) for document in documents if own_task_answers.is_ours(document)
                ]
            page, more = page + 1, len(documents) == PAGE_CAP

    def read(self, task: str) -> ServiceTask:
        """A task by its id."""
        data = self._call("tasks.get_by_id", {"task": task})
        with own_task_answers.readable("tasks.get_by_id"):
            return own_task_answers.service_task(data["task"])

    def create(self, values: Values, registered: Values) -> ServiceTask:
        """Create a draft with these parameters in its project, which is created if necessary.

        Args:
            values: What it shows.
            registered: The part of it that is not edited.
        """
        made = self._create(self._project_id() or self._make_project(), self._name, _sections(values), tags=[RUN_TAG])
        self._register(made, registered, **self._place)
        return self.read(made)

    def _make_project(self) -> str:
        try:
            return str(self._call("projects.create", {"name": self._project, "description": ""})["id"])
        except AnswerError as error:
            there = self._project_id() if error.says_project_exists else None  # someone else created it meanwhile
            if there is None:
                raise
            return there

    def update(self, draft: ServiceTask, sync: Sync) -> ServiceTask:
        """Bring the draft up to date. Only entries that change are written, so that no edits are lost."""
        stale = self.outdated(draft)
        self._write(draft.id, sync)
        if stale:
            self._call("tasks.edit", {"task": draft.id, "script": self._script})
        if sync.registered != draft.registered or stale or draft.place != self._place:
            self._register(draft.id, sync.registered, **self._place)
        return self.read(draft.id) if sync.change or sync.remove or stale else draft

    def outdated(self, draft: ServiceTask) -> bool:
        """Whether an agent would install and run something other than it should, without anybody having edited that."""
        return draft.script == draft.registered_script and draft.script != self._script

    def _write(self, task: str, sync: Sync) -> None:
        if sync.remove:
            gone = [{"section": section, "name": name} for name in sorted(sync.remove) for section in (GENERAL, SECTION)]
            self._call("tasks.delete_hyper_params", {"task": task, "hyperparams": gone})
        if sync.change:
            entries = [entry(name, value) for name, value in sync.change.items()]
            self._call("tasks.edit_hyper_params", {"task": task, "hyperparams": entries, "replace_hyperparams": "none"})

    def remark(self, draft: ServiceTask, text: str) -> None:
        """Write a remark into the draft's description, below what people wrote there; an empty text removes it."""
        own, _, before = draft.comment.partition(_REMARK)
        if before != text:
            self._call("tasks.update", {"task": draft.id, "comment": own + (_REMARK + text if text else "")})

    @property
    def _place(self) -> dict[str, str]:
        return {"project": self._project, "name": self._name}

    def _register(self, task: str, values: Values, **place: str) -> None:
        told = {"parameters": values, "script": self._script, **place}
        self._call("tasks.edit", {"task": task, "runtime": {REGISTERED: json.dumps(told)}})

    def _create(self, project: str, name: str, sections: Mapping[str, Any], **more: Any) -> TaskId:
        body = {"name": name, "type": "service", "project": project, "script": self._script, "hyperparams": sections, **more}
        return TaskId(str(self._call("tasks.create", body)["id"]))

    def _project_id(self) -> str | None:
        body = {"name": f"^{re.escape(self._project)}$", "only_fields": ["id", "name"], "search_hidden": True}
        found = own_task_answers.documents(self._call("projects.get_all", body), "projects")
        return next((str(d["id"]) for d in found if d.get("name") == self._project), None)

    # -- clones for agents
    def queue(self, name: str) -> Queue:
        """A queue by its name.

        Raises:
            SettingsError: it does not exist.
        """
        data = self._call("queues.get_all", {"only_fields": ["id", "name"]})
        names = {str(d.get("name")): str(d["id"]) for d in own_task_answers.documents(data, "queues")}
        if name not in names:
            there = ", ".join(sorted(names)) or "none"
            raise SettingsError(
                f"CLEANUP_TASK_QUEUE={name}: ClearML has no such queue, and nothing was enqueued. It has: {there}. Choose one "
                "of them, or create it in the Web UI under WORKERS & QUEUES."
            )
        return Queue(names[name], name, self._workers(names[name]))

    def _workers(self, queue: str) -> int | None:
        try:
            data = self._call("workers.get_all", {})
            with own_task_answers.readable("workers.get_all"):
                return sum(any(q.get("id") == queue for q in worker.get("queues") or ()) for worker in data["workers"])
        except AnswerError:
            return None

    def clone(self, draft: ServiceTask, name: str, sync: Sync, tags: Iterable[str]) -> TaskId:
        """Clone the draft, as a user would in the Web UI, with parameters and registered values for this clone alone.

        An agent installs what the settings say now, even if the draft does not say so yet, unless someone edited that.
        """
        body = {"task": draft.id, "new_task_name": name, "new_task_parent": draft.id, "new_task_tags": [RUN_TAG, *tags]}
        clone = TaskId(str(self._call("tasks.clone", body)["id"]))
        self._write(clone, sync)
        if self.outdated(draft):
            self._call("tasks.edit", {"task": clone, "script": self._script})
        self._register(clone, sync.registered)  # ClearML does not copy runtime properties into a clone
        return clone

    def install_as(self, draft: ServiceTask) -> None:
        """Let clones install what the draft says if that is another source than this program's own version."""
        there = (draft.registered_script.get("requirements") or {}).get("pip")
        if isinstance(there, str) and not there.startswith(OWN_VERSION):
            self._script["requirements"] = {"pip": there}

    def enqueue(self, task: str, queue: Queue) -> None:
        """Put a task into a queue."""
        try:
            self._call("tasks.enqueue", {"task": task, "queue": queue.id})
        except AnswerError as error:
            if error.subcode != ALREADY_QUEUED:  # it is in the queue: the answer to an earlier try was lost
                raise

    # -- runs
    def runs(self, draft: str) -> list[Run]:
        """The last runs of a draft that are not archived, the newest first, without clones that were never enqueued."""
        body = {
            "parent": [draft],
            "system_tags": ["-archived"],
            "only_fields": _RUN_FIELDS,
            "order_by": ["-created"],
            "search_hidden": True,
        }
        documents = own_task_answers.documents(self._call("tasks.get_all", {**body, "page": 0, "page_size": PAGE_CAP}), "tasks")
        with own_task_answers.readable("tasks.get_all"):
            return [
                own_task_answers.run(document)
                for document in documents
                if document.get("parent") == draft
                and document.get("status") != "created"
                and "archived" not in (document.get("system_tags") or ())
                and RUN_TAG in (document.get("tags") or ())
            ]

    def start(self, draft: ServiceTask, name: str, values: Values, tags: Iterable[str]) -> TaskId:
        """Create a run and start it."""
        tags = [RUN_TAG, *tags]
        made = self._create(draft.project, name, _sections(values), parent=draft.id, tags=tags, script=dict(draft.script))
        self._call("tasks.started", {"task": made})
        return made

    def adopt(self, task: ServiceTask, tags: Iterable[str]) -> None:
        """Turn a task that an agent has started into a run."""
        self._call("tasks.update", {"task": task.id, "tags": list(dict.fromkeys([*task.tags, RUN_TAG, *tags]))})

    def tag(self, task: str, tag: str) -> None:
        """Add a tag."""
        body = {"ids": [task], "add_tags": [tag]}
        self._capabilities.prefer(UPDATE_TAGS, partial(self._call, "tasks.update_tags", body), partial(self._retag, task, tag))

    def _retag(self, task: str, tag: str) -> dict[str, Any]:
        return self._call("tasks.update", {"task": task, "tags": list(dict.fromkeys([*self.read(task).tags, tag]))})

    def report(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Add events, in the forms of `events.add_batch`."""
        if events:
            self._client.call_lines("events.add_batch", events)

    def add_artifact(self, task: str, artifact: Mapping[str, Any]) -> None:
        """Record an artifact, even in a run that was ended meanwhile."""
        try:
            self._call("tasks.add_or_update_artifacts", {"task": task, "artifacts": [artifact], "force": True})
        except AnswerError as error:
            if error.subcode != ENDED:  # which that call refuses even with force
                raise
            self._edit_artifacts(task, artifact["key"], [artifact])

    def remove_artifact(self, task: str, key: str) -> None:
        """Remove an artifact from a run's record, in any status."""
        self._edit_artifacts(task, key, [])

    def _edit_artifacts(self, task: str, key: str, new: Sequence[Mapping[str, Any]]) -> None:
        """Replace the artifact with this key. The others are sent along, since the whole list is replaced."""
        found = self._call("tasks.get_by_id", {"task": task})
        with own_task_answers.readable("tasks.get_by_id"):
            there = (found["task"].get("execution") or {}).get("artifacts") or []
            others = [one for one in there if one["key"] != key]
        self._call("tasks.edit", {"task": task, "force": True, "execution": {"artifacts": [*others, *new]}})

    def ping(self, task: str) -> str:
        """Tell the server that the run is alive; return the run's status."""
        self._call("tasks.ping", {"task": task})
        return self.status(task)

    def status(self, task: str) -> str:
        """A run's status; empty if it no longer exists."""
        body = {"id": [task], "only_fields": ["id", "status"], "search_hidden": True}
        found = own_task_answers.documents(self._call("tasks.get_all", body), "tasks")
        return next((str(d.get("status")) for d in found if d["id"] == task), "")

    def end(self, task: str, status: str, reason: str, message: str) -> None:
        """End a run: ``completed``, ``failed`` or ``stopped``."""
        self._call(f"tasks.{status}", {"task": task, "status_reason": reason, "status_message": message})

    def archive(self, runs: Sequence[str]) -> None:
        """Archive runs, so that a later pass deletes them."""
        if runs:
            self._call("tasks.archive_many", {"ids": list(runs)})


def _sections(values: Values) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        sections.setdefault(section_of(name), {})[name] = entry(name, value)
    return sections


def named_in(place: Mapping[str, str]) -> str:
    """How to name the draft in a message before it was found."""
    return f"task {place['name']!r} in project {place['project']!r}"
