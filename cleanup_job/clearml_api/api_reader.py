"""Reading documents from ClearML Server: by id, by the value of a field, or a whole listing."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from typing import Any, Self, TypeVar

from msgspec import Raw

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.capabilities import Capabilities
from cleanup_job.clearml_api.listed_documents import Malformed, Shape, page
from cleanup_job.clearml_api.listing import LARGE, PAGE_CAP, Listings, chunks
from cleanup_job.errors import LargeAnswerError
from cleanup_job.transport.bounded_http import MOST_BYTES

T = TypeVar("T")


class ApiReader:
    """What all readers share. Safe to use from many threads."""

    def __init__(self, client: ApiClient, page_size: int = PAGE_CAP) -> None:
        """``page_size``: records that a listing call returns, at most 500."""
        self._client = client
        self._capabilities = Capabilities(client.version)
        self._few_tries = False
        self._listings = Listings(self._ask_raw, page_size)

    @property
    def with_few_tries(self) -> Self:
        """The same server with few tries for each call, for calls that are divided and repeated in parts when they fail."""
        other = copy(self)
        other._few_tries = True  # noqa: SLF001 -- a copy of this object
        other._listings = self._listings.by(other._ask_raw)  # noqa: SLF001 -- as above
        return other

    def _ask(
        self,
        name: str,
        body: dict[str, Any],
        shape: type[T],
        before: Callable[[], None] = lambda: None,
        *,
        most: int = MOST_BYTES,
    ) -> T:
        return self._client.ask(name, body, shape, before, most=most, few_tries=self._few_tries)

    def _ask_raw(self, name: str, body: dict[str, Any], most: int = MOST_BYTES) -> dict[str, Raw]:
        return self._ask(name, body, dict[str, Raw], most=most)

    def _one_page(self, service: str, body: dict[str, Any], shape: type[Shape]) -> list[Shape | Malformed]:
        return page(self._ask_raw(f"{service}.get_all", body), service, shape)

    def _tasks_by_id(self, ids: Iterable[str], fields: list[str], shape: type[Shape]) -> Iterator[Shape | Malformed]:
        """Tasks by id, in one page for each chunk of ids: a task that is missed counts as changed, and is kept."""
        body = {"search_hidden": True, "only_fields": fields, "page": 0, "page_size": PAGE_CAP}
        for wanted, data in self._answers_by_id(ids, body):
            yield from (entry for entry in page(data, "tasks", shape) if entry.id in wanted)

    def _answers_by_id(self, ids: Iterable[str], body: Mapping[str, Any]) -> Iterator[tuple[frozenset[str], dict[str, Raw]]]:
        """Answers of ``tasks.get_all`` for chunks of ids, each with the ids; halved where an answer would be too large."""
        left = list(chunks(sorted(set(ids))))
        while left:
            chunk = left.pop()
            try:
                data = self._ask_raw("tasks.get_all", {"id": chunk, **body}, MOST_BYTES if len(chunk) == 1 else LARGE)
            except LargeAnswerError:
                if len(chunk) == 1:
                    raise
                left += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
                continue
            yield frozenset(chunk), data

    def _with_values(  # noqa: PLR0913, PLR0917 -- what to ask for, and what to make of the answers
        self,
        service: str,
        field: str,
        values: Iterable[str],
        body: dict[str, Any],
        shape: type[Shape],
        values_of: Callable[[Shape], Iterable[Any]],
    ) -> Iterator[tuple[str, Shape | Malformed]]:
        """Each document that has one of these values in a field, together with the value; once for each value that it has.

        For a malformed document the server's filter has to tell: the call is repeated with ever fewer values, down to one.
        """
        for chunk in chunks(sorted(set(values) - {""}), PAGE_CAP // 2):  # so that what most have fits on a page
            has_malformed = False
            wanted = set(chunk)
            for entry in self._listings.read(service, {**body, field: chunk}, shape, PAGE_CAP):
                if not isinstance(entry, Malformed):
                    yield from ((value, entry) for value in wanted.intersection(values_of(entry)))
                elif len(chunk) == 1:
                    yield chunk[0], entry
                else:
                    has_malformed = True
            for half in (chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]) if has_malformed else ():
                again = self._with_values(service, field, half, body, shape, values_of)
                yield from ((value, entry) for value, entry in again if isinstance(entry, Malformed))
