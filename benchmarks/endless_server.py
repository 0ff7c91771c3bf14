"""The endless server as a process: the sandbox, with tasks, models, events and files that are made up.

All other calls (login, projects, users) go to a sandbox without tasks.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from threading import Lock
from time import monotonic, sleep
from typing import Any

from endless import Answer, Answers
from made_up import Numbers

from clearml_sandbox.api.answer import ApiError
from clearml_sandbox.server import OWN, Request, Sandbox

_VERSION = re.compile(r"^/(?:v[\d.]+/)?")
LOGIN, DELETE_MANY = "auth.login", "/delete_many"


@dataclass
class Log:
    """What one pass asked, in numbers. Seconds are those of this machine's clock; 0: not yet."""

    requests: Counter[str] = field(default_factory=Counter)
    """By call; those that gave claims that were not read before are ``claims``."""
    first_claims: float = 0.0
    """When the first of these came."""
    last_claims: float = 0.0
    """When the last of these was answered."""
    first_deletion: float = 0.0
    """When files or records were first to be deleted."""
    claims_forms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By call, the body of the last page of a listing that gave claims."""

    def note(self, call: str, body: dict[str, Any], about: str, came: float, answered: float) -> None:
        """Add a request."""
        self.requests["claims" if about == "claims" else call] += 1
        if about == "claims":
            self.first_claims = self.first_claims or came
            self.last_claims = answered
            if "id" not in body:
                self.claims_forms[call] = body
        if about == "deletion":
            self.first_deletion = self.first_deletion or came


class EndlessServer(Sandbox):
    """Serves as the sandbox does."""

    def __init__(self, numbers: Numbers) -> None:
        """Bind the ports."""
        self._log = Log()
        self._log_lock = Lock()
        super().__init__(log_bodies=False)
        self.answers = Answers(numbers, self.files_url)
        self.load(self.answers.documents.built.as_dict())

    def _around(self, service: str, app: Any) -> Callable[..., Iterable[bytes]]:
        def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            came, path, method = monotonic(), environ["PATH_INFO"], environ["REQUEST_METHOD"]
            raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            if path.startswith(OWN):
                return _send(start, 200, json.dumps(self._told(path.removeprefix(OWN))))
            call = _VERSION.sub("", path) if service == "api" else path
            body = json.loads(raw) if raw[:1] == b"{" else {}
            sleep(self.latency)
            if call == LOGIN:
                with self._log_lock:
                    self._log = Log()
                self.answers.begin()
            status, answer, headers = self._answer(service, method, call, body)
            if answer is None:
                environ |= {"sandbox.store": self.store, "sandbox.version": "2.34", "wsgi.input": BytesIO(raw)}
                sent = app(environ, start)
            else:
                sent = _send(start, status, answer.body, headers)
            sent = self._worked(Request(0, service, method, call, body), list(sent))
            with self._log_lock:
                noted = call if service == "api" or call == DELETE_MANY else f"{method} a file"
                self._log.note(noted, body, answer.about if answer else "", came, monotonic())
            return sent

        return serve

    def _answer(
        self, service: str, method: str, call: str, body: dict[str, Any]
    ) -> tuple[int, Answer | None, list[tuple[str, str]]]:
        """The status, the answer, and its headers; no answer: the sandbox has one."""
        if service == "files":
            if call == DELETE_MANY and body.get("files"):
                return 200, self.answers.delete_files(body), []
            if method in {"GET", "HEAD"} and self.answers.has_file(call.removeprefix("/")):
                return 200, Answer("xxxxx"), [("Content-Type", "application/octet-stream")]
            return 404, None, []
        status, subcode, message = 200, 0, "OK"
        try:
            answer = self.answers.of_call(call, body)
        except ApiError as error:
            answer, status, subcode, message = Answer("{}"), error.status, error.subcode, error.message
        meta = {
            "id": "0" * 32,
            "trx": "0" * 32,
            "endpoint": {"name": call, "requested_version": "2.34", "actual_version": "1.0"},
            "result_code": status,
            "result_subcode": subcode,
            "result_msg": message,
            "error_stack": None,
            "error_data": {},
        }
        shown = answer and answer._replace(body=f'{{"meta": {json.dumps(meta)}, "data": {answer.body}}}')
        return status, shown, []

    def _told(self, name: str) -> Any:
        """What the benchmark asks."""
        return {"log": lambda: vars(self._log), "left": self.answers.left, "ready": lambda: True}[name]()


def _send(start: Callable[..., Any], status: int, body: str, headers: list[tuple[str, str]] | None = None) -> list[bytes]:
    sent = body.encode()
    start(f"{status} -", [*(headers or [("Content-Type", "application/json")]), ("Content-Length", str(len(sent)))])
    return [sent]
