"""`clearml-cleanup sweep`: task folders whose record is long gone."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from threading import Lock
from urllib.parse import urlsplit

from rich.console import Console

from cleanup_job import wiring
from cleanup_job.cli import pod
from cleanup_job.cli.flags import OF_A_SWEEP, add_flags, given
from cleanup_job.errors import CleanupError, LeaseHeldError, SettingsError
from cleanup_job.exit_codes import ExitCode, StopReason
from cleanup_job.passes.cleanup import Stop
from cleanup_job.passes.sweep import Sweep, SweepOptions
from cleanup_job.report import json_lines
from cleanup_job.report.formatting import plain
from cleanup_job.report.sweep import (
    Orphan,
    SweepReport,
    finished_line,
    orphan_line,
    print_orphan,
    print_sum,
    summary,
)
from cleanup_job.settings.model import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting of a sweep."""
    add_flags(parser, OF_A_SWEEP)


def run(options: argparse.Namespace) -> int:
    """One sweep; gives the exit code."""
    try:
        settings, _ = wiring.read_settings(given(options))
    except CleanupError as error:
        pod.last_words(f"error: {error}")
        raise
    report = SweepReport(version("clearml-cleanup"), _host(settings), settings.sweep.sweep_delete, datetime.now(UTC))
    output = _Output(settings)
    try:
        _sweep(settings, report, output)
        decided = report.stopped_by.exit_code if report.stopped_by else None
        report.exit_code = decided or (ExitCode.IN_PART if report.left() else ExitCode.DONE)
    except CleanupError as error:
        report.error, report.exit_code = str(error), error.exit_code
    report.finished = datetime.now(UTC)
    pod.last_words(json_lines.dumps(summary(report)))
    output.finished(report)
    return report.exit_code


def _sweep(settings: Settings, report: SweepReport, output: "_Output") -> None:
    if not settings.sweep.sweep_stores:
        raise SettingsError("no store to sweep: name one with --store URL, or in CLEANUP_SWEEP_STORES")
    if settings.sweep.sweep_i_know not in {None, report.server}:
        raise SettingsError(
            f"--i-know {settings.sweep.sweep_i_know}: the server is {report.server}. The name shows that you mean this one."
        )
    stop = Stop()
    with pod.signals(stop):
        try:
            with pod.lease(settings, stop, output.warning) as held:
                if held is not None:
                    stop.holds_lease = held.is_safe
                server, places = wiring.sweep_places(settings, output.warning, stop.before_deletion)
                wanted = SweepOptions(
                    settings.sweep.sweep_delete,
                    timedelta(days=settings.sweep.sweep_grace_days),
                    settings.sweep.sweep_known_one_in,
                    settings.sweep.sweep_refuse_above,
                    sure=settings.sweep.sweep_i_know is not None,
                )
                Sweep(server, wanted, report, output.orphan, lambda: bool(stop.reason)).run(places)
                for warning in {warning: None for storage, _ in places for warning in storage.warnings()}:
                    output.warning(warning)
        except LeaseHeldError:
            if not stop.reason:
                raise
    report.stopped_by = stop.reason
    if stop.reason is StopReason.LEASE:
        report.error = stop.lost


def _host(settings: Settings) -> str:
    return urlsplit(settings.connection.api_host).hostname or ""


class _Output:
    """Lines for people on a terminal, JSON lines elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self._console = Console()
        self._text = settings.output.log_format == "text" or (
            settings.output.log_format == "auto" and self._console.is_terminal
        )
        self._lock = Lock()

    def orphan(self, orphan: Orphan) -> None:
        """Called for each."""
        self._print(lambda: print_orphan(orphan, self._console), lambda: orphan_line(orphan))

    def warning(self, text: str) -> None:
        """Something that people should look at."""
        self._print(lambda: self._console.print(f"warning: {plain(text)}", markup=False), lambda: json_lines.warning(text))

    def finished(self, report: SweepReport) -> None:
        """The sum."""
        self._print(lambda: print_sum(report, self._console), lambda: finished_line(report))

    def _print(self, text: Callable[[], None], line: Callable[[], json_lines.Line]) -> None:
        with self._lock:
            if self._text:
                text()
            else:
                print(json_lines.dumps(line()), file=sys.stdout, flush=True)
