"""Deletion of records: tasks with their events and models, models, empty projects. Never of files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Raw

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.capabilities import DELETE_EXTERNAL, MODELS_DELETE_MANY, TASKS_DELETE_MANY
from cleanup_job.clearml_api.deletion_answers import MISSING_TASK, Failed, Succeeded, count, entries, not_deleted
from cleanup_job.clearml_api.listing import PAGE_CAP, chunks
from cleanup_job.clearml_api.project_reader import ProjectReader
from cleanup_job.errors import AnswerError
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import Deleted, GoneAlready, Listed, NotDeleted
from cleanup_job.retry import TransientError

WAITED_FOR = 99
"""Tasks in one call whose events (up to 100,000) the server deletes before it answers. With more tasks, the server leaves that
to Elasticsearch, at 1,000 events a second (``max_async_deleted_events_per_sec``) for each 100 tasks: a large pass would queue
millions."""
MISSING = frozenset({MISSING_TASK, (400, 201), (400, 401)})
Outcome = Deleted | GoneAlready | NotDeleted


class RecordDeleter(ProjectReader):
    """Deletes records. It reads, too, because after a failure it looks at what is left."""

    def __init__(
        self, client: ApiClient, page_size: int = PAGE_CAP, *, before_deletion: Callable[[], None] = lambda: None
    ) -> None:
        """``page_size``: records that a listing call returns, at most 500. If ``before_deletion`` raises, a deletion ends."""
        super().__init__(client, page_size)
        self._before_deletion = before_deletion
        self._unsure: set[TaskId] = set()
        """Tasks whose deletion was sent but not answered."""

    def delete_tasks(self, ids: Sequence[TaskId], *, force: bool, keep_models: bool = False) -> dict[TaskId, Outcome]:
        """Delete the records of these tasks with their events and, unless ``keep_models``, their output models; but no files.

        Each call has so few tasks that the server deletes their events before it answers.

        If a call fails halfway, the server may have done any part of it: what is left is read, not guessed, and what is gone
        was deleted by that call. A task that the server's answer does not mention is left out of the result.

        Raises:
            UnreachableError: no usable answer, after all tries.
            AnswerError: the server refused the call as a whole, or its answer can't be read.
        """
        done: dict[TaskId, Outcome] = {}
        left = list(dict.fromkeys(ids))
        options = {"force": force, "delete_output_models": not keep_models}
        try:
            self._client.retry(
                "tasks.delete_many", lambda: self._delete_what_is_left(left, done, options), few_tries=self._few_tries
            )
        except (TransientError, AnswerError) as error:
            done |= self._deleted_before(left)
            if all(i in done for i in left):
                return done
            if isinstance(error, AnswerError):
                raise
            raise self._client.unreachable("tasks.delete_many", error, few_tries=self._few_tries) from error
        return done

    def _delete_what_is_left(self, left: list[TaskId], done: dict[TaskId, Outcome], options: Mapping[str, bool]) -> None:
        """One try.

        Tasks that were deleted, or asked for, are removed from ``left``; what became of them is added to ``done``.
        """
        done |= self._deleted_before(left)
        left[:] = [i for i in left if i not in done]
        for chunk in list(chunks(left, WAITED_FOR)):
            self._unsure.update(chunk)
            said = self._delete_chunk(chunk, options)
            self._unsure.difference_update(said)
            done |= said | self._deleted_before(chunk)
            left[:] = [i for i in left if i not in chunk]

    def _deleted_before(self, ids: Iterable[TaskId]) -> dict[TaskId, Deleted]:
        """Those of these tasks that were deleted by an earlier call whose answer did not arrive."""
        unsure = [i for i in ids if i in self._unsure]
        there = self.tasks(unsure) if unsure else {}
        return {i: Deleted() for i in unsure if i not in there}

    def _delete_chunk(self, ids: list[TaskId], wanted: Mapping[str, bool]) -> dict[TaskId, Outcome]:
        options = dict(wanted)
        if self._capabilities.has(DELETE_EXTERNAL):
            options["delete_external_artifacts"] = False
        done = self._capabilities.prefer(
            TASKS_DELETE_MANY,
            partial(self._delete_many, ids, options),
            lambda: {i: self._delete_one(i, options) for i in ids},
        )
        missing = [task for task, answer in done.items() if isinstance(answer, NotDeleted) and answer.says_missing]
        there = self.existing(missing) if missing else frozenset()
        return done | {task: GoneAlready() for task in missing if task not in there}

    def _delete_many(self, ids: list[TaskId], options: Mapping[str, bool]) -> dict[TaskId, Outcome]:
        body = {"ids": ids, **options}
        answer = self._client.ask_once("tasks.delete_many", body, dict[str, Raw], self._before_deletion)
        asked = set(ids)
        # An entry that can't be read is left out, so its record counts as not deleted.
        done = {one.id: Deleted(count(one.deleted_models)) for one in entries(answer, "succeeded", Succeeded)}
        refused = {one.id: not_deleted(one.error) for one in entries(answer, "failed", Failed)}
        said: dict[TaskId, Outcome] = {TaskId(i): outcome for i, outcome in (done | refused).items() if i in asked}
        if not said:
            raise AnswerError("tasks.delete_many: the server's answer does not mention it")
        return said

    def _delete_one(self, task: TaskId, options: Mapping[str, Any]) -> Outcome:
        try:
            data = self._client.ask_once("tasks.delete", {"task": task, **options}, dict[str, Raw], self._before_deletion)
            return Deleted(count(data.get("deleted_models", Raw(b"null"))))
        except AnswerError as error:
            return NotDeleted(error.status, error.subcode, str(error))

    def delete_models(self, ids: Sequence[ModelId]) -> None:
        """Delete the records of these models, even if tasks that are deleted with them still use them.

        If the task that made them stays, the server takes them out of its ``models.output`` and moves its ``last_change``, not
        its ``last_update``. A published one has ``__DELETED__<id>`` there from then on, and so has every task that uses a model
        among its inputs (recordings ``slim_models``, ``models_delete``).
        """
        for chunk in chunks(list(ids)):
            self._capabilities.prefer(
                MODELS_DELETE_MANY, partial(self._delete_some_models, chunk), partial(self._delete_each_model, chunk)
            )

    def _delete_some_models(self, models: list[ModelId]) -> None:
        body = {"ids": models, "force": True, "delete_external_artifacts": False}
        self._ask("models.delete_many", body, dict[str, Any], self._before_deletion)

    def _delete_each_model(self, models: list[ModelId]) -> None:
        for model in models:
            self._unless_missing("models.delete", {"model": model, "force": True})

    def delete_project(self, project: str) -> None:
        """Delete a project that is empty; without force, and without its contents.

        Raises:
            AnswerError: the server refused.
        """
        self._unless_missing("projects.delete", {"project": project, "force": False, "delete_contents": False})

    def list_outputs(self, task: TaskId, outputs: Sequence[Listed]) -> None:
        """Set the output models that a task lists, and so its ``last_update`` (recording ``delete_listed_models_remedy``).

        A missing task is not a failure here: the deletion of its record will report it.
        """
        models = {"output": [{"name": entry.name, "model": entry.model} for entry in outputs]}
        self._unless_missing("tasks.edit", {"task": task, "force": True, "models": models})

    def _unless_missing(self, name: str, body: dict[str, Any]) -> None:
        try:
            self._ask(name, body, dict[str, Any], self._before_deletion)
        except AnswerError as error:
            if (error.status, error.subcode) not in MISSING:
                raise
