"""Models: all of them, those of some tasks, and the tasks that use them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import ClassVar

from msgspec import UNSET

from cleanup_job.clearml_api import documents, event_files
from cleanup_job.clearml_api.api_reader import ApiReader
from cleanup_job.clearml_api.capabilities import MODEL_EVENTS
from cleanup_job.clearml_api.listed_documents import Malformed
from cleanup_job.clearml_api.listing import PAGE_CAP, chunks
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Model, Unreadable


class _CreatedOf(documents.Entry, frozen=True, kw_only=True):
    """A model with the time when it was made."""

    TIMES: ClassVar[tuple[str, ...]] = ("created",)
    created: documents.MaybeTime = UNSET


class ModelReader(ApiReader):
    """Reads models."""

    def models(self, ids: Iterable[ModelId]) -> list[Model]:
        """These models as they are now, without those that no longer exist.

        If the server returns two different documents for one model, both are in the list.
        """
        found: list[Model] = []
        for chunk in chunks(sorted(set(ids) - {""})):
            here = self._models_of_one_chunk(chunk)
            found += [model for model in here if model.id in chunk]
            if any(not model.id for model in here):  # it may be any of those that seem to be gone
                missing = set(chunk) - {model.id for model in here}
                found += [Model(one, "", ready=True, unreadable="id") for one in sorted(missing)]
        return found

    def _models_of_one_chunk(self, ids: Sequence[ModelId]) -> list[Model]:
        body = {"id": ids, "only_fields": documents.MODEL_FIELDS}
        some = self._one_page("models", {**body, "page": 0, "page_size": PAGE_CAP}, documents.ModelEntry)
        if not {entry.id for entry in some} >= set(ids):  # some are gone, or the server cut the page off: it does not say
            some += self._listings.read("models", body, documents.ModelEntry, PAGE_CAP)
        return list(dict.fromkeys(entry.model() for entry in some))

    def all_models(self, since: str = "") -> Iterator[Model]:
        """Yield every model on the server; with ``since``, only models created or changed since that ``last_update``.

        A model that changes meanwhile may come twice. Of a malformed one, what can be read is yielded.
        """
        body = {"only_fields": documents.MODEL_FIELDS}
        yield from self._listings.stream("models", body, documents.ModelEntry, _models, since)

    def models_of(self, tasks: Iterable[TaskId]) -> dict[TaskId, list[Model]]:
        """The output models of these tasks."""
        found: dict[TaskId, list[Model]] = defaultdict(list)
        body = {"only_fields": documents.MODEL_FIELDS}
        entries = self._with_values("models", "task", tasks, body, documents.ModelEntry, lambda entry: (entry.task,))
        for task, entry in entries:
            found[TaskId(task)].append(entry.model())
        return dict(found)

    def models_created(self, ids: Iterable[ModelId]) -> dict[ModelId, datetime]:
        """When these models were made; without those that no longer exist, or whose record does not say it."""
        found: dict[ModelId, datetime] = {}
        for chunk in chunks(sorted(set(ids) - {""})):
            body = {"id": chunk, "only_fields": ["id", "created"], "page": 0, "page_size": PAGE_CAP}
            for entry in self._one_page("models", body, _CreatedOf):
                created = None if isinstance(entry, Malformed) else documents.utc(entry.created)
                if entry.id in chunk and created is not None:
                    found[ModelId(entry.id)] = created
        return found

    def users_of(self, models: Iterable[ModelId]) -> dict[ModelId, frozenset[TaskId]]:
        """For each of these models, the tasks that have it as an input; an empty id for a task whose id can't be read."""
        found: dict[ModelId, set[TaskId]] = defaultdict(set)
        body = {"search_hidden": True, "only_fields": ["id", "models.input"]}
        field = "models.input.model"
        entries = self._with_values("tasks", field, models, body, documents.ModelsOf, lambda entry: entry.input_models)
        for model, entry in entries:
            found[ModelId(model)].add(TaskId(entry.id))
        return {model: frozenset(tasks) for model, tasks in found.items()}

    def model_event_files(self, models: Sequence[ModelId]) -> Iterator[tuple[ModelId, str | Unreadable]]:
        """The files of the models' own debug samples and plots. A model whose id can't be read can't be asked for."""
        ids = [model for model in models if model]
        if ids and self._capabilities.has(MODEL_EVENTS):
            for owner, found in event_files.uris(self._ask, self._capabilities, ids, of_models=True):
                yield ModelId(owner), found


def _models(found: Iterable[documents.ModelEntry | Malformed]) -> list[Model]:
    return [entry.model() for entry in found]
