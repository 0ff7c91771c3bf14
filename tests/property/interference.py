"""What is between a pass and the sandbox: edits answers, lets others act during the pass, sets the server's clock, keeps a log.

An edit is `{"in": "tasks" | "models", "id": …}` with one of
  `"set": {field: value}`   these fields have these values in each answer that holds them,
  `"deep": field`           the field is a list that is nested 10,000 deep,
  `"twice": true`           the document comes twice,
  `"add": document`         the document comes along in each answer that holds documents, but where it is asked for (no `id`).

An event is `{"at": n, "kind": …}`; it happens right before the n-th request is answered:
  `restore` (task), `publish` (model), `use`, `list` (task, model), `artifact` (task, uri), `model` (id, uri).
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO
from threading import RLock
from typing import Any
from urllib.parse import unquote

from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import api_time
from tests.property.scenario import Document, Happened, Scenario, Seen

DEEP = "[" * 10_000 + "]" * 10_000
_HOLE = "<<deep>>"


class Interference:
    """Around both servers of a sandbox, for good; harmless until armed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._lock = RLock()
        self.rest()
        for service, server in (("api", sandbox._api), ("files", sandbox._files)):
            server.app = self._around(service, server.app)
            server.RequestHandlerClass = self._clocked(server.RequestHandlerClass)

    def rest(self) -> None:
        """Nothing happens any more."""
        self.arm(Scenario({}))

    def arm(self, scenario: Scenario, places: dict[str, str] | None = None, *, events: bool = False) -> None:
        """From now on a scenario's clock and edits hold, and its events happen; `places` are its placeholders."""
        text = json.dumps([scenario.edits, scenario.events if events else []])
        for name, value in (places or {}).items():
            text = text.replace(name, value)
        with self._lock:
            self._edits, self._due = json.loads(text)
            self._clock = scenario.clock
            self.log: list[Seen] = []
            self.happened: list[Happened] = []
            self.edited: set[str] = set()

    # -- requests
    def _around(self, service: str, app: Any) -> Callable[..., Iterable[bytes]]:
        def serve(environ: Document, start: Callable[..., Any]) -> Iterable[bytes]:
            whole = environ.get("wsgi.input_terminated")
            body = environ["wsgi.input"].read(-1 if whole else int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            number = self._note(service, environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
            head: list[Any] = []
            answer = b"".join(app(environ, lambda status, headers, *_: head.extend((status, headers))))
            if service == "api" and (self._edits or self.happened):
                answer = self._changed(number, answer)
            headers = [(name, value) for name, value in head[1] if name.lower() != "content-length"]
            start(head[0], [*headers, ("Content-Length", str(len(answer)))])
            return [answer]

        return serve

    def _note(self, service: str, method: str, path: str, body: bytes) -> int:
        with self._lock:
            number = len(self.log) + 1
            for event in [event for event in self._due if event["at"] <= number]:
                self._due.remove(event)
                if _act(self._sandbox, event, api_time(self._now())):
                    self.happened.append(Happened(event, number))
            call = path.rpartition("/")[2] if service == "api" else path
            text = unquote(f"{path} {body.decode(errors='replace')}")
            self.log.append(Seen(number, service, method, call, text))
            return number

    # -- answers
    def _changed(self, number: int, answer: bytes) -> bytes:
        try:
            data = json.loads(answer)
        except ValueError:
            return answer
        documents = data.get("data") or {}
        with self._lock:
            for happened in self.happened:
                if happened.told is None and _tells(documents, happened.event):
                    happened.told = number
            for edit in self._edits:
                if isinstance(some := documents.get(edit["in"]), list) and some:
                    self._edit(some, edit, self.log[number - 1].text)
        return json.dumps(data).replace(f'"{_HOLE}"', DEEP).encode()

    def _edit(self, documents: list[Document], edit: Document, request: str) -> None:
        if "add" in edit:
            if edit["add"]["id"] not in request:
                documents.insert(0, edit["add"])
            return
        for at, document in reversed(list(enumerate(documents))):
            if document.get("id") != edit["id"]:
                continue
            fields = {**edit.get("set", {}), **({edit["deep"]: _HOLE} if "deep" in edit else {})}
            there = {field: value for field, value in fields.items() if field in document}
            document.update(there)
            if there or edit.get("twice"):
                self.edited.add(edit["id"])
            if edit.get("twice"):
                documents.insert(at, dict(document))

    def _now(self) -> datetime:
        """The server's clock."""
        return datetime.now(UTC) + timedelta(days=self._clock or 0)

    def _clocked(self, handler: Any) -> Any:
        def date(_: Any, __: float | None = None) -> str:
            return format_datetime(self._now(), usegmt=True)

        def send_header(one: Any, name: str, value: str) -> None:
            if not (name == "Date" and self._clock is None):
                handler.send_header(one, name, value)

        return type("Clocked", (handler,), {"date_time_string": date, "send_header": send_header})


def _act(sandbox: Sandbox, event: Document, moment: str) -> bool:
    """Do what someone else does; gives whether it could be done."""
    store = sandbox.store
    with store.lock:
        task, model = event.get("task", ""), event.get("model", "")
        if (task and task not in store.tasks) or (model and model not in store.models):
            return False
        match event["kind"]:
            case "restore":
                tags = [tag for tag in store.tasks[task]["system_tags"] if tag != "archived"]
                store.tasks.change(task, system_tags=tags, last_change=moment)
            case "publish":
                store.models.change(model, ready=True, last_update=moment, last_change=moment)
            case "use" | "list" as kind:
                models = store.tasks[task]["models"]
                direction = "input" if kind == "use" else "output"
                entry = {"name": "came into use", "model": model, "updated": moment}
                changed = {**models, direction: [*models[direction], entry]}
                store.tasks.change(task, models=changed, last_update=moment, last_change=moment)
            case "artifact":
                execution = store.tasks[task]["execution"]
                entry = {"key": "came into use", "type": "custom", "mode": "output", "uri": event["uri"]}
                changed = {**execution, "artifacts": [*execution["artifacts"], entry]}
                store.tasks.change(task, execution=changed, last_update=moment, last_change=moment)
            case "model":
                like = {"created": moment, "last_update": moment, "last_change": moment, "tags": [], "system_tags": []}
                company = store.company["id"]
                store.models.put(
                    {**like, "id": event["id"], "company": company, "uri": event["uri"], "ready": False, "name": "new"}
                )
    return True


def _tells(data: Document, event: Document) -> bool:
    """Whether an answer holds the document that an event changed, as it is since."""
    models = [one for one in data.get("models") or [] if isinstance(one, dict)]
    tasks = [one for one in data.get("tasks") or [] if isinstance(one, dict)]
    task, model = event.get("task"), event.get("model")
    match event["kind"]:
        case "restore":
            return any(one.get("id") == task and "archived" not in one.get("system_tags", ["archived"]) for one in tasks)
        case "publish":
            return any(one.get("id") == model and one.get("ready") is True for one in models)
        case "use" | "list" as kind:
            direction = "input" if kind == "use" else "output"
            entries = [one.get("models", {}).get(direction) or [] for one in tasks if one.get("id") == task]
            return any(entry.get("model") == model for some in entries for entry in some)
        case "artifact":
            return any(one.get("id") == task and event["uri"] in json.dumps(one.get("execution")) for one in tasks)
        case _:
            return any(one.get("id") == event["id"] and "uri" in one for one in models)
