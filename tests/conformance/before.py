"""What a server must have held before a recorded client came: told by the conversation itself, as it has no world.

Of each record the earliest sight of each field counts, whether the client read it, was answered with it or sent only its
id; what the conversation itself makes is left out. Fields that it never shows are those of a blank record.
"""

import json
import re

from clearml_sandbox.store import Document, now
from clearml_sandbox.worlds.records import model_record, project_record, queue_record, task_record

SERVICES = {"task": "tasks", "model": "models", "project": "projects", "queue": "queues"}
MAKING = ("create", "clone")
_ID = re.compile(r"<id:(\d+)>")


class Before:
    """A world, gathered from a conversation."""

    def __init__(self, steps: list[Document]) -> None:
        self._made: set[str] = set()
        self._sources: dict[str, str] = {}
        self._seen: dict[str, dict[str, Document]] = {service: {} for service in SERVICES.values()}
        self._events: list[Document] = []
        self._files: list[Document] = []
        for step in steps:
            if step["to"] == "api":
                self._read_call(step)
            elif step["method"] == "DELETE" and step["status"] == 200:
                self._files.append({"path": step["response"], "size": 1})

    def ids(self) -> dict[str, str]:
        """The placeholders of what was there, and the ids that they get."""
        there = {found[0] for found in _ID.finditer(json.dumps([self._seen, self._events, self._files], default=str))}
        return {key: _plain(key) for key in there - self._made}

    def world(self, key: str, secret: str) -> Document:
        """All of it, for `PUT /_sandbox/world`."""
        moment = now()
        blank = {
            "tasks": lambda i: task_record(i, "__tests__", status="in_progress", created=moment, started=moment),
            "models": lambda i: model_record(i, "__tests__", moment),
            "projects": lambda i: project_record(i, moment, "a project", None),
            "queues": lambda i: {**queue_record(i, moment), "name": "services", "system_tags": []},
        }
        # A record that is shown as a whole lacks what it does not show.
        found = {
            service: [
                {
                    field: value
                    for field, value in (seen if "company" in seen else blank[service](i) | seen).items()
                    if value != ...
                }
                for i, seen in documents.items()
            ]
            for service, documents in self._seen.items()
        }
        text = _plain(json.dumps({**found, "events": self._events, "files": self._files}))
        text = text.replace("<now>", moment).replace("<any>", "any")
        return {**json.loads(text), "credentials": {"key": key, "secret": secret}}

    def _read_call(self, step: Document) -> None:
        service, _, action = step["path"].rpartition("/")[2].partition(".")
        sent, data = step.get("request") or {}, step["response"].get("data") or {}
        if action in MAKING:
            self._made.add(data["id"])
        if action == "clone":
            self._sources[data["id"]] = sent["task"]
        for name, plural in SERVICES.items():
            if isinstance(sent.get(name), str) and step["status"] == 200:
                self._see(plural, sent[name], {})
            if isinstance(data.get(name), dict):
                self._see(plural, data[name]["id"], data[name])
            for document in data.get(plural) or ():
                ids = sent.get("id") or ()
                self._see(plural, document.get("id") or ids[0], document)
        for event in data.get("events") or ():
            self._events.append({field: value for field, value in event.items() if value != "<any>"})
        self._read_more(f"{service}.{action}", sent, data)

    def _read_more(self, call: str, sent: Document, data: Document) -> None:
        """What some calls tell by the way."""
        if call == "queues.get_next_task" and data:
            self._see("queues", sent["queue"], {"entries": [data["entry"]]})
            self._see("tasks", data["entry"]["task"], {"status": "queued"})
        if call == "tasks.started" and "started" in data["fields"]:
            self._see("tasks", sent["task"], {"started": ..., "active_duration": ...})
        if call == "models.get_all":
            for model in data["models"]:
                self._see("models", model["id"], {"task": sent["task"][0]})

    def _see(self, service: str, key: str, document: Document) -> None:
        if key in self._sources and document:  # the first look at a clone tells what it was made from
            self._see(service, self._sources.pop(key), {**document, "parent": ...})
        if key not in self._made:
            self._seen[service][key] = {**document, **self._seen[service].get(key, {"id": key})}


def _plain(text: str) -> str:
    return _ID.sub(lambda match: f"{int(match[1]):032x}", text)
