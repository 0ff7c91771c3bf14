"""A pass that someone started on a terminal and watches: whose key it has, Ctrl-C, and a plan before it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from cleanup_job import wiring
from cleanup_job.exit_codes import ExitCode, StopReason
from cleanup_job.job import pod
from cleanup_job.job.pass_job import Output, PassJob
from cleanup_job.job.plans import PlanFile
from cleanup_job.passes.batch import CHUNK
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.outcome import GONE, STAGED, Report, TaskOutcome
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen
from cleanup_job.report import stages
from cleanup_job.settings.model import TABLE, Settings
from cleanup_job.settings.sources import DEFAULT

BATCH = 4 * CHUNK
"""Tasks in a batch, unless the operator says otherwise: a few seconds' work, for which someone who pressed Ctrl-C waits."""


class TerminalOutput(Output, Protocol):
    """Shows a pass to someone who watches it."""

    def key_of(self, user: str, name: str) -> None:
        """Note whose key the job has, by id and name: empty if the server doesn't say."""

    def stopping(self, batches: int, tasks: int, *, now: bool) -> None:
        """Show what is still in progress when the pass was asked to stop; ``now`` after the second time."""


class PassAtTerminal(PassJob):
    """One pass that is watched."""

    _output: TerminalOutput

    def __init__(  # noqa: PLR0913, PLR0917 -- as a pass, and how to leave it
        self,
        settings: Settings,
        origins: dict[str, str],
        flags: Mapping[str, Any],
        output: TerminalOutput,
        stop: Stop,
        leave: Callable[[int], None],
        *,
        chosen: Chosen | None = None,
        plan: PlanFile | None = None,
    ) -> None:
        """Prepare it; ``leave`` ends the process at once, with an exit code."""
        if origins["batch_size"] == DEFAULT:
            settings = settings.replaced(batch_size=BATCH)
        super().__init__(settings, origins, flags, output, stop, chosen=chosen, plan=plan)
        self._leave = leave

    def _begins(self, connection: wiring.Login) -> None:
        from cleanup_job.clearml_api.current_user import current_user  # noqa: PLC0415 -- clearml is slow to import

        self._output.key_of(*current_user(connection.transport))

    def _signals(self) -> AbstractContextManager[None]:
        return pod.interrupts(self._stop, self._tell, self._end_late)

    def _tell(self) -> None:
        self._output.stopping(*self._stop.in_hand.now(), now=self._stop.patience() is not None)

    def _end_late(self) -> None:
        """End while the run itself hangs, in something that only reads: nothing is deleted at this time."""
        self._output.__exit__(None, None, None)
        self._report.stopped_by, self._report.left_is_least = StopReason.SIGINT, True
        self._close()
        self._publish()
        self._send()
        self._output.finished(self._report)
        self._leave(ExitCode.SIGINT)


def settings_of_plan(settings: Settings) -> Settings:
    """The settings of the plan of a pass: it deletes nothing, and leaves no report file."""
    return settings.replaced(report=TABLE["report"].default, dry_run=True)


class Plan(PassAtTerminal):
    """A dry run, with the settings of `settings_of_plan`, that only finds out what is to be approved."""

    @property
    def report(self) -> Report:
        """What would become of the tasks."""
        return self._report

    def _publish(self) -> None:
        """Keep it for who approves it, without a word to Kubernetes."""

    def _send(self) -> None:
        """Send nothing: it is not the pass."""


def is_to_be_approved(planned: Report) -> bool:
    """Whether there is something to delete, or for policies to do, by a plan that ended as it should."""
    ended_well = not planned.error and planned.stopped_by in {None, StopReason.MAX_TASKS, StopReason.DEADLINE}
    return ended_well and bool(planned.total().tasks or stages.sums(planned).any)


class Approvable:
    """The tasks that a plan would delete or change, each with the digest of what would be done. Only this is remembered."""

    def __init__(self) -> None:
        """None yet."""
        self._digests: dict[TaskId, str | None] = {}

    def add(self, outcome: TaskOutcome) -> None:
        """Note a task if it would be deleted, or if its policy would do something else with it."""
        if outcome.verdict in GONE | STAGED:
            self._digests[outcome.task] = outcome.digest

    @property
    def chosen(self) -> Chosen:
        """These tasks and no others, each only as long as it is unchanged."""
        return Chosen(self._digests)
