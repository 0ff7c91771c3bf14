"""What changes tasks without deleting them: the archive, tags, lists of artifacts, the console's log.

Each write checks the lease before it is sent, like a deletion, and may be repeated: what it does twice makes no difference, or
the task is read again before each try.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from msgspec import Raw

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded
from cleanup_job.clearml_api.artifacts_now import OutputsNow, without
from cleanup_job.clearml_api.capabilities import UPDATE_TAGS
from cleanup_job.clearml_api.deletion_answers import Archived, Failed, entries, not_deleted
from cleanup_job.clearml_api.listed_documents import raw_documents
from cleanup_job.clearml_api.listing import chunks
from cleanup_job.clearml_api.record_deleter import RecordDeleter
from cleanup_job.errors import SettingsError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import ACTIVE, ARCHIVED_BY, Artifact, NotDone, Task, Unreadable
from cleanup_job.retry import TransientError

T = TypeVar("T")
ARCHIVABLE = frozenset({"created", "completed", "failed", "stopped"})
"""The statuses in which a task may be archived: not at work, and not published."""


class TaskWriter(RecordDeleter):
    """Changes tasks."""

    def check_lifecycle(self) -> None:
        """Check that the server has what policies need.

        Raises:
            SettingsError: it is too old.
        """
        if not self._capabilities.has(UPDATE_TAGS):
            have = ".".join(map(str, self._client.version))
            message = (
                f"CLEANUP_POLICIES needs ClearML Server 1.13 or newer (API 2.27), and this one has API {have}: it can't add a "
                "tag without writing all others, which may lose one that someone sets at that moment. "
                "Upgrade ClearML Server, or unset CLEANUP_POLICIES."
            )
            raise SettingsError(message)

    def archive_tasks(self, ids: Sequence[TaskId], *, message: str) -> dict[TaskId, NotDone]:
        """Archive tasks, with the reason ``ARCHIVED_BY`` (recording ``state_lifecycle``); gives those that were not archived.

        Archiving stops a run and takes a task out of its queue (recording ``state_archive``). So all are read right before, and
        those in another status than ``ARCHIVABLE``, or archived already, are refused.

        Args:
            ids: The tasks. Without any, nothing is sent.
            message: The ``status_message``, for people.

        Raises:
            UnreachableError: no usable answer, after all tries. Some may be archived.
            AnswerError: the server refused the call as a whole, or its answer can't be read.
            SettingsError: the server is too old.
        """
        self.check_lifecycle()
        refused: dict[TaskId, NotDone] = {}
        for chunk in chunks(dict.fromkeys(ids)):
            refused |= self._again("tasks.archive_many", partial(self._archive_some, chunk, message))
        return refused

    def _archive_some(self, ids: list[TaskId], message: str) -> dict[TaskId, NotDone]:
        now = self.tasks(ids)
        refused = {task: NotDone(0, 0, why) for task in ids if (why := _why_not(now.get(task)))}
        left = [task for task in ids if task not in refused and not _is_archived(now[task])]
        if not left:
            return refused
        body = {"ids": left, "status_reason": ARCHIVED_BY, "status_message": message}
        answer = self._client.ask_once("tasks.archive_many", body, dict[str, Raw], self._before_deletion)
        done = {one.id for one in entries(answer, "succeeded", Archived)}
        said = {TaskId(one.id): not_deleted(one.error) for one in entries(answer, "failed", Failed)}
        for task in left:
            if task in said:
                refused[task] = NotDone(said[task].status, said[task].subcode, said[task].message)
            elif task not in done:
                refused[task] = NotDone(0, 0, "the server's answer does not mention it")
        return refused

    def change_tags(self, ids: Sequence[TaskId], *, add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        """Add tags to tasks and remove others, without touching the rest (recordings ``state_tags``, ``state_lifecycle``).

        Only ``last_change`` and ``last_changed_by`` move. One missing or public task makes the whole call fail, and then none
        of up to 500 tasks is changed.

        Raises:
            AnswerError: the server refused.
            SettingsError: the server is too old.
            UnreachableError: no usable answer, after all tries. All, some or none may be changed.
        """
        tags = {"add_tags": sorted(set(add)), "remove_tags": sorted(set(remove) - set(add))}
        given = {name: some for name, some in tags.items() if some}
        if not given:
            return
        self.check_lifecycle()
        for chunk in chunks(dict.fromkeys(ids)):
            self._ask("tasks.update_tags", {"ids": chunk, **given}, dict[str, Any], self._before_deletion)

    def remove_artifacts(self, task: TaskId, gone: Collection[Artifact]) -> bool:
        """Take artifacts out of a task's record, for which the files are gone; whether that is done.

        The rest of the list is sent as the server gives it right before. ``tasks.edit`` replaces the list and leaves the other
        fields of ``execution`` as they are (recording ``slim_artifacts``); it sets ``last_update``. Artifacts that are not in
        the record any more are fine. Without any that is, nothing is sent.

        It is not done, and nothing is sent, if one of them has another address, hash or size by now, if the task is gone or at
        work, or if what it lists can't be read.

        Raises:
            AnswerError: the server refused.
            UnreachableError: no usable answer, after all tries. They may be removed.
        """
        return self._again("tasks.edit", partial(self._remove_artifacts, task, gone))

    def _remove_artifacts(self, task: TaskId, gone: Collection[Artifact]) -> bool:
        now = self._artifacts_now(task)
        rest = None if now is None else without(now, gone)
        if now is None or rest is None:
            return False
        if len(rest) == len(now):
            return True
        body = {"task": task, "force": True, "execution": {"artifacts": [decoded(raw, dict[str, Any]) for raw in rest]}}
        self._client.ask_once("tasks.edit", body, dict[str, Any], self._before_deletion)
        return True

    def _artifacts_now(self, task: TaskId) -> list[Raw] | None:
        """What a task lists; None if it must not be changed."""
        body = {"search_hidden": True, "only_fields": ["id", "status", "execution.artifacts"]}
        for wanted, data in self._answers_by_id([task], body):
            found = [raw for raw, entry in raw_documents(data, "tasks") if entry.id in wanted]
            if len(found) == 1:
                try:
                    now = decoded(found[0], OutputsNow)
                except DECODING_ERRORS:
                    return None
                return None if now.status in ACTIVE else now.execution.artifacts
        return None

    def clear_log(self, task: TaskId) -> None:
        """Delete a task's console log (recording ``slim_events``): of its record nothing changes.

        A published task's log is refused (400/101): this never sends ``allow_locked``.

        Raises:
            AnswerError: the server refused.
            UnreachableError: no usable answer, after all tries. It may be deleted.
        """
        self._ask("events.clear_task_log", {"task": task}, dict[str, Any], self._before_deletion)

    def _again(self, name: str, action: Callable[[], T]) -> T:
        """Repeat an action that reads before it writes, as a whole, until it succeeds."""
        try:
            return self._client.retry(name, action, few_tries=self._few_tries)
        except TransientError as error:
            raise self._client.unreachable(name, error, few_tries=self._few_tries) from error


def _is_archived(task: Task | Unreadable) -> bool:
    return isinstance(task, Task) and task.archived


def _why_not(task: Task | Unreadable | None) -> str:
    """Why a task must not be archived; empty if it may be, or if an earlier try has archived it."""
    if task is None:
        return "it does not exist any more"
    if isinstance(task, Unreadable):
        return f"its record can't be read ({task.field})"
    if task.archived:
        return "" if task.status_reason == ARCHIVED_BY else "it was archived meanwhile"
    if task.status not in ARCHIVABLE:
        return f"its status is {task.status}"
    return ""
