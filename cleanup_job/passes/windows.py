"""The archived tasks, window by window, newest first, each judged by its own fields.

A window holds some thousand tasks. What the server says of them (who needs what they made, which are steps of pipelines or
versions of datasets) is looked up for all of them together, before any of them is planned.
"""

from collections.abc import Callable, Collection, Container, Iterator
from datetime import datetime

from cleanup_job.passes.chosen import NOT_THERE, chosen_tasks
from cleanup_job.passes.claim_index import ClaimIndex, check_model_tags
from cleanup_job.passes.consumers import Consumers
from cleanup_job.passes.others import Others
from cleanup_job.passes.pipelines import Pipelines
from cleanup_job.passes.ports import Server
from cleanup_job.planning.backlog import Window
from cleanup_job.planning.judgement import judge
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.plan import Kept, unreadable
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.planning.selection import Rules, Selected
from cleanup_job.planning.sharding import ALONE, Share
from cleanup_job.settings.filters import RelatedSettings
from cleanup_job.transport.splitting import Splitting

FIRST = 500
"""Tasks of the first window: a page, so that the first deletion does not wait for more."""
CHANGED = "it was deleted, restored, run again or edited while the pass ran; the next pass looks again"
WINDOW = 4_000
"""Tasks of a window: each window after the first is twice as large as the one before it, up to this many."""


class Windows:
    """Reads windows, one after the other; for one thread at a time."""

    def __init__(  # noqa: PLR0913 -- the server, what is wanted, and what is known
        self,
        server: Server,
        rules: Rules,
        claims: ClaimIndex,
        *,
        split: Splitting[Server],
        related: RelatedSettings | None = None,
        share: Share = ALONE,
        stopped: Callable[[], bool] = lambda: False,
        in_work: Container[TaskId] = frozenset(),
    ) -> None:
        """Nothing is read yet.

        Args:
            server: Where tasks, models and projects are read.
            rules: Which tasks may be deleted.
            claims: What other records need. It is read when the first task that may be deleted is found.
            split: Divides calls that fail.
            related: Which records protect what other tasks made.
            share: The slices of time that are read here; all, unless told otherwise.
            stopped: Whether the pass has to end: then the listing ends, too.
            in_work: The tasks of earlier windows that are not finished.
        """
        self._server = server
        self._rules = rules
        self._claims = claims
        self._related = related or RelatedSettings()
        self._share = share
        self._stopped = stopped
        self._others = Others(server, rules, split, in_work)
        self._pipelines = Pipelines(rules, self._others, split)
        self._consumers = Consumers(
            server, claims, self._others, split, protect_used_datasets=self._related.protect_used_datasets
        )
        self._records = self._listing()
        self._size = min(FIRST, WINDOW)
        self._has_claims = False
        self._reported: set[TaskId] = set()
        """Those that can't be read: they may come again."""
        self._may_go_along: dict[TaskId, Kept] = {}
        """Chosen steps that are not selected by themselves: a controller that is listed later may take them along."""
        self._ahead: dict[TaskId, datetime | None] = {}
        """Archived steps that were taken along with their controller, and that the listing still comes to, with the time
        there."""

    # -- reading
    def next(self) -> Window:
        """The next window; the last one says so, and may be empty.

        Raises:
            SettingsError: no model has a tag that models are to be kept by.
            CleanupError: the server gives no usable answer.
        """
        window, tasks, reached = self._judged()
        if tasks:
            self._read_claims()
        elif window.ends:
            self._check_tags()
        self._look_up(window, tasks, reached)
        if window.ends:
            window.kept += self._may_go_along.values()
        return window

    @staticmethod
    def of(deferred: Collection[TaskId]) -> list[list[TaskId]]:
        """Deferred tasks, as many at a time as a window may have."""
        ids = sorted(deferred)
        return [ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW)]

    def again(self, deferred: Collection[TaskId]) -> Window:
        """Some tasks that were deferred: nothing that has not been listed comes later than these.

        Raises:
            CleanupError: the server gives no usable answer.
        """
        window, tasks = Window(ends=True, again=frozenset(deferred)), dict[TaskId, Task]()
        found = self._others.read(deferred)
        for task in sorted(deferred):
            now = found.get(task)
            if isinstance(now, Task) and self._rules.selects(now):
                tasks[task] = now
            elif now is None:
                window.kept.append(Kept(Unreadable(task, ""), Reason.CHANGED, CHANGED, absent=True))
            elif isinstance(now, Task):
                window.kept.append(Kept(now, Reason.CHANGED, CHANGED))
            else:
                window.kept.append(unreadable(now, now.field))
        self._look_up(window, tasks, None)
        window.later.clear()
        return window

    def to_delete(self) -> Iterator[list[Task]]:
        """The tasks that may be deleted, a window at a time: reads the listing to its end, and remembers none of them.

        Raises:
            CleanupError: the server gives no usable answer.
        """
        ends = False
        while not ends:
            window, tasks, _ = self._judged()
            listed = frozenset(tasks)
            self._pipelines.sort_out(window, tasks)
            # The listing gives a step of its own accord, too, in this window or another one.
            once = [task for task in tasks if task in listed or not self._rules.allows_as_step_too(tasks[task])]
            yield [tasks[task] for task in dict.fromkeys(once) if task not in window.held]
            ends = window.ends

    def _look_up(self, window: Window, tasks: dict[TaskId, Task], reached: datetime | None) -> None:
        """Add to a window all that the server, and the claims, say of its tasks."""
        if not tasks:
            return
        self._others.begin()
        steps = self._sort_out(window, tasks, reached)
        outside = self._consumers.look_up(window, tasks) | self._pipelines.controllers_outside
        is_step = {step.id for step in steps} | self._pipelines.hidden_steps
        window.tasks = {
            task: Selected.of(record, is_step=task in is_step, policy=self._rules.policy_of(record))
            for task, record in tasks.items()
        }
        for holder, since in outside.items():
            if not self._share.owns(since):
                window.elsewhere.add(holder)
                window.later.add(holder)
            elif not window.ends and _is_below(since, reached):
                window.later.add(holder)

    def _sort_out(self, window: Window, tasks: dict[TaskId, Task], reached: datetime | None) -> list[Task]:
        """Sort out pipelines; gives the steps that controllers add, which the listing must not give once more."""
        steps = self._pipelines.sort_out(window, tasks)
        for step in steps:
            self._may_go_along.pop(step.id, None)
        ahead = self._ahead | {step.id: step.last_update for step in steps if step.archived or self._rules.chosen is not None}
        self._ahead = {step: since for step, since in ahead.items() if _is_below(since, reached)}
        return steps

    def _judged(self) -> tuple[Window, dict[TaskId, Task], datetime | None]:
        """The next window with its tasks, and when the last record that was read for it was active."""
        window, tasks, reached = Window(ends=True), dict[TaskId, Task](), None
        for record in self._records:
            if isinstance(record, Task):
                reached = record.last_update
            self._judge(record, window, tasks)
            if max(len(tasks), len(window.kept)) >= self._size:
                window.ends = False
                break
        self._size = min(self._size * 2, WINDOW)
        return window, tasks, reached

    def _listing(self) -> Iterator[Task | Unreadable]:
        """What is listed, without the steps that were taken along with their controller."""
        for record in self._listed():
            if record.id in self._ahead:
                self._ahead.pop(record.id)
            else:
                yield record

    def _listed(self) -> Iterator[Task | Unreadable]:
        """Each run of the job itself, and each archived task; or those that were chosen."""
        if self._rules.chosen is not None:
            yield from chosen_tasks(self._others, self._rules.chosen, self._stopped)
            return
        draft = self._rules.own.runs_of
        runs = list(self._server.children([TaskId(draft)])) if draft else []
        seen = {run.id for run in runs}
        yield from (run for run in runs if self._share.owns(run.last_update if isinstance(run, Task) else None))
        if self._rules.finds_nothing:  # the server reads an empty list as no filter at all
            return
        for record in self._server.archived_tasks(self._rules.query(), self._share):
            if self._stopped():
                return
            if record.id not in seen:
                yield record

    def _read_claims(self) -> None:
        """Read who else needs what, unless that was done."""
        if not self._has_claims:
            self._claims.read()
            if self._stopped():
                return
            check_model_tags(self._related.keep_model_tags, self._claims.model_tags)
            self._has_claims = True

    def _check_tags(self) -> None:
        """Check the tags of models to keep, where there is nothing that claims have to be read for."""
        if self._related.keep_model_tags and not self._has_claims:
            check_model_tags(self._related.keep_model_tags, {tag for model in self._server.all_models() for tag in model.tags})

    # -- judging
    def _judge(self, record: Task | Unreadable, window: Window, tasks: dict[TaskId, Task]) -> None:
        if isinstance(record, Unreadable) and record.field == NOT_THERE:
            window.kept.append(Kept(record, Reason.NOT_SELECTED, NOT_THERE))
        elif isinstance(record, Unreadable):
            if record.id not in self._reported:
                window.kept.append(unreadable(record, record.field))
            self._reported.add(record.id)
        elif not self._rules.allows_as_step_too(record):
            self._note_not_selected(record, window)
        elif record.public:
            window.kept.append(Kept(record, Reason.PUBLIC, "it belongs to the server, not to its users"))
        elif why := self._rules.keeps(record):
            window.kept.append(Kept(record, Reason.KEEP_RULE, why))
        else:
            tasks[record.id] = record

    def _note_not_selected(self, record: Task, window: Window) -> None:
        """Note why a task that was chosen is not selected."""
        if self._rules.chosen is None or record.id not in self._rules.chosen.digests:
            return
        step = self._rules.step(record)
        if step is not None and step.stage is not None:  # the policies come to it later in the pass
            return
        kept = Kept(record, Reason.NOT_SELECTED, "; ".join(one.text for one in judge(self._rules, record) if not one.allows))
        if self._rules.include_pipeline_steps and record.parent and self._rules.is_step(record):
            self._may_go_along[record.id] = kept
        else:
            window.kept.append(kept)


def _is_below(moment: datetime | None, reached: datetime | None) -> bool:
    """Whether a task with this ``last_update`` can still follow in a listing that has reached a time."""
    return moment is None or reached is None or moment <= reached
