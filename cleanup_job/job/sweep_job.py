"""One sweep as a run."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from cleanup_job import wiring
from cleanup_job.errors import SettingsError
from cleanup_job.job import pod
from cleanup_job.job.audited import audited
from cleanup_job.job.life_cycle import Job, RunOutput
from cleanup_job.passes.stop import Stop
from cleanup_job.passes.sweep import Sweep, SweepOptions
from cleanup_job.planning.sweep_outcome import Orphan, SweepReport
from cleanup_job.report import json_lines
from cleanup_job.report.sweep import summary
from cleanup_job.settings.model import Settings

if TYPE_CHECKING:  # it is slow to import
    from prometheus_client import CollectorRegistry

    from cleanup_job.report.message import Message


class SweepOutput(RunOutput[SweepReport], Protocol):
    """Shows a sweep to people or programs."""

    def orphan(self, orphan: Orphan) -> None:
        """Show a task folder without a record."""


class SweepJob(Job[SweepReport]):
    """One sweep: it finds task folders without a record and, with --delete, deletes the old ones."""

    _output: SweepOutput

    def __init__(self, settings: Settings, output: SweepOutput, stop: Stop) -> None:
        """Prepare a sweep."""
        server = urlsplit(settings.connection.api_host).hostname or ""
        report = SweepReport(version("clearml-cleanup"), server, settings.sweep.sweep_delete, datetime.now(UTC))
        super().__init__(settings, report, output, stop)

    def _check(self) -> None:
        settings, server = self._settings, self._report.server
        if not settings.sweep.sweep_stores:
            raise SettingsError("no store to sweep: name one with --store URL or in CLEANUP_SWEEP_STORES")
        if settings.sweep.sweep_i_know not in {None, server}:
            raise SettingsError(f"--i-know {settings.sweep.sweep_i_know}: the server is {server}. Give its name to confirm.")

    def _work(self, *, holds_lease: bool) -> None:  # noqa: ARG002 -- a sweep leaves no runs to tell apart
        settings, stop = self._settings, self._stop
        connection = wiring.log_in(settings, self._warn)
        server, places = wiring.sweep_places(settings, connection, stop.before_deletion)
        options = SweepOptions(
            settings.sweep.sweep_delete,
            timedelta(days=settings.sweep.sweep_grace_days),
            settings.sweep.sweep_known_one_in,
            settings.sweep.sweep_refuse_above,
            sure=settings.sweep.sweep_i_know is not None,
        )
        with audited(settings, connection, "sweep", self._report) as audit:
            Sweep(server, options, self._report, self._output.orphan, lambda: bool(stop.reason), audit=audit).run(places)
        for warning in {warning: None for storage, _ in places for warning in storage.warnings()}:
            self._warn(warning)
        self._report.stopped_by = stop.reason

    def _has_failures(self) -> bool:
        return bool(self._report.left())

    def _publish(self) -> None:
        pod.write_termination_message(json_lines.dumps(summary(self._report)))

    def _metrics(self) -> "CollectorRegistry":
        from cleanup_job.report.metrics import of_sweep  # noqa: PLC0415 -- prometheus_client is slow to import

        return of_sweep(self._report)

    def _message(self, sender: str) -> "Message":
        from cleanup_job.report.message import of_sweep  # noqa: PLC0415 -- only runs that tell someone need it

        return of_sweep(self._report, sender)

    def _explain_failure(self, error: str) -> None:
        pod.write_termination_message(f"error: {error}")
