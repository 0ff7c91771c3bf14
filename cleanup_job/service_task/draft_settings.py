"""Which settings count for a pass that is a task of ClearML: the operator's, with what people edited there.

A pass knows its task in two ways. In a pod, with CLEANUP_TASK, it reads the draft that people edit and leaves a run of it.
Under a ClearML Agent it is a task itself, a clone of the draft. No edit in ClearML keeps a pass from running, except a wrong
value.
"""

import time
from collections.abc import Callable, Sequence

from cleanup_job.errors import AnswerError, CleanupError, SettingsError
from cleanup_job.planning.records import ServiceTask
from cleanup_job.redaction import redacted
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft import named, register, statement_of, unread
from cleanup_job.service_task.edits import Known, Read, beside, handed_over
from cleanup_job.service_task.own_task import OwnTask
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.run_marks import is_of_shard, require_alone, tags_of
from cleanup_job.service_task.schedule import is_scheduled
from cleanup_job.settings.model import Settings

PATIENCE = 30
"""Seconds that a shard waits for the first one to make the draft."""


class DraftSettings:
    """Reads the settings that count from the draft or the pass's own task, and answers people there."""

    def __init__(self, tasks: ServiceTasks, warn: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        """``warn`` gets what ClearML refused."""
        self._tasks = tasks
        self._warn = warn
        self._sleep = sleep

    # -- in a pod
    def in_pod(self, known: Known, lasting: Known, read: Read) -> OwnTask:
        """The settings of a pass in a pod, with the draft's edits. The draft is brought up to date.

        Args:
            known: The operator's settings for this pass.
            lasting: The same without those given for this pass alone, which must not get into the draft.
            read: Reads the settings again, with the draft's edits.

        Raises:
            SettingsError: a value that someone entered in the Web UI is wrong, which the draft's description then says; or
                the key has no right to read the draft.
            UnreachableError: the draft can't be read.
        """
        settings = known[0]
        mine = OwnTask(*known, parameters.statement_of(*known))
        try:
            draft = self._find(settings)
        except (AnswerError, SettingsError) as error:
            if settings.service_task.task_required:
                raise unread(named(settings), error) if isinstance(error, AnswerError) else error from None
            self._warn(f"{named(settings)} can't be read, so the environment's settings count and no run is left: {error}")
            return mine
        if draft is not None and draft.archived:
            self._warn(f"{draft.words} was archived: its edits still count. Delete it to begin with a new one")
        (mine.settings, mine.origins), notes = self.with_edits(known, draft, read)
        try:
            self._bring_up_to_date(mine, draft, settings, lasting, notes)
        except AnswerError as error:
            if draft is None and settings.service_task.task_required and error.says_project_exists:
                raise unread(named(settings), error) from None  # it is there, and not shown to this key
            self._warn(f"{named(settings)} could not be brought up to date: {error}")
            mine.draft = mine.draft or draft
        mine.edited = mine.draft
        return mine

    def _find(self, settings: Settings) -> ServiceTask | None:
        """The draft. The first shard makes it where there is none; the others wait for it a moment."""
        draft = self._tasks.find()
        for _ in range(PATIENCE if settings.run.shard else 0):
            if draft is not None and draft.is_draft:
                break
            self._sleep(1)
            draft = self._tasks.find()
        return draft

    def _bring_up_to_date(
        self, mine: OwnTask, draft: ServiceTask | None, settings: Settings, lasting: Known, notes: Sequence[str]
    ) -> None:
        """Register the draft, unless it is there and the Job is a manual one: the schedule's Jobs keep it up to date."""
        is_kept = draft is not None and draft.is_draft and (bool(settings.run.shard) or not is_scheduled(settings))
        mine.draft = draft if is_kept else register(self._tasks, draft, *lasting, self._warn)
        if mine.draft is not None:
            mine.runs = [run for run in self._tasks.runs(mine.draft.id) if is_of_shard(run, settings)]
            self.remark(mine.draft, notes)

    # -- under an agent
    def under_agent(self, environment: Known, read: Read) -> OwnTask:
        """The settings of a pass on an agent: the release's, with what was edited in the pass's own task.

        Raises:
            SettingsError: a parameter is wrong, or nothing in ClearML tells the release's settings.
            UnreachableError: the task can't be read.
            LeaseHeldError: another pass runs.
        """
        key = environment[0].service_task.task_id or ""
        try:
            own = self._tasks.read(key)
        except AnswerError as error:
            raise unread(f"task {key} (CLEARML_TASK_ID)", error) from None
        try:
            statement = statement_of(self._tasks, own)
            found = parameters.edited(parameters.read(own.hyperparams, own.words), statement)
            release, warnings = handed_over(environment, statement, own.words, read)
            known, notes = beside(read(release), found, own.words, lambda edits: read({**release, **edits}))
        except SettingsError as error:
            self.complain(own, str(error))
            raise
        for text in (*warnings, *notes):
            self._warn(text)
        mine = OwnTask(*known, edited=own, run=own.id, by_agent=True)
        try:
            self.remark(own, notes)
            self._tasks.adopt(own, tags_of(mine.settings, ""))
            mine.draft = self._tasks.find()
            root = own.parent or (mine.draft.id if mine.draft else "")
            mine.runs = self._tasks.runs(root) if root else []
        except (AnswerError, SettingsError) as error:
            self._warn(f"{own.words}: its other runs can't be read: {error}")
        require_alone(mine.runs, own.id)
        return mine

    # -- both
    def with_edits(self, operator: Known, draft: ServiceTask | None, read: Read) -> tuple[Known, tuple[str, ...]]:
        """The settings that count beside the edits of a draft, and notes on the edits that don't, which are also warned of.

        Raises:
            SettingsError: a value that someone entered in the Web UI is wrong, which the draft's description then says.
        """
        if draft is None:
            return operator, ()
        try:
            found = parameters.read(draft.hyperparams, draft.words)
            known, notes = beside(operator, parameters.edited(found, draft.registered), draft.words, read)
        except SettingsError as error:
            self.complain(draft, str(error))
            raise
        for note in notes:
            self._warn(note)
        return known, notes

    def remark(self, task: ServiceTask, notes: Sequence[str]) -> None:
        """Say in a task's description which edits don't count; without notes, take back what was said."""
        self._tasks.remark(task, redacted("\n".join(notes)))

    def complain(self, edited: ServiceTask | None, text: str) -> None:
        """Say what is wrong in a task's description, where those who edit it in the Web UI see it."""
        if edited is None:
            return
        try:
            self._tasks.remark(edited, f"The last pass deleted nothing: {redacted(text)}")
        except CleanupError as error:
            self._warn(f"the description of {edited.words} could not be changed: {error}")
