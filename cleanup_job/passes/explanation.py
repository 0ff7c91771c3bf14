"""Reads all that decides on some tasks, and lets a pass say what it would do with them. Changes nothing.

    rules -> the tasks -> claims -> who has to go first -> a dry run over these -> files, models and who needs what of each task

The dry run has all the tasks that a whole pass would delete before the ones in question, so that it says what that would say.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cleanup_job.errors import AnswerError, RefusedError, SettingsError
from cleanup_job.passes.by_settings import claim_index, policy_of
from cleanup_job.passes.claim_index import ClaimIndex
from cleanup_job.passes.cleanup import Pass
from cleanup_job.passes.others import Others
from cleanup_job.passes.planner import Planner
from cleanup_job.passes.ports import Observer, Server, Storage, SweepStorage
from cleanup_job.passes.reading import Reader
from cleanup_job.passes.remembers import Remembers
from cleanup_job.passes.rules_now import RulesNow
from cleanup_job.passes.stop import Stop
from cleanup_job.passes.windows import Windows
from cleanup_job.planning import explanation
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.deletion import deletion_of
from cleanup_job.planning.due import due
from cleanup_job.planning.explanation import Explained, Holder, ModelFate, Need, Place, Remains, State
from cleanup_job.planning.facts import Batch
from cleanup_job.planning.judgement import judge
from cleanup_job.planning.outcome import GONE, Report, TaskOutcome
from cleanup_job.planning.outlook import outlook
from cleanup_job.planning.paths import Location, TaskId
from cleanup_job.planning.policy import Policy
from cleanup_job.planning.records import Size, Task, Unreadable
from cleanup_job.planning.selection import Chosen, Selected
from cleanup_job.settings.model import Settings
from cleanup_job.transport.splitting import Splitting

NAMED = 20
"""Holders of each need that are named; all are counted."""
MOST = 5_000
"""Tasks that have to go first; of more it is not said what would become of them."""
EVERY = 5_000
"""Records between two reports of progress."""
Logs = Callable[[TaskId], tuple[Sequence[Mapping[str, Any]], int]]
"""What audit logs say of the deletion of a task, and how many logs were read."""


class _Outcomes(Observer):
    """Remembers what a pass says of each task."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.by_task: dict[TaskId, TaskOutcome] = {}
        self._warn = warn

    def outcome(self, outcome: TaskOutcome) -> None:
        self.by_task[outcome.task] = outcome

    def warning(self, text: str) -> None:
        self._warn(text)


@dataclass(slots=True)
class _Seen:
    """What was read of one task."""

    batch: Batch | None = None
    trouble: str = ""
    holders: list[Holder] = field(default_factory=list)
    counts: Counter[Need] = field(default_factory=Counter)


class Explainer:
    """Explains some tasks at a time."""

    def __init__(  # noqa: PLR0913 -- what there is, and who hears of it
        self,
        server: Server,
        storage: Storage,
        settings: Settings,
        known: RulesNow,
        *,
        warn: Callable[[str], None],
        progress: Callable[[str], None] = lambda _: None,
        mounted: Sequence[tuple[SweepStorage, Location]] = (),
        logs: Logs = lambda _: ((), 0),
    ) -> None:
        """Nothing is read yet.

        Args:
            server: Where the records are.
            storage: Where their files are.
            settings: Those of a pass.
            known: The rules, by these settings.
            warn: Called with what people have to know.
            progress: Called now and then with what is being read.
            mounted: Where to look for files of a task that the server does not have.
            logs: Reads audit logs, for such a task.
        """
        self._server = server
        self._storage = storage
        # Budgets and shards say how much of the work one pass does: they decide on no task.
        self._settings = settings.replaced(
            dry_run=True,
            max_tasks=None,
            refuse_above=None,
            deadline_seconds=None,
            delete_empty_projects=False,
            shards=1,
            shard=None,
        )
        self._known = known
        self._warn = warn
        self._progress = progress
        self._mounted = mounted
        self._logs = logs
        self._split: Splitting[Server] = Splitting(server, server.with_few_tries, server.probe)
        self._others = Others(server, known.rules, self._split)
        self._records_read = 0
        self._claims: ClaimIndex = claim_index(server, storage, settings, self._count_a_record)
        self._users: Mapping[str, str] | None = None

    def explain(self, ids: Iterable[TaskId]) -> list[Explained]:
        """Explain these tasks, and the controllers of those that are steps of pipelines.

        Raises:
            CleanupError: the server gives no usable answer.
        """
        asked = list(dict.fromkeys(ids))
        records = self._others.read(asked)
        controllers = self._controllers(records.values())
        order = list(self._with_controllers(asked, records, controllers))
        records |= controllers
        seen, outcomes, trouble = self._look(records)
        return [
            self._there(records[task], seen[task], outcomes.get(task), trouble, asked=task in asked)
            if task in records
            else Explained(id=task, remains=self._remains(task))
            for task in order
        ]

    @staticmethod
    def _with_controllers(
        asked: Sequence[TaskId], records: Mapping[TaskId, Task | Unreadable], controllers: Collection[TaskId]
    ) -> Iterator[TaskId]:
        """The tasks that were asked for, each first step of a pipeline with its controller after it."""
        done = set(asked)
        for task in asked:
            yield task
            parent = TaskId(records[task].parent) if task in records else TaskId("")
            if parent in controllers and parent not in done:
                done.add(parent)
                yield parent

    def _controllers(self, records: Iterable[Task | Unreadable]) -> dict[TaskId, Task | Unreadable]:
        """The controllers of those that are steps."""
        parents = {TaskId(step.parent) for step in records if isinstance(step, Task) and self._is_step(step)}
        return {task: one for task, one in self._others.read(parents).items() if isinstance(one, Task) and one.is_controller}

    def _is_step(self, task: Task) -> bool:
        return bool(task.parent) and self._known.rules.is_step(task)

    def _look(
        self, records: Mapping[TaskId, Task | Unreadable]
    ) -> tuple[dict[TaskId, _Seen], Mapping[TaskId, TaskOutcome], str]:
        """What was read of each, what a pass would do, and why it would not run at all."""
        seen = {task: _Seen() for task in records}
        if not records:
            return seen, {}, ""
        self._claims.read()
        outcomes, trouble = self._outcomes(records.keys())
        first = {task for task, outcome in outcomes.items() if outcome.verdict in GONE}
        readable = {task: one for task, one in records.items() if isinstance(one, Task)}
        self._read_details(readable, seen, first)
        for task in readable.values():
            self._read_holders(task, seen[task.id], first)
        return seen, outcomes, trouble

    def _count_a_record(self) -> bool:
        """Called for each record that claims are read from; such a reading never has to stop."""
        self._records_read += 1
        if not self._records_read % EVERY:
            self._progress(f"{self._records_read:,} models and tasks")
        return False

    # -- what a pass would do
    def _outcomes(self, tasks: Collection[TaskId]) -> tuple[dict[TaskId, TaskOutcome], str]:
        """What a pass would do with these and with all that has to go first; and the error that ends each pass, if one does."""
        self._progress("what a pass would do")
        known, outcomes = self._known, _Outcomes(self._warn)
        report = Report("", dry_run=True, started=known.now, cutoff=known.rules.cutoff)
        try:
            chosen = Chosen(dict.fromkeys(self._with_those_that_go_first(tasks)))
            Pass(
                self._server, self._storage, self._settings, report, outcomes, Stop(), chosen=chosen, claims=self._claims
            ).run()
        except (AnswerError, RefusedError, SettingsError) as error:
            return outcomes.by_task, str(error)
        return outcomes.by_task, ""

    def _with_those_that_go_first(self, tasks: Collection[TaskId]) -> set[TaskId]:
        """These, and all that a pass deletes before them, or only together with them."""
        found, new = set(tasks), set(tasks)
        windows = Windows(self._server, self._known.rules, self._claims, split=self._split, related=self._settings.related)
        while new and len(found) < MOST:
            window = windows.again(found)
            new = (window.holds.keys() | window.tasks.keys()) - found
            found |= new
        if new:
            self._warn(f"more than {MOST:,} tasks go first, so what a pass would do may not be what is said here")
        return found

    # -- files and models
    def _read_details(self, tasks: Mapping[TaskId, Task], seen: Mapping[TaskId, _Seen], first: Collection[TaskId]) -> None:
        """Read what would be deleted with each task, whether the rules let it be deleted or not."""
        self._progress("files and models")
        planner = self._planner(tasks, first)
        read, failed = planner.reader.read_all(list(tasks))
        units = [(task,) for task in read.outputs]
        batches, unplanned = self._split.each("planning", units, lambda server, some: planner.last_look(server, some, read)[0])
        for batch in batches:
            for (task,) in batch.units:
                seen[task].batch = batch
        for unit, error in [*(((task,), error) for task, error in failed.items()), *unplanned.items()]:
            seen[unit[0]].trouble = str(error)

    def _planner(self, tasks: Mapping[TaskId, Task], first: Collection[TaskId]) -> Planner:
        deleted = DeletedSoFar()
        deleted.will_matter(first)
        deleted.add(first)
        return Planner(
            reader=Reader(storage=self._storage, policy=self._policy, claims=self._claims, split=self._split),
            storage=self._storage,
            policy=self._policy,
            tasks={task: Selected.of(record) for task, record in tasks.items()},
            claims=self._claims,
            split=self._split,
            deleted=deleted,
            remembers=Remembers(claims=self._claims, deleted=deleted, dry_run=True, every=False),
        )

    @property
    def _policy(self) -> Policy:
        return policy_of(self._settings, self._storage, self._known.rules, self._known.projects)

    # -- who needs what
    def _read_holders(self, task: Task, seen: _Seen, first: Collection[TaskId]) -> None:
        self._progress("who needs what")
        found: list[Holder] = []
        for read in (self._of_models, self._of_files, self._of_family, self._of_datasets):
            try:
                found += read(task, seen)
            except AnswerError as error:
                seen.trouble = seen.trouble or f"who needs what of it: {error}"
        seen.counts = Counter(one.need for one in found)
        some = explanation.first_of_each(found, NAMED)
        tasks = self._others.read({TaskId(one.by) for one in some if one.state is not State.MODEL})
        stated = [one if one.state is State.MODEL else _stated(one, tasks.get(TaskId(one.by)), first) for one in some]
        seen.holders = list(explanation.first_of_each(stated, NAMED))

    def _of_models(self, task: Task, seen: _Seen) -> Iterator[Holder]:
        made = [model.id for model in seen.batch.models.get(task.id, ())] if seen.batch is not None else []
        for model, users in sorted(self._server.users_of(made).items()) if made else ():
            yield from (Holder(Need.USES_MODEL, user, model) for user in users if user != task.id)
        for model in made:
            yield from (Holder(Need.LISTS_MODEL, lister, model) for lister in self._claims.listed_by(model))

    def _of_files(self, task: Task, _: _Seen) -> Iterator[Holder]:
        for claim in self._claims.on(task.id):
            need = Need.WRITES_HERE if claim.writes else Need.NAMES_FILE
            yield Holder(need, claim.by, claim.uri, state=State.MODEL if claim.is_model else State.GONE)

    def _of_family(self, task: Task, _: _Seen) -> Iterator[Holder]:
        controllers = self._controllers([task])
        yield from (Holder(Need.CONTROLLER, controller) for controller in controllers)
        for child in self._server.children([task.id]):
            is_step = task.is_controller and isinstance(child, Task) and self._known.rules.is_step(child)
            yield Holder(Need.STEP if is_step else Need.CHILD, child.id)

    def _of_datasets(self, task: Task, _: _Seen) -> Iterator[Holder]:
        if "dataset" not in task.system_tags:
            return
        for newer, ancestors in self._server.dataset_ancestors():
            if task.id in ancestors and newer != task.id:
                yield Holder(Need.BUILT_ON, newer)
        yield from (Holder(Need.USED_DATASET, user) for user in self._server.dataset_users(task.id) if user != task.id)

    # -- put together
    def _there(
        self, record: Task | Unreadable, seen: _Seen, outcome: TaskOutcome | None, trouble: str, *, asked: bool
    ) -> Explained:
        project = self._known.projects.get(record.project, record.project)
        found = Explained(id=record.id, asked=asked, task=record, project=project, outcome=outcome, trouble=trouble)
        if not isinstance(record, Task):
            return found
        rules, now = self._known.rules, self._known.now
        found = replace(
            found,
            owner=self._owner(record.user),
            judgements=judge(rules, record),
            due=due(rules, record, now),
            outlook=outlook(rules, record, now),
            due_if_archived=explanation.due_if_archived(rules, record, now),
            holders=tuple(seen.holders),
            counts=seen.counts,
            trouble=trouble or seen.trouble,
        )
        return self._with_outputs(found, record, seen.batch)

    def _with_outputs(self, found: Explained, task: Task, batch: Batch | None) -> Explained:
        if batch is None or task.id not in batch.outputs or task.id not in batch.now:
            return found
        deletion = deletion_of(batch.now[task.id], (task.id,), batch, self._policy)
        measured = self._storage.measure(deletion.paths)
        return replace(
            found,
            files=explanation.files_of(batch.outputs[task.id], deletion, measured),
            models=explanation.models_of(task.id, batch, deletion, self._policy.keep_model_tags),
        )

    def _owner(self, user: str) -> str:
        if self._users is None:
            try:
                self._users = self._server.users()
            except AnswerError:  # this key may not read them
                self._users = {}
        return self._users.get(user, user)

    # -- what is left
    def _remains(self, task: TaskId) -> Remains:
        """What is left of a task that the server does not list."""
        self._progress("what is left of it")
        try:
            confirmed = self._server.is_gone(task)
        except AnswerError:
            confirmed = False
        models = self._server.models_of([task]).get(task, [])
        deletions, logs = self._logs(task)
        return Remains(
            confirmed,
            models=tuple(ModelFate(model.id, model.uri, "it is published" if model.ready else "") for model in models),
            places=tuple(self._left_in_folders(task)),
            searched=tuple(f"{place.store}/{place.path}".rstrip("/") for _, place in self._mounted),
            deletions=tuple(deletions),
            logs=logs,
        )

    def _left_in_folders(self, task: TaskId) -> Iterator[Place]:
        for storage, place in self._mounted:
            for found in storage.folders(place):
                if found.folder.task == task:
                    yield Place(found.folder.store, found.folder.path, Size(found.files, found.bytes))


def _stated(holder: Holder, task: Task | Unreadable | None, first: Collection[TaskId]) -> Holder:
    """The same holder with what is known of its record."""
    if isinstance(task, Task):
        state = State.GOES_FIRST if task.id in first else State.ARCHIVED if task.archived else State.LIVING
        return replace(holder, name=task.name, state=state)
    return replace(holder, state=State.UNREADABLE if task is not None else State.GONE)
