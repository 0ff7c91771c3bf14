"""The API server as a Flask application: paths, versions, authentication, the envelope around every answer."""

import base64
import json
import re
from time import time
from typing import Any

import jwt
from flask import Flask, Response, request

from clearml_sandbox.api import (
    account,
    deletion,
    event_bulk,
    event_reading,
    events,
    hyper_params,
    models,
    older,
    projects,
    queues,
    scalars,
    task_outputs,
    task_states,
    tasks,
    workers,
)
from clearml_sandbox.api.answer import ENDPOINTS, ApiError, Call, endpoint
from clearml_sandbox.store import Document, Store, new_id

SERVICES = (
    account,
    deletion,
    event_bulk,
    event_reading,
    events,
    hyper_params,
    models,
    projects,
    queues,
    scalars,
    task_outputs,
    task_states,
    tasks,
    workers,
)
"""The modules whose functions are the endpoints: importing them is what registers these."""
SIGNING_KEY = "the sandbox signs its tokens with this: nothing in it is worth protecting"
LONGEST = 31_536_000
"""Seconds that a token may last."""
_PATH = re.compile(r"/(?:v(\d+\.\d+)/)?([A-Za-z_]+\.[A-Za-z_]+)/?")
_PUBLIC = frozenset({"debug.ping"})
"""Endpoints that ask for no credentials."""


def make(store: Store, files: str, max_version: str) -> Flask:
    """The application. `max_version` is the API version that the server has: what is newer isn't there."""
    app = Flask("clearml-api")
    app.logger.disabled = True

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "HEAD", "OPTIONS"])
    @app.route("/<path:path>", methods=["GET", "POST", "PUT", "HEAD", "OPTIONS"])
    def answer(path: str) -> Response:
        return _answer(store, files, max_version, "/" + path)

    return app


def _answer(store: Store, files: str, max_version: str, path: str) -> Response:
    bad_version, bad_path, version, name = _understood(path, max_version)
    since, handler = ENDPOINTS.get(name, ((1, 0), None))
    number = _number(version)
    server = _number(max_version)
    there = handler is not None and number >= (1, 0) and since <= server and not older.lacks(server, name)
    try:
        _check(bad_version, bad_path, "" if there else f"name {name} and version {version}")
        user = str(store.user["id"]) if name in _PUBLIC else _authenticate()
        body = older.understood(server, name, _body_of_request())
        call = Call(store, body, user, files, request.get_data(as_text=True), number, server)
        with store.lock:
            shown, status, subcode, message = json.dumps(handler(call) if handler else {}), 200, 0, "OK"
    except ApiError as error:
        shown, status, subcode, message = "{}", error.status, error.subcode, error.message
    endpoint = {
        "name": name,
        "requested_version": _as_number(version),
        "actual_version": _actual(version, since) if there else None,
    }
    meta = _meta(endpoint, status, subcode, message)
    return Response(f'{{"meta": {json.dumps(meta)}, "data": {shown}}}', status, mimetype="application/json")


def _understood(path: str, max_version: str) -> tuple[str, str, str, str]:
    """What is wrong with the version in a path and with the path, then the version and the name of the call."""
    found = _PATH.fullmatch(path)
    if not found:
        return "", path, "1.0", ""
    if found[1] and re.match(r"0\d", found[1]):
        return path, "", "1.0", ""
    return "", "", found[1] or max_version, found[2]


def _meta(endpoint: Document, status: int, subcode: int, message: str) -> Document:
    return {
        "id": new_id(),
        "trx": new_id(),
        "endpoint": endpoint,
        "result_code": status,
        "result_subcode": subcode,
        "result_msg": message,
        "error_stack": None,
        "error_data": {},
    }


def _check(bad_version: str, bad_path: str, missing: str) -> None:
    if bad_version:
        raise ApiError(400, 2, f"Request path has invalid version: version={bad_version}, reason=Invalid leading zero in major")
    if bad_path:
        raise ApiError(400, 0, f"Invalid request path {bad_path}")
    if missing:
        raise ApiError(404, 0, f"Unable to find endpoint for {missing}")


def _number(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def _as_number(version: str) -> str | float:
    """The server reads versions up to 2.0 as numbers and gives them back as such."""
    return float(version) if _number(version) <= (2, 0) else version


def _actual(version: str, since: tuple[int, int]) -> str | float:
    actual = f"{since[0]}.{since[1]}"
    return float(actual) if _number(version) <= (2, 0) else actual


def _body_of_request() -> Document:
    """The request's JSON object (GET has one, too), with the parameters of its address or form."""
    body: Any = {}
    if request.mimetype != "application/json-lines" and not request.form:
        try:
            body = json.loads(request.get_data() or b"{}")
        except ValueError:
            message = "The browser (or proxy) sent a request that this server could not understand."
            raise ApiError(400, 0, message) from None
    if body and not isinstance(body, dict):
        raise ApiError(500, 0, "Data should be a dict")
    return {**request.args.to_dict(), **request.form.to_dict(), **(body or {})}


# -- authentication
def _authenticate() -> str:
    store: Store = request.environ["sandbox.store"]
    header = request.headers.get("Authorization", "")
    if not header:
        raise ApiError(401, 20, "Unauthorized (missing credentials)")
    kind, _, value = header.partition(" ")
    if kind == "Basic":
        try:
            key, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            key, secret = "", ""
        if not key or store.credentials.get(key) != secret:
            raise ApiError(401, 22, "Unauthorized (invalid credentials) (failed to locate provided credentials)")
        return str(store.user["id"])
    if kind == "Bearer":
        return str(read_token(value.strip())["identity"]["user"])
    raise ApiError(401, 10, "Unauthorized (bad authentication header type)")


def read_token(token: str) -> Document:
    """A token's contents, if it is one of ours and still holds."""
    try:
        contents: Document = jwt.decode(token, SIGNING_KEY, algorithms=["HS256"])
    except jwt.PyJWTError as error:
        raise ApiError(401, 30, f"Invalid token (invalid jwt token): reason={error}") from None
    return contents


@endpoint("auth.login")
def _login(call: Call) -> Document:
    lasts = call.body.get("expiration_sec")
    try:
        seconds = int(lasts) if lasts is not None else 0
    except ValueError as error:
        raise ApiError(400, 12, f"Validation error ({error})") from None
    if seconds > LONGEST:
        raise ApiError(400, 12, f"Validation error (error for field 'expiration_sec': '{seconds}' is bigger than maximum)")
    issued = int(time())
    contents = {
        "iat": issued,
        "exp": issued + (seconds if seconds > 0 else LONGEST // 12),
        "auth_type": "Bearer",
        "identity": {"user": call.user, "company": call.store.company["id"], "role": "user"},
        "env": "<unknown>",
        "api_version": request.environ["sandbox.version"],
        "server_version": "2.3.0",
        "server_build": "sandbox",
        "feature_set": "basic",
    }
    return {"token": jwt.encode(contents, SIGNING_KEY, algorithm="HS256")}
