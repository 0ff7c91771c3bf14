"""The command `run`: one pass, with all that surrounds it."""

import argparse
import gc
import os
import socket
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

from rich.console import Console

from cleanup_job import wiring
from cleanup_job.cli import pod
from cleanup_job.cli.flags import OF_A_PASS, add_flags, given
from cleanup_job.cli.terminal import Both, JsonOutput, Output, TextOutput, warn
from cleanup_job.errors import CleanupError, LeaseHeldError, SettingsError
from cleanup_job.exit_codes import ExitCode, StopReason
from cleanup_job.passes.cleanup import Pass, Stop
from cleanup_job.planning.outcome import Report
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import OwnTasks
from cleanup_job.report import files, k8s_event, termination_message
from cleanup_job.service_task import parameters, service
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.run_reporter import ServiceRun
from cleanup_job.service_task.service import Keeper, Service, Skipped
from cleanup_job.settings.model import Settings, names

POD = socket.gethostname()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting of a pass."""
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """One pass; gives the exit code."""
    # Records come and go by the thousand, in no cycles: to look for cycles as often as Python does unless told otherwise took a
    # fifth of the time of a pass, and freed nothing.
    gc.set_threshold(50_000, 20, 100)
    output: Output | None = None
    report: Report | None = None
    skipped: Skipped | None = None
    try:
        settings, origins = wiring.read_settings(given(options))
        output = make_output(settings)
        report = _new_report(settings)
        skipped = _guarded(settings, origins, given(options), report, output)
    except CleanupError as error:
        if report is None or output is None:
            without_report(str(error))
            raise
        report.error, report.exit_code = str(error), error.exit_code
    except Exception as error:
        # The traceback is on its way to the log; whoever looks elsewhere should not find silence.
        without_report(f"unexpected error: {type(error).__name__}: {error}")
        raise
    if skipped is not None:
        pod.last_words(skipped.text)
        return 0
    if report.finished is None:  # a pass that was reported in ClearML is closed before that
        _close(report, None)
    if settings.output.report is not None:
        try:
            files.write(report, settings.output.report)
        except OSError as error:
            report.error = report.error or f"CLEANUP_REPORT={settings.output.report} could not be written: {error}"
            report.exit_code = report.exit_code or ExitCode.UNEXPECTED
    pod.last_words(termination_message.of_report(report))
    _event(
        settings.cluster.cronjob,
        settings.cluster.lease_namespace,
        k8s_event.of_report(report, POD),
        partial(_warned, report, output),
    )
    output.finished(report)
    return report.exit_code


def _guarded(
    settings: Settings, origins: dict[str, str], flags: Mapping[str, Any], report: Report, output: Output
) -> Skipped | None:
    """A pass within its lease, listening to signals; or why there is none."""
    stop = Stop()
    warn = partial(_warned, report, output)
    with pod.signals(stop), output:
        try:
            with pod.lease(settings, stop, warn) as held:
                if held is not None:
                    stop.holds_lease = held.is_safe
                connection = wiring.log_in(settings, partial(_troubled, report, output))
                if settings.service_task.task or settings.service_task.task_id is not None:
                    return _Tasked(flags, connection, report, output, stop).run(settings, origins, holds_lease=held is not None)
                _doubts(settings, origins, warn)
                settings, doubt = wiring.with_fileserver(settings, origins, connection)
                if doubt:
                    warn(doubt)
                _pass(settings, connection, report, output, stop)
        except LeaseHeldError:
            if not stop.reason:
                raise
            report.stopped_by = stop.reason  # told to stop while it waited, or it lost the lease
            report.exit_code = _exit_code(report)
        _note_lost(report, stop)
    return None


class _Tasked:
    """A pass that is a task in ClearML, or leaves a run of one."""

    def __init__(self, flags: Mapping[str, Any], connection: wiring.Login, report: Report, output: Output, stop: Stop) -> None:
        self._flags = flags
        self._connection = connection
        self._report = report
        self._output = output
        self._stop = stop

    def run(self, settings: Settings, origins: dict[str, str], *, holds_lease: bool) -> Skipped | None:
        """The pass; or why there is none here."""
        tasks = wiring.service_tasks(settings, self._connection)
        keeper = Keeper(tasks, self._warn)
        if settings.service_task.task_id is not None:
            mine = keeper.under_agent((settings, origins), self._read)
        else:
            rest = {name: value for name, value in self._flags.items() if name not in parameters.TRANSFERABLE}
            mine = keeper.in_pod(settings, origins, wiring.read_settings(rest), self._read)
        _update(self._report, mine.settings)
        self._output.parameters(mine.rows)
        _doubts(mine.settings, mine.origins, self._warn)
        skipped = None if mine.by_agent else self._elsewhere(keeper, mine)
        if skipped is not None:
            self._output.skipped(skipped.text, skipped.line)
            return skipped
        mine.settings, doubt = wiring.with_fileserver(mine.settings, mine.origins, self._connection)
        if doubt:
            self._warn(doubt)
        if not mine.by_agent:
            keeper.alone_in_pod(mine, holds_lease=holds_lease)
            keeper.start(mine, self._report.started, POD)
        if not mine.settings.run.dry_run:
            keeper.archive_old(mine)
        if mine.run is None:
            self._pass(mine, self._output)
        else:
            self._report.run = mine.run
            self._reported(keeper, tasks, mine, mine.run)
        return None

    def _read(self, values: Mapping[str, tuple[object, str]]) -> tuple[Settings, dict[str, str]]:
        return wiring.read_settings(self._flags, parameters=values)

    def _warn(self, text: str) -> None:
        _warned(self._report, self._output, text)

    def _elsewhere(self, keeper: Keeper, mine: Service) -> Skipped | None:
        """Why this pod has nothing to do: it is not due, or an agent runs the pass."""
        if skipped := service.not_due(mine, self._report.started):
            return skipped
        if mine.settings.service_task.task_mode == "pod":
            return None
        return keeper.hand_over(mine, self._report.started)

    def _reported(self, keeper: Keeper, tasks: ServiceTasks, mine: Service, run: TaskId) -> None:
        watcher = ServiceRun(
            tasks,
            run,
            folder=f"{mine.settings.service_task.task_project}/{service.run_name(mine.settings, self._report.started)}.{run}",
            by_agent=mine.by_agent,
            worker=POD,
            uploads=wiring.uploads(mine.settings, self._connection),
            warn=self._warn,
            aborted=self._aborted,
        )
        with watcher:
            try:
                watcher.parameters(mine.rows)
                self._pass(mine, Both(self._output, watcher))
            except SettingsError as error:
                keeper.complain(mine.edited, str(error))
                raise
            finally:
                failure = sys.exc_info()[1]
                if failure is None or isinstance(failure, CleanupError):
                    _close(self._report, failure)
                    _note_lost(self._report, self._stop)
                    watcher.finish(self._report)
                else:
                    watcher.fail(f"{type(failure).__name__}: {failure}")

    def _aborted(self) -> None:
        self._stop.reason = self._stop.reason or StopReason.ABORTED

    def _pass(self, mine: Service, output: Output) -> None:
        own = OwnTasks(mine.never, mine.draft.id if mine.draft else "")
        _pass(mine.settings, self._connection, self._report, output, self._stop, own)


def _pass(  # noqa: PLR0913, PLR0917 -- all that is around a pass
    settings: Settings, connection: wiring.Login, report: Report, output: Output, stop: Stop, own: OwnTasks | None = None
) -> None:
    parts = wiring.connect(settings, connection, stop.before_deletion)
    try:
        doing = Pass(parts.server, parts.stores, settings, report, output, stop, own=own)
        remark = doing.set_clock()
        output.started(report)
        if remark:
            output.debug(remark)
        doing.run()
    finally:
        report.requests = parts.requests()


def _close(report: Report, error: BaseException | None) -> None:
    if isinstance(error, CleanupError):
        report.error, report.exit_code = str(error), error.exit_code
    report.finished = datetime.now(UTC)
    report.exit_code = report.exit_code or _exit_code(report)


def _note_lost(report: Report, stop: Stop) -> None:
    """How the lease was lost, where that ended the pass."""
    if report.exit_code == ExitCode.LEASE_LOST or report.stopped_by is StopReason.LEASE:
        report.stopped_by = StopReason.LEASE
        report.error = report.error or stop.lost


def _warned(report: Report, output: Output, text: str) -> None:
    report.warn(text)
    output.warning(text)


def _troubled(report: Report, output: Output, text: str) -> None:
    """A line of the log that is no news for whoever reads a report: requests are tried again, servers slow down."""
    report.warned += 1
    output.trouble(text)


def _doubts(settings: Settings, origins: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """Settings that are allowed, and perhaps not meant."""
    with_task = settings.service_task.task or settings.service_task.task_id is not None
    for name in names(lambda entry: entry.group == "schedule") if not with_task else ():
        if origins[name] != "default":
            warn(f"{origins[name]} is set: it belongs to the CronJob's schedule. The job runs one pass and exits.")
    if settings.filters.statuses and "created" not in settings.filters.statuses and not settings.filters.force_delete:
        warn("nothing can be found: CLEANUP_STATUSES leaves out drafts, and CLEANUP_FORCE_DELETE=false allows nothing else")


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
    _update(report, settings)
    return report


def _update(report: Report, settings: Settings) -> None:
    report.dry_run = settings.run.dry_run
    report.cutoff = report.started - timedelta(days=settings.filters.delete_threshold_days)


def _exit_code(report: Report) -> int:
    decided = report.stopped_by.exit_code if report.stopped_by else None
    return decided or (ExitCode.IN_PART if report.total().failed else ExitCode.DONE)


def _event(cronjob: str | None, namespace: str | None, told: k8s_event.Event, warn: Callable[[str], None]) -> None:
    """Tell of the pass on its CronJob, where there is one. Not being able to is no failure of the pass."""
    if not cronjob:
        return
    from cleanup_job.cluster.k8s_events import EventError, leave  # noqa: PLC0415 -- kubernetes is slow to import

    try:
        leave(cronjob, namespace, kind=told.type, reason=told.reason, message=told.message, pod=POD)
    except EventError as error:
        warn(str(error))


def without_report(error: str) -> None:
    """Tell of a pass that has no report, and perhaps no settings."""
    pod.last_words(f"error: {error}")
    cronjob, namespace = (os.environ.get(name) for name in ("CLEANUP_CRONJOB", "CLEANUP_LEASE_NAMESPACE"))
    _event(cronjob, namespace or None, k8s_event.of_error(error, POD), warn)


def make_output(settings: Settings) -> Output:
    """Lines for people on a terminal, JSON lines elsewhere."""
    console = Console()
    if settings.output.log_format == "text" or (settings.output.log_format == "auto" and console.is_terminal):
        return TextOutput(console, settings.output.log_level)
    return JsonOutput(sys.stdout, settings.output.log_level)
