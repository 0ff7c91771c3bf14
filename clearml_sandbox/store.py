"""Everything that the sandbox holds: plain documents as the API gives them, events, and files.

Format of a world: the conformance set's `worlds/NAME.json`. All access goes through `Store.lock` when threads serve requests.
"""

import copy
import json
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any
from uuid import uuid4

from clearml_sandbox.fileserver.file_tree import Files

Document = dict[str, Any]
"""A record as the API returns it."""
DELETED = "__DELETED__"
COMPANY = "d1bd92a3b039400cbafc60a7a5b1e52b"
"""The only company of a ClearML Server, the same on each installation."""


def api_time(moment: datetime) -> str:
    """A time as the API writes it: with milliseconds unless these are zero."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000).isoformat()


def now() -> str:
    """This moment as the API writes it."""
    return api_time(datetime.now(UTC))


def new_id() -> str:
    """An id as the server makes them."""
    return uuid4().hex


_LACKING = "~"
"""In an index of times, what comes after all of them."""
_BEHIND = "\0"
"""Behind a time, what comes right after it."""


class Documents(dict[str, Document]):
    """Documents by id, found fast by some of their fields. Change a document with `change`, which keeps the index true."""

    def __init__(self, **keys: Callable[[Document], Iterable[str]]) -> None:
        """For each field to search by, how to read its values."""
        super().__init__()
        self._keys = keys
        self._index: dict[str, dict[str, set[str]]] = {field: defaultdict(set) for field in keys}
        self._times: list[tuple[str, str]] = []
        """Each document's `last_update` and id, in order; those that lack it come last. Some documents are gone."""
        self._time_of: dict[str, tuple[str, str]] = {}

    def __setitem__(self, key: str, document: Document) -> None:
        self.pop(key, None)
        for field in ("tags", "system_tags"):  # the server keeps them in order
            tags = document.get(field)
            if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags) and tags != sorted(tags):
                document = {**document, field: sorted(tags)}
        super().__setitem__(key, document)
        for field, read in self._keys.items():
            for value in read(document):
                self._index[field][value].add(key)
        self._time_of[key] = (document.get("last_update") or _LACKING, key)
        insort(self._times, self._time_of[key])

    def __delitem__(self, key: str) -> None:
        for field, read in self._keys.items():
            for value in read(self[key]):
                self._index[field][value].discard(key)
        del self._time_of[key]
        super().__delitem__(key)
        if len(self._times) > 2 * len(self) + 100:  # taking each out at once would move all that come after it
            self._times = sorted(self._time_of.values())

    def pop(self, key: str, *default: Any) -> Any:
        """Take a document out."""
        if key not in self:
            return default[0] if default else super().pop(key)
        document = self[key]
        del self[key]
        return document

    def put(self, document: Document) -> Document:
        """Add a document under its id."""
        self[document["id"]] = document
        return document

    def change(self, key: str, **fields: Any) -> Document:
        """Set fields of a document; None takes a field away."""
        document = self[key]
        merged = {**document, **fields}
        self[key] = document = {field: value for field, value in merged.items() if value is not None or field not in fields}
        return document

    def by_time(self, since: str) -> Iterator[Document]:
        """The documents in order of `last_update`, from one on."""
        return self._between(bisect_left(self._times, (since, "")), len(self._times))

    def by_time_down(self, since: str, until: str) -> Iterator[Document]:
        """The documents between two times, newest `last_update` first, those of one time by id; then those that lack it.

        Both times may be empty: no bound. Only without any come those that lack it.
        """
        lacking = bisect_left(self._times, (_LACKING, ""))
        end = bisect_left(self._times, (until + _BEHIND, "")) if until else lacking
        first = bisect_left(self._times, (since, ""))
        while end > first:
            start = bisect_left(self._times, (self._times[end - 1][0], ""))
            yield from self._between(start, end)
            end = start
        if not since and not until:
            yield from self._between(lacking, len(self._times))

    def _between(self, start: int, end: int) -> Iterator[Document]:
        """Those that are still there, of a part of the index."""
        before = None
        for at in range(start, end):
            time = self._times[at]
            if time != before and self._time_of.get(time[1]) == time:
                yield self[time[1]]
            before = time

    def indexed(self, field: str) -> bool:
        """Whether `having` knows a field."""
        return field in self._index

    def having(self, field: str, values: Iterable[str]) -> Iterator[Document]:
        """The documents that have one of these values in an indexed field."""
        found: set[str] = set()
        for value in values:
            found |= self._index[field].get(value, set())
        return (self[key] for key in sorted(found))


def _one(field: str) -> Callable[[Document], Iterable[str]]:
    return lambda document: [document[field]] if isinstance(document.get(field), str) else []


def _inputs(task: Document) -> Iterable[str]:
    return [entry["model"] for entry in (task.get("models") or {}).get("input") or () if entry.get("model")]


class Store:
    """One server's contents."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.clear()

    def clear(self) -> None:
        """Empty it."""
        self.tasks = Documents(parent=_one("parent"), inputs=_inputs)
        self.models = Documents(task=_one("task"), uri=_one("uri"))
        self.projects = Documents(name=_one("name"))
        self.queues = Documents()
        self.users: dict[str, Document] = {}
        self.workers: dict[str, Document] = {}
        self.events: dict[str, list[Document]] = defaultdict(list)
        """Events by the id of their task, or of their model."""
        self.files = Files()
        self.company: Document = {"id": COMPANY, "name": "clearml"}
        self.user: Document = {"id": "__tests__", "name": "Default User"}
        self.credentials: dict[str, str] = {}
        self.scrolls: dict[str, Any] = {}

    def load(self, world: Document, places: dict[str, str]) -> None:
        """Replace everything by a world; `places` are its placeholders, such as `{FILES}`, and what they stand for."""
        text = json.dumps(world)
        for name, value in places.items():
            text = text.replace(name, value)
        with self.lock:
            self.clear()
            loaded = json.loads(text)
            self._load_people(loaded)
            kinds = {"tasks": self.tasks, "models": self.models, "projects": self.projects, "queues": self.queues}
            for name, documents in kinds.items():
                for document in expand(loaded.get(name) or []):
                    documents.put(document)
            for event in expand(loaded.get("events") or []):
                self.events[event["task"]].append(event)
            self._load_files(loaded)

    def _load_people(self, world: Document) -> None:
        self.company = world.get("company") or self.company
        self.user = world.get("user") or self.user
        self.users = {user["id"]: user for user in world.get("users") or [self.user]}
        credentials = world.get("credentials") or {}
        self.credentials = {credentials["key"]: credentials["secret"]} if credentials else {}

    def _load_files(self, world: Document) -> None:
        for file in expand(world.get("files") or []):
            self.files.put(file["path"], file["size"])
        for folder in world.get("folders") or []:
            self.files.restrict(folder["path"], folder["mode"])

    def state(self) -> Document:
        """What is there, as `GET /_sandbox/state` gives it."""
        with self.lock:
            return {
                "tasks": list(self.tasks),
                "models": [{"id": i, "task": model.get("task")} for i, model in self.models.items()],
                "files": self.files.paths(),
                "queues": [
                    {"id": i, "entries": [entry["task"] for entry in queue["entries"]]} for i, queue in self.queues.items()
                ],
                "projects": list(self.projects),
            }


def expand(entries: list[Document]) -> Iterator[Document]:
    """The documents of a world with their `repeat` templates written out."""
    for entry in entries:
        if "repeat" not in entry:
            yield copy.deepcopy(entry)
            continue
        rule = entry["repeat"]
        text = json.dumps(next(template for name, template in entry.items() if name != "repeat"))
        first = datetime.fromisoformat(rule.get("first_time", "2026-01-01T00:00:00+00:00"))
        end = rule["start"] + rule["count"]
        for i in range(rule["start"], end):
            when = first + timedelta(seconds=rule.get("step_seconds", 0) * i)
            one = text.replace('"{n}"', str(i)).replace('"{ms}"', str(round(when.timestamp() * 1000)))
            one = one.replace("{i}", f"{i:05d}").replace("{c}", f"{i % rule.get('cycle', end):05d}")
            yield json.loads(one.replace("{t}", when.isoformat()))
