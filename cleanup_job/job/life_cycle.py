"""The life cycle of a run, the same for a pass and a sweep.

What differs is the work, when it counts as done in part, and what is published at the end.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from cleanup_job.errors import CleanupError, LeaseHeldError
from cleanup_job.exit_codes import ExitCode, StopReason
from cleanup_job.job import messages, metrics, pod
from cleanup_job.passes.stop import Stop
from cleanup_job.report import json_lines, k8s_event
from cleanup_job.service_task.schedule import Skipped
from cleanup_job.settings.model import Settings

if TYPE_CHECKING:  # it is slow to import
    from prometheus_client import CollectorRegistry

    from cleanup_job.report.message import Message


class RunReport(Protocol):
    """What the report of every run has."""

    finished: datetime | None
    stopped_by: StopReason | None
    error: str
    exit_code: int


ReportT = TypeVar("ReportT", bound=RunReport)
ShownT_contra = TypeVar("ShownT_contra", contravariant=True)


class RunOutput(Protocol[ShownT_contra]):
    """Shows a run to people or programs."""

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def warning(self, text: str) -> None:
        """Something that people should look at."""

    def finished(self, report: ShownT_contra) -> None:
        """The run has ended."""


class Job(ABC, Generic[ReportT]):
    """The life cycle of a run."""

    def __init__(self, settings: Settings, report: ReportT, output: RunOutput[ReportT], stop: Stop) -> None:
        """``report`` is filled in during the run."""
        self._settings = settings
        self._report: ReportT = report
        self._output: RunOutput[ReportT] = output
        self._stop = stop

    def run(self) -> int:
        """Run to the end and return the exit code."""
        skipped: Skipped | None = None
        try:
            metrics.check(self._settings)
            messages.check(self._settings)
            self._check()
            with self._signals(), self._output:
                self._look_back()
                skipped = self._work_within_lease()
        except CleanupError as error:
            self._note_error(error)
        except Exception as error:
            # The traceback goes to the log; Kubernetes should show something, too.
            self._report.error = f"unexpected error: {type(error).__name__}: {error}"
            self._explain_failure(self._report.error)
            self._report.finished, self._report.exit_code = datetime.now(UTC), ExitCode.UNEXPECTED
            self._send()
            raise
        if skipped is not None:
            return self._end_without_pass(skipped)
        if self._report.finished is None:
            self._close()
        self._publish()
        self._send()
        self._output.finished(self._report)
        return self._report.exit_code

    def _end_without_pass(self, skipped: Skipped) -> ExitCode:
        pod.write_termination_message(json_lines.dumps(skipped.line))
        if skipped.not_done is not None:
            event = k8s_event.of_run_before(f"{skipped.not_done.text}. Now: {skipped.text}", pod.NAME)
            pod.leave_event(self._settings.cluster.cronjob, self._settings.cluster.lease_namespace, event, self._warn)
            said = partial(messages.of_failure, event.message, skipped.exit_code, self._settings.connection.api_host)
            messages.begin(self._settings, skipped.exit_code, said, self._warn)()
        return skipped.exit_code

    def _work_within_lease(self) -> Skipped | None:
        try:
            with pod.lease(self._settings, self._stop, self._warn) as held:
                if held is not None:
                    self._stop.holds_lease = held.is_safe
                return self._work(holds_lease=held is not None)
        except LeaseHeldError:
            if not self._stop.reason:
                raise
            self._report.stopped_by = self._stop.reason  # it was stopped while it waited, or it lost the lease
            self._report.exit_code = self._exit_code()
        return None

    def _note_error(self, error: CleanupError) -> None:
        self._report.error, self._report.exit_code = str(error), error.exit_code

    def _close(self) -> None:
        """Fill in how the run ended."""
        report = self._report
        report.finished = datetime.now(UTC)
        report.exit_code = report.exit_code or self._exit_code()
        if report.exit_code == ExitCode.LEASE_LOST or report.stopped_by is StopReason.LEASE:
            report.stopped_by = StopReason.LEASE
            report.error = report.error or self._stop.lost

    def _exit_code(self) -> ExitCode:
        if self._stop.reason is StopReason.OUTPUT:
            return ExitCode.UNEXPECTED
        decided = self._report.stopped_by.exit_code if self._report.stopped_by else None
        return decided or (ExitCode.IN_PART if self._has_failures() else ExitCode.DONE)

    def _signals(self) -> AbstractContextManager[None]:
        """What signals do while it runs."""
        return pod.signals(self._stop)

    def _warn(self, text: str) -> None:
        self._output.warning(text)

    def _look_back(self) -> None:
        """Tell of runs before this one that could not tell themselves how they ended. It never fails."""

    def _check(self) -> None:
        """Check the settings before anything else is done."""

    @abstractmethod
    def _work(self, *, holds_lease: bool) -> Skipped | None:
        """Do the work, or return why it is skipped."""

    @abstractmethod
    def _has_failures(self) -> bool:
        """Whether anything could not be deleted."""

    @abstractmethod
    def _publish(self) -> None:
        """Write the report and Kubernetes' termination message."""

    @abstractmethod
    def _metrics(self) -> "CollectorRegistry":
        """The run as metrics."""

    @abstractmethod
    def _message(self, sender: str) -> "Message":
        """The run as a message from this sender."""

    def _has_notices(self) -> bool:
        """Whether it announced, archived or slimmed anything."""
        return False

    def _send(self) -> None:
        """Send its message and its metrics to where the settings say, at the same time."""
        sent = messages.begin(self._settings, self._report.exit_code, self._message, self._warn, noticed=self._has_notices())
        metrics.send(self._settings, self._metrics, self._warn)
        sent()

    @abstractmethod
    def _explain_failure(self, error: str) -> None:
        """Tell Kubernetes why the run has no report."""
