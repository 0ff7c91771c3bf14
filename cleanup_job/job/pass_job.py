"""One cleanup pass as a run, which ClearML may show as a task."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from cleanup_job import wiring
from cleanup_job.errors import CleanupError, SettingsError
from cleanup_job.exit_codes import ExitCode, StopReason
from cleanup_job.job import pod
from cleanup_job.job.audited import audited
from cleanup_job.job.life_cycle import Job, RunOutput
from cleanup_job.job.plans import PlanFile
from cleanup_job.job.report_files import ReportFiles
from cleanup_job.passes.cleanup import Pass
from cleanup_job.passes.observers import Observers
from cleanup_job.passes.ports import Observer, Server
from cleanup_job.passes.stop import Stop
from cleanup_job.planning import contradictions
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Report
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen, OwnTasks
from cleanup_job.report import json_lines, k8s_event, termination_message
from cleanup_job.report.phrases import link
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft_settings import DraftSettings
from cleanup_job.service_task.own_task import OwnTask
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.run_marks import run_name
from cleanup_job.service_task.run_reporter import RunReporter
from cleanup_job.service_task.runs import DraftRuns
from cleanup_job.service_task.schedule import Skipped, too_early
from cleanup_job.settings.model import Settings, env_name, names
from cleanup_job.settings.output import expanded
from cleanup_job.settings.sources import DEFAULT

if TYPE_CHECKING:  # it is slow to import
    from prometheus_client import CollectorRegistry

    from cleanup_job.report.message import Message


class Output(RunOutput[Report], Observer, Protocol):
    """Shows a pass, and all that surrounds it, to people or programs."""

    def parameters(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Show the settings that count, each with its value and where it came from."""

    def skipped(self, text: str, line: json_lines.Line) -> None:
        """Show why there is no pass here."""

    def started(self, report: Report) -> None:
        """Show that the pass begins."""

    def trouble(self, text: str) -> None:
        """Show a warning that only the log gets: a request is tried again, a server slows down."""

    def plan(self, text: str) -> None:
        """Show which plan is carried out, or that one was written."""

    def debug(self, text: str) -> None:
        """Show a detail for troubleshooting."""


class PassJob(Job[Report]):
    """One cleanup pass, which may be a task in ClearML, or leave a run of one."""

    _output: Output

    def __init__(  # noqa: PLR0913 -- what is asked of a run, from the settings to the tasks
        self,
        settings: Settings,
        origins: dict[str, str],
        flags: Mapping[str, Any],
        output: Output,
        stop: Stop,
        *,
        chosen: Chosen | None = None,
        plan: PlanFile | None = None,
    ) -> None:
        """Prepare a pass.

        Args:
            settings: The operator's settings.
            origins: Where each setting came from.
            flags: The settings given for this pass alone.
            output: Shows what happens.
            stop: Ends the pass early.
            chosen: The only tasks that it may delete; None if it may be any.
            plan: Gets what a dry run would delete.
        """
        super().__init__(settings, _new_report(settings), output, stop)
        self._origins = origins
        self._flags = flags
        self._chosen = chosen
        self._plan = plan or PlanFile()
        self._files = ReportFiles(self._report, {}, self._warn)

    def _check(self) -> None:
        connection, report = self._settings.connection, self._report
        places = {}
        for address in self._settings.output.report:
            at = expanded(address, started=report.started, shard=report.shard, api_host=connection.api_host)
            places[at] = wiring.destination(self._settings, at, "CLEANUP_REPORT")
        self._plan.open()
        self._files = ReportFiles(report, places, self._warn)

    def _look_back(self) -> None:
        pod.tell_of_killed(self._settings, self._warn, self._output.debug)

    def _work(self, *, holds_lease: bool) -> Skipped | None:
        connection = wiring.log_in(self._settings, self._note_trouble)
        if self._settings.service_task.task or self._settings.service_task.task_id is not None:
            return self._clean_as_task(connection, holds_lease=holds_lease)
        _note_settings(self._report, self._settings, self._origins)
        self._look_for_mistakes(self._settings, self._origins)
        self._clean(self._with_fileserver(self._settings, self._origins, connection), connection, self._output)
        return None

    def _with_fileserver(self, settings: Settings, origins: Mapping[str, str], connection: wiring.Login) -> Settings:
        settings, warning = wiring.with_fileserver(settings, origins, connection)
        if warning:
            self._warn(warning)
        return settings

    def _clean(self, settings: Settings, connection: wiring.Login, observer: Observer, own: OwnTasks | None = None) -> None:
        parts = wiring.connect(settings, connection, self._stop.before_deletion)
        try:
            with audited(settings, connection, "pass", self._report) as audit:
                watching = Observers(observer, self._plan, self._files)
                around = (settings, self._report, watching, self._stop)
                doing = Pass(parts.server, parts.stores, *around, own=own, chosen=self._chosen, audit=audit)
                remark = doing.set_clock()
                self._begins(connection)
                self._output.started(self._report)
                self._note_users(parts.server)
                self._files.begin()
                self._plan.begin(self._settings, self._report, partial(_key_of, connection))
                if remark:
                    self._output.debug(remark)
                doing.run()
        finally:
            self._report.requests_to = parts.requests()
            self._report.requests = self._report.requests_to.total()
            self._report.retries_to = connection.retries()

    def _begins(self, connection: wiring.Login) -> None:
        """Called right before the pass begins, with the report's cut-off known."""

    def _note_users(self, server: Server) -> None:
        """Note the users' names, if a report is to have them."""
        if self._settings.output.report:
            try:
                self._report.users = server.users()
            except CleanupError as error:
                self._warn(f"CLEANUP_REPORT: reports have ids of users without their names: {error}")

    # -- as a task in ClearML
    def _clean_as_task(self, connection: wiring.Login, *, holds_lease: bool) -> Skipped | None:
        """Run the pass with the settings of its task in ClearML, or return why it is skipped here."""
        tasks = wiring.service_tasks(self._settings, connection)
        edits, runs = DraftSettings(tasks, self._warn), DraftRuns(tasks, self._warn)
        if self._settings.service_task.task_id is not None:
            mine = edits.under_agent((self._settings, self._origins), self._read_with)
        else:
            lasting = {name: value for name, value in self._flags.items() if name not in parameters.TRANSFERABLE}
            mine = edits.in_pod((self._settings, self._origins), wiring.read_settings(lasting), self._read_with)
        _update(self._report, mine.settings)
        _note_settings(self._report, mine.settings, mine.origins)
        self._output.parameters(mine.rows)
        self._look_for_mistakes(mine.settings, mine.origins)
        skipped = None if mine.by_agent else self._why_not_here(runs, mine)
        if skipped is not None:
            self._output.skipped(skipped.text, skipped.line)
            return skipped
        mine.settings = self._with_fileserver(mine.settings, mine.origins, connection)
        if not mine.by_agent:
            runs.require_alone(mine, holds_lease=holds_lease)
            runs.start(mine, self._report.started, pod.NAME)
        if not mine.settings.run.dry_run:
            runs.archive_old(mine)
        if mine.run is None:
            self._clean_around(mine, connection, self._output)
        else:
            self._report.run = mine.run
            self._clean_and_report(edits, tasks, mine, mine.run, connection)
        return None

    def _read_with(self, values: Mapping[str, tuple[object, str]]) -> tuple[Settings, dict[str, str]]:
        """Read the settings again, with values of a task in ClearML."""
        return wiring.read_settings(self._flags, parameters=values)

    def _why_not_here(self, runs: DraftRuns, mine: OwnTask) -> Skipped | None:
        """Why this pod has nothing to do: the pass is not due, or an agent runs it."""
        if skipped := too_early(mine, self._report.started):
            return skipped
        if mine.settings.service_task.task_mode == "pod":
            return None
        return runs.hand_over(mine, self._report.started, partial(link, self._report))

    def _clean_and_report(
        self, edits: DraftSettings, tasks: ServiceTasks, mine: OwnTask, run: TaskId, connection: wiring.Login
    ) -> None:
        """Run the pass and report it in ClearML. The report is closed before the run there is ended with it."""
        reporter = RunReporter(
            tasks,
            run,
            folder=f"{mine.settings.service_task.task_project}/{run_name(mine.settings, self._report.started)}.{run}",
            by_agent=mine.by_agent,
            worker=pod.NAME,
            uploads=wiring.uploads(mine.settings, connection),
            warn=self._warn,
            aborted=partial(self._stop.ask, StopReason.ABORTED),
        )
        with reporter:
            try:
                reporter.parameters(mine.rows)
                self._clean_around(mine, connection, Observers(self._output, reporter))
            except SettingsError as error:
                edits.complain(mine.edited, str(error))
                raise
            finally:
                failure = sys.exc_info()[1]
                if failure is None or isinstance(failure, CleanupError):
                    if failure is not None:
                        self._note_error(failure)
                    self._close()
                    reporter.finish(self._report)
                else:
                    reporter.fail(f"{type(failure).__name__}: {failure}")

    def _clean_around(self, mine: OwnTask, connection: wiring.Login, observer: Observer) -> None:
        """Run the pass; of the job's own tasks, it touches only old runs."""
        edited = mine.settings.filters != self._settings.filters
        self._clean(mine.settings, connection, observer, OwnTasks(mine.never, mine.draft.id if mine.draft else "", edited))

    # -- notes
    def _warn(self, text: str) -> None:
        self._report.warn(text)
        self._output.warning(text)

    def _note_trouble(self, text: str) -> None:
        self._report.warn_in_log()
        self._output.trouble(text)

    def _look_for_mistakes(self, settings: Settings, origins: Mapping[str, str]) -> None:
        """Refuse settings that are one, and warn of those that are allowed but look like one."""
        with_task = settings.service_task.task or settings.service_task.task_id is not None
        for name in names(lambda entry: entry.group == "schedule") if not with_task else ():
            if origins[name] != DEFAULT:
                self._warn(f"{origins[name]} has no effect here: it belongs to the CronJob's schedule. The job runs one pass.")
        self._refuse_contradictions(settings)

    def _refuse_contradictions(self, settings: Settings) -> None:
        """Refuse settings of the operator that leave nothing to delete. If edits in ClearML do, that is allowed, and said.

        Raises:
            SettingsError: no task can match.
        """
        found = contradictions.of_settings(settings.filters)
        if found and contradictions.of_settings(self._settings.filters):
            raise SettingsError(found)
        for text in [found] if found else contradictions.partly(settings.filters):
            self._warn(text)

    def _has_failures(self) -> bool:
        return bool(self._report.total().failed)

    def _publish(self) -> None:
        report = self._report
        if planned := self._plan.end(report):
            self._output.plan(planned)
        for problem in self._files.finish():
            report.error = report.error or problem
            report.exit_code = report.exit_code or ExitCode.UNEXPECTED
        pod.write_termination_message(termination_message.of_report(report))
        pod.leave_event(
            self._settings.cluster.cronjob,
            self._settings.cluster.lease_namespace,
            k8s_event.of_report(report, pod.NAME),
            self._warn,
        )

    def _metrics(self) -> "CollectorRegistry":
        from cleanup_job.report.metrics import of_report  # noqa: PLC0415 -- prometheus_client is slow to import

        return of_report(self._report)

    def _has_notices(self) -> bool:
        return any(entry.noticed or (entry.done and entry.stage is not Stage.DELETE) for entry in self._report.stages.values())

    def _message(self, sender: str) -> "Message":
        from cleanup_job.report.message import of_report  # noqa: PLC0415 -- only runs that tell someone need it

        return of_report(self._report, sender)

    def _explain_failure(self, error: str) -> None:
        self._plan.discard()
        self._files.abandon()
        pod.explain_failure(error, self._warn)


def _key_of(connection: wiring.Login) -> str:
    """The id of the user whose key the job has; empty if the server doesn't say."""
    from cleanup_job.clearml_api.current_user import current_user  # noqa: PLC0415 -- clearml is slow to import

    return current_user(connection.transport)[0]


def _new_report(settings: Settings) -> Report:
    now = datetime.now(UTC)
    report = Report(
        version("clearml-cleanup"),
        settings.run.dry_run,
        now,
        now,
        settings.connection.api_host,
        settings.connection.web_host or "",
    )
    report.shards = settings.run.shards
    report.shard = settings.run.shard if settings.run.shards > 1 else None
    report.policies = settings.policies.digest
    _update(report, settings)
    return report


def _update(report: Report, settings: Settings) -> None:
    report.dry_run = settings.run.dry_run
    report.cutoff = report.started - timedelta(days=settings.filters.delete_threshold_days)


def _note_settings(report: Report, settings: Settings, origins: Mapping[str, str]) -> None:
    """Note the settings that are not at their defaults."""
    report.settings = [(env_name(name), settings.text(name), origins[name]) for name in names() if origins[name] != DEFAULT]
