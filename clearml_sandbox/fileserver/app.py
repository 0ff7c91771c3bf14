"""The fileserver as a Flask application; what wipes the real one's store wipes this one's."""

import json
import mimetypes
import posixpath
from typing import Any
from urllib.parse import unquote_plus

from flask import Flask, Response, abort, request
from werkzeug.http import http_date

from clearml_sandbox.api.answer import ApiError
from clearml_sandbox.api.app import read_token
from clearml_sandbox.store import Store


def make(store: Store, *, auth: bool, allow_batch: bool) -> Flask:
    """The application. `auth`: whether a token is required; `allow_batch`: whether `/delete_many` is allowed."""
    app = Flask("clearml-files")
    app.logger.disabled = True

    @app.before_request
    def check() -> None:
        if (auth and request.path != "/") or (auth and request.method == "POST"):
            _check_token()

    @app.route("/", methods=["GET", "HEAD"])
    def ping() -> str:
        return "OK"

    @app.route("/", methods=["POST"])
    def upload() -> Response:
        return _upload(store)

    @app.route("/<path:path>", methods=["GET", "HEAD"])
    def download(path: str) -> Response:
        return _download(store, path)

    @app.route("/<path:path>", methods=["DELETE"])
    def delete(path: str) -> str:
        return _delete(store, path)

    if allow_batch:  # without it the real fileserver has no such route: 405, as a path that can only be read or deleted

        @app.route("/delete_many", methods=["POST"])
        def delete_many() -> Response:
            return _delete_many(store)

    return app


def _check_token() -> None:
    """A bearer token and nothing else; the answers are the real server's."""
    header = request.headers.get("Authorization", "")
    if not header:
        abort(401)
    kind, _, token = header.partition(" ")
    if kind != "Bearer" or not token:
        abort(Response("Only bearer token authorization is supported", 401))
    try:
        read_token(token)
    except ApiError as error:
        abort(Response(error.message.partition("reason=")[2], 401))


def _inside(path: str) -> str | None:
    """A path in the store, tidied as a file system does; "" is the store itself, None what climbs out of it."""
    tidy = posixpath.normpath(path)
    if tidy.startswith(("/", "../")) or tidy == "..":
        return None
    return "" if tidy == "." else tidy


def _upload(store: Store) -> Response:
    paths = []
    for name, file in request.files.items():
        path = _inside(name.lstrip("/"))
        if not path:
            abort(404)
        try:
            with store.lock:
                store.files.put(path, file.read())
        except OSError:
            abort(500)
        paths.append(name.lstrip("/"))
    return Response(json.dumps(paths), mimetype="application/json")


def _content(store: Store, path: str) -> bytes | None:
    """A file's bytes; None where there is no file.

    Raises:
        OSError: what the file system says of a path that is too long, or of a folder that may not be entered.
    """
    with store.lock:
        found = store.files.get(path)
    if found is None or isinstance(found, dict):
        return None
    return found if isinstance(found, bytes) else b"x" * found


def _download(store: Store, path: str) -> Response:
    tidy = _inside(path)
    try:
        content = _content(store, tidy) if tidy else None
    except OSError:
        content = None
    if content is None:
        abort(404)
    kind = mimetypes.guess_type(path.rstrip("/"))[0] or "application/octet-stream"
    response = Response(content, mimetype=kind)
    for _ in range(2):  # the real server sends its Date twice with a file, and once with everything else
        response.headers.add("Date", http_date())
    return response


def _delete(store: Store, path: str) -> str:
    tidy = _inside(path)
    try:
        if not tidy or path.endswith("/") or _content(store, tidy) is None:
            abort(Response(f"File {path} not found", 404))
        with store.lock:
            store.files.remove(tidy)
    except OSError:
        abort(500)
    return path


def _delete_many(store: Store) -> Response:
    body: Any = request.get_json(force=True)
    if not body:
        abort(Response("Json payload is missing", 400))
    files: Any = body.get("files")
    if not files:
        abort(Response("files are missing", 400))
    deleted: dict[str, str] = {}
    errors: dict[str, list[str]] = {}
    for name in files:
        # A leading slash, a whole address and what climbs out are not found; "." is the store itself.
        path = unquote_plus(name)
        if not path.strip("/"):
            errors.setdefault("Empty path not allowed", []).append(name)
            continue
        tidy = None if path.startswith("/") else _inside(path)
        with store.lock:
            problem = _remove(store, tidy)
        if problem:
            errors.setdefault(problem, []).append(name)
        else:
            deleted[name] = path
    return Response(json.dumps({"deleted": deleted, "errors": errors}), mimetype="application/json")


def _remove(store: Store, path: str | None) -> str:
    """Delete a file or a folder; gives why not. A path that can't be looked up at all ends the whole call."""
    try:
        there = path is not None and store.files.get(path) is not None
    except OSError:
        abort(500)
    try:
        return "" if there and store.files.remove(str(path)) else "Not found"
    except OSError as error:
        return str(error.strerror)
