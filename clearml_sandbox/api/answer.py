"""Endpoints, errors and the checks of requests, as ClearML's API has them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clearml_sandbox.store import Document, Store

Version = tuple[int, int]


class ApiError(Exception):
    """An answer other than 200: HTTP status, ClearML's subcode, words, and what `failed` entries carry as data."""

    def __init__(self, status: int, subcode: int, message: str, /, **data: Any) -> None:
        super().__init__(message)
        self.status = status
        self.subcode = subcode
        self.message = message
        self.data = data

    def entry(self, key: str) -> Document:
        """The entry for it in the `failed` list of a `…_many` call."""
        return {"id": key, "error": {"codes": [self.status, self.subcode], "msg": self.message, "data": self.data}}


@dataclass(frozen=True)
class Call:
    """A request to an endpoint."""

    store: Store
    body: Document
    user: str
    files: str
    """The fileserver's address."""
    raw: str = ""
    """The body's text, for batches of JSON lines."""
    version: Version = (2, 34)
    """The version of the API that the caller speaks."""
    server: Version = (2, 34)
    """The version of the server."""

    def text(self, name: str) -> str:
        """A required string."""
        if self.body.get(name, ...) is ...:
            raise ApiError(400, 12, f"Validation error (error for field '{name}'. field is required!)")
        value = self.body[name]
        if not isinstance(value, str):
            raise ApiError(400, 12, f"Validation error (error for field '{name}': value is wrong, expected type \"str\")")
        return value

    def ids(self, name: str = "ids") -> list[str]:
        """A required list of strings that is not empty."""
        value = self.body.get(name)
        if value is None:
            value = []
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise ApiError(400, 12, f"Validation error (error for field '{name}': {value!r} is not a list of ids)")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An optional truth value; anything that is not empty counts as true."""
        value = self.body.get(name, default)
        return bool(value) if value is not None else default


Handler = Callable[[Call], Document]
ENDPOINTS: dict[str, tuple[Version, Handler]] = {}
"""Every endpoint: the version since which it exists in this form, and its function."""


def endpoint(name: str, since: Version = (1, 0)) -> Callable[[Handler], Handler]:
    """Register a function as an endpoint."""

    def register(handler: Handler) -> Handler:
        ENDPOINTS[name] = (since, handler)
        return handler

    return register


def each(ids: list[str], action: Callable[[str], Document]) -> Document:
    """A `…_many` call: what succeeded, and what failed with its error."""
    succeeded: list[Document] = []
    failed: list[Document] = []
    for key in ids:
        try:
            succeeded.append({"id": key, **action(key)})
        except ApiError as error:
            failed.append(error.entry(key))
    return {"succeeded": succeeded, "failed": failed}
