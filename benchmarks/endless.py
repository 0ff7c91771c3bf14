"""What a server without end answers: pages that are made up as they are asked for, of any number of tasks.

It knows the calls that a pass sends, and answers them as ``clearml_sandbox`` does: tests/benchmarks compares both. What it does
not know it refuses, so that no measurement rests on a filter that was dropped without a word. It remembers what was deleted,
in two bytes a task.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from made_up import KEEP_TAG, Documents, Numbers, id_of, model_id, number_of

from clearml_sandbox.api.answer import ApiError
from clearml_sandbox.api.deletion import invalid_task
from clearml_sandbox.api.kinds import MODEL, TASK, Kind
from clearml_sandbox.store import Store

Body = dict[str, Any]
CAP = 500
"""Documents of a page at most."""
CHUNK = 2**16
ARTIFACTS_THERE, MODEL_THERE, TASK_READ, MODEL_READ, MAKER_READ = 1, 2, 4, 8, 16
"""What is known of a task, as bits: whether its folders hold files, and whether claims were read of it, of its model, and of
who made that."""
FILES_THERE = ARTIFACTS_THERE | MODEL_THERE
PAGED = {"search_hidden", "only_fields", "order_by", "page", "page_size", "last_update"}
VALUES = {"status": "completed", "type": "training", "user": "__tests__"}
"""Fields in which all tasks have the same."""
EMPTY = {"parent", "runtime.datasets"}
"""Fields in which no task has anything."""
EVENT_TYPES = {"plot", "training_debug_image"}
DELETION = {"ids": None, "force": None, "delete_output_models": True, "delete_external_artifacts": False}
"""What a deletion may say; None: anything."""
_BOUND = re.compile(r"(>=|<=|<|>)(.+)")
_PATH = re.compile(r"(bench/p\d/exp \d+\.([0-9a-f]{32}))(?:/(artifacts|models|metrics))?(/.+)?")


class Answer(NamedTuple):
    """An answer, and what it is about."""

    body: str
    about: str = ""
    """``claims``: records whose claims were not read before. ``deletion``: files or tasks."""


class Answers:
    """All answers about tasks, models, events and files."""

    def __init__(self, numbers: Numbers, files: str) -> None:
        """``files`` is the fileserver's address."""
        self.numbers = numbers
        self.documents = Documents(numbers, files)
        self._there = bytearray(b"\1") * numbers.tasks
        self._known = bytearray([FILES_THERE]) * numbers.tasks
        self._store = Store()
        self._calls: dict[str, Callable[[Body], Answer]] = {
            "tasks.get_all": lambda body: self._listed(body, TASK),
            "models.get_all": lambda body: self._listed(body, MODEL),
            "tasks.get_by_id": self._task,
            "tasks.delete_many": self._delete_tasks,
            "events.get_task_metrics": lambda body: self._metrics(
                body, [{"task": key, "metrics": []} for key in body["tasks"]]
            ),
            "events.get_multi_task_metrics": lambda body: self._metrics(body, []),
        }

    def of_call(self, call: str, body: Body) -> Answer | None:
        """The data of an answer of the API server; None if it is not about tasks.

        Raises:
            ApiError: what the server would say, or that this one can't say anything.
        """
        known = self._calls.get(call)
        if known is None and call.partition(".")[0] in {"tasks", "models", "events"}:
            raise unknown(call)
        return known(body) if known else None

    def begin(self) -> None:
        """A pass begins: no claims were read."""
        self._known = self._known.translate(bytes(bits & FILES_THERE for bits in range(256)))

    def records(self, service: str) -> int:
        """How many tasks or models there are."""
        return self._there.count(1) if service in {"tasks", "models"} else 0

    def left(self) -> dict[str, int]:
        """How many of those that may go are there, and how many of these have files."""
        every = self.numbers.every
        tasks, known = self._there[::every].count(1), self._known[::every]
        return {"tasks": tasks, "models": tasks, "files": len(known) - sum(known.count(bits) for bits in range(0, 32, 4))}

    # -- listings
    def _listed(self, body: Body, kind: Kind) -> Answer:
        rest = body.keys() - PAGED
        service = f"{kind.name.lower()}s"
        fields = tuple(body.get("only_fields") or ())
        index = self._by_index(body, kind)
        if index is None:
            numbers = self._by_time(body, rest)
            about = self._claims(numbers, MODEL_READ if kind is MODEL else TASK_READ) if _is_claims(kind, fields, rest) else ""
            return Answer(self._page(service, numbers, kind, fields), about)
        if len(rest) > 1:
            raise unknown(service, body)
        first, end = self._range(body.get("last_update") or [])
        index = [number for number in index if first <= number < end]
        size, start = self._paging(body)
        about = self._claims(index, MAKER_READ) if body.get("order_by") == ["id"] and kind is MODEL else ""
        return Answer(self._page(service, index[start : start + size], kind, fields), about)

    def _by_index(self, body: Body, kind: Kind) -> list[int] | None:
        """What is found by ids, or by the value of a field, in order; None if nothing like it is asked for."""
        ordered = {"id": id_of if kind is TASK else model_id, "last_update": int}
        key = ordered.get((body.get("order_by") or ["last_update"])[0], int)
        if keys := body.get("id"):
            found = self._by_id(keys, kind)
            return sorted(found, key=key) if body.get("order_by") else found
        if kind is MODEL and (tasks := body.get("task")):
            return sorted(self._by_id(tasks, TASK), key=key)
        if models := body.get("models.input.model"):
            users = (self.numbers.user_of(number_of(model, of_model=True)) for model in models)
            return sorted({user for user in users if user is not None and self.has(user)}, key=key)
        return None

    def _page(self, service: str, numbers: list[int], kind: Kind, fields: tuple[str, ...]) -> str:
        return f'{{"{service}": {self.documents.shown(numbers, kind, fields)}}}'

    def _by_id(self, keys: Iterable[str], kind: Kind) -> list[int]:
        found = (number_of(key, of_model=kind is MODEL) for key in dict.fromkeys(keys))
        return [number for number in found if self.has(number)]

    def has(self, number: int) -> bool:
        """Whether there is such a task, and so its model."""
        return 0 <= number < len(self._there) and bool(self._there[number])

    @staticmethod
    def _paging(body: Body) -> tuple[int, int]:
        size = min(body.get("page_size") or CAP, CAP)
        return size, (body.get("page") or 0) * size

    def _by_time(self, body: Body, rest: set[str]) -> list[int]:
        order = body.get("order_by") or ["last_update"]
        if order[0].lstrip("-") != "last_update":
            raise unknown("order_by", body)
        tags = set(body.get("system_tags") or ())
        wanted = {name: set(body[name]) for name in VALUES.keys() & rest}
        if rest - EMPTY - VALUES.keys() - {"system_tags", "tags"} or len(tags) > 1:
            raise unknown("filters", body)
        if rest & EMPTY or (tags and tags != {"archived"}) or any(VALUES[name] not in wanted[name] for name in wanted):
            return []
        first, end = self._range(body.get("last_update") or [])
        step = self.numbers.archived_step if tags else 1
        first += -first % step
        if "tags" in rest:  # only asked for as to whether there is any
            step, first = 1, self.numbers.tasks if KEEP_TAG not in body["tags"] or self.numbers.rest != "kept" else 1
        return self._some(range(first, max(first, end), step), *self._paging(body), newest_first=order[0].startswith("-"))

    def _range(self, bounds: list[str]) -> tuple[int, int]:
        """The numbers of tasks that were updated within bounds: the first one, and the one after the last."""
        first, end = 0, self.numbers.tasks
        for bound in bounds:
            found = _BOUND.fullmatch(bound)
            if not found:
                raise unknown("last_update", {"last_update": bounds})
            moment = datetime.fromisoformat(found[2])
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            edge = self.numbers.first_at(moment if found[1] in {">=", "<"} else moment + timedelta(microseconds=1))
            first, end = (max(first, edge), end) if found[1].startswith(">") else (first, min(end, edge))
        return first, end

    def _some(self, among: range, size: int, start: int, *, newest_first: bool) -> list[int]:
        """So many of these that are there, after the first so many."""
        if newest_first:
            among = among[::-1]
        found: list[int] = []
        for offset in range(0, len(among), CHUNK):
            part = among[offset : offset + CHUNK]
            there = self._there[min(part[0], part[-1]) : max(part[0], part[-1]) + 1 : abs(part.step)]
            if newest_first:
                there.reverse()
            number = there.count(1)
            if start >= number:
                start -= number
                continue
            at = -1
            while len(found) < size and (at := there.find(1, at + 1)) >= 0:
                if start:
                    start -= 1
                else:
                    found.append(part[at])
            if len(found) == size:
                break
        return found

    def _claims(self, numbers: list[int], bit: int) -> str:
        """Note that these were read for their claims; empty if all were."""
        if not numbers:
            return ""
        part = slice(min(numbers), max(numbers) + 1)
        before = self._known[part]
        self._known[part] = before.translate(bytes(bits | bit for bits in range(256)))
        return "claims" if self._known[part] != before else ""

    def _task(self, body: Body) -> Answer:
        number = number_of(body["task"])
        if not self.has(number):
            raise ApiError(400, 101, f"Invalid task id: ids=({body['task']})")
        return Answer(f'{{"task": {self.documents.shown([number], TASK, ())[1:-1]}}}')

    # -- events, of which there are none
    def _metrics(self, body: Body, found: list[Body]) -> Answer:
        of_model = bool(body.get("model_events"))
        if body.keys() - {"tasks", "model_events", "event_type"} or body.get("event_type", "plot") not in EVENT_TYPES:
            raise unknown("metrics", body)
        if not all(self.has(number_of(key, of_model=of_model)) for key in body["tasks"]):
            what, subcode = ("model", 201) if of_model else ("task", 101)
            raise ApiError(400, subcode, f"Invalid {what} id: ids=({', '.join(body['tasks'])})")
        return Answer(json.dumps({"metrics": found}))

    # -- deletion
    def _delete_tasks(self, body: Body) -> Answer:
        if any(name not in DELETION or DELETION[name] not in {None, value} for name, value in body.items() if name != "ids"):
            raise unknown("deletion", body)
        succeeded: list[Body] = []
        failed: list[Body] = []
        for key in body["ids"]:
            try:
                succeeded.append({"id": key, **self._delete_task(key, force=body.get("force", False))})
            except ApiError as error:
                failed.append(error.entry(key))
        return Answer(json.dumps({"succeeded": succeeded, "failed": failed}), "deletion")

    def _delete_task(self, key: str, *, force: bool) -> Body:
        number = number_of(key)
        if not self.has(number):
            raise invalid_task(self._store, key)
        if not force and self.numbers.kind(number) == "living":
            data = {"task": key, "expected": "created", "current": "completed"}
            told = ", ".join(f"{name}={value}" for name, value in data.items())
            raise ApiError(400, 123, f"Task cannot be deleted (due to status, use force=True): {told}", **data)
        user = self.numbers.user_of(number)
        if user is not None and self.has(user):  # the model would be kept; a pass comes to its user first
            raise unknown("a deletion of a task whose model is used", {"task": key})
        self._there[number] = 0
        return {"deleted": True, "updated_children": 0, "updated_models": 0, "deleted_models": 1, "urls": None}

    # -- files
    def has_file(self, path: str) -> bool:
        """Whether there is a file of this name."""
        found = self._found(path)
        return bool(found and found[1] and path in self._files_of(found[0]))

    def _files_of(self, number: int) -> set[str]:
        task, model = self.documents.whole(number)
        uris = [model["uri"], *(artifact["uri"] for artifact in task["execution"]["artifacts"])]
        return {unquote_plus(uri.removeprefix(f"{self.documents.files}/")) for uri in uris}

    def _found(self, path: str) -> tuple[int, int] | None:
        """The number of the task in whose folder a path is, and the bits of the files that are there at or around it."""
        match = _PATH.fullmatch(path)
        number = number_of(match[2]) if match else -1
        if not match or not 0 <= number < self.numbers.tasks or match[1] != self.documents.folder(number):
            return None
        bits = {None: FILES_THERE, "artifacts": ARTIFACTS_THERE, "models": MODEL_THERE, "metrics": 0}[match[3]]
        return number, self._known[number] & bits

    def delete_files(self, body: Body) -> Answer:
        """What the fileserver says of a request to delete folders."""
        deleted: dict[str, str] = {}
        errors: dict[str, list[str]] = {}
        for name in body["files"]:
            path = unquote_plus(name)
            number, bits = self._found(path) or (0, 0)
            if not bits:
                errors.setdefault("Not found", []).append(name)
                continue
            if _PATH.fullmatch(path)[4]:  # type: ignore[index]  # it was found
                raise unknown("the name of a file", {"files": [name]})
            self._known[number] &= ~bits & 255
            deleted[name] = path
        return Answer(json.dumps({"deleted": deleted, "errors": errors}), "deletion")


def _is_claims(kind: Kind, fields: tuple[str, ...], rest: set[str]) -> bool:
    """Whether a listing is read for its claims."""
    return not rest and (kind is MODEL or "execution.artifacts" in fields)


def unknown(what: str, body: Body | None = None) -> ApiError:
    """The error for what this server knows nothing of."""
    return ApiError(501, 0, f"the endless server does not know {what}: {json.dumps(body)[:500]}")
