"""`clearml-cleanup sweep`: task folders whose record is long gone."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from cleanup_job import wiring
from cleanup_job.cli import pod
from cleanup_job.cli.flags import add_flags, given
from cleanup_job.errors import CleanupError, LeaseHeldError, LeaseLostError, SettingsError
from cleanup_job.passes.cleanup import Stop
from cleanup_job.passes.sweep import Options, Sweep
from cleanup_job.report import json_lines
from cleanup_job.report.sweep import (
    Orphan,
    SweepReport,
    finished_line,
    orphan_line,
    print_orphan,
    print_sum,
    summary,
)
from cleanup_job.report.words import plain
from cleanup_job.settings.model import Settings, group_name

GROUPS = frozenset({"Connection", "Sweep"})
MORE = ("page_size", "max_requests_in_flight", "request_timeout_seconds", "attempts", "lease", "lease_namespace",
        "lease_wait_seconds", "stores_verify_certificate", "log_format", "log_level")  # fmt: skip
FLAGS = [name for name in Settings.model_fields if group_name(name) in GROUPS or name in MORE]
IN_PART = 3
STOPPED = {"SIGTERM": 143, "SIGINT": 130, "lease": LeaseLostError.exit_code}


def add_arguments(commands: Any) -> None:
    """The command's own parser."""
    text = "find task folders without a record in buckets and mounted folders; with --delete, delete the old ones"
    add_flags(commands.add_parser("sweep", help=text, description=text, allow_abbrev=False), FLAGS)


def sweep(options: argparse.Namespace) -> int:
    """One sweep; gives the exit code."""
    try:
        settings, _ = wiring.read_settings(given(options))
    except CleanupError as error:
        pod.last_words(f"error: {error}")
        raise
    report = SweepReport(version("clearml-cleanup"), _host(settings), settings.sweep_delete, datetime.now(UTC))
    output = _Output(settings)
    try:
        _sweep(settings, report, output)
        report.exit_code = STOPPED.get(report.stopped_by, IN_PART if report.left() else 0)
    except CleanupError as error:
        report.error, report.exit_code = str(error), error.exit_code
    report.finished = datetime.now(UTC)
    pod.last_words(json_lines.dumps(summary(report)))
    output.finished(report)
    return report.exit_code


def _sweep(settings: Settings, report: SweepReport, output: "_Output") -> None:
    if not settings.sweep_stores:
        raise SettingsError("no store to sweep: name one with --store URL, or in CLEANUP_SWEEP_STORES")
    if settings.sweep_i_know not in {None, report.server}:
        raise SettingsError(
            f"--i-know {settings.sweep_i_know}: the server is {report.server}. The name shows that you mean this one."
        )
    stop = Stop()
    with pod.signals(stop):
        try:
            with pod.lease(settings, stop, output.warning) as held:
                if held is not None:
                    stop.holds_lease = held.is_safe
                server, places = wiring.sweep_places(settings, output.warning, stop.before_deletion)
                wanted = Options(
                    settings.sweep_delete,
                    timedelta(days=settings.sweep_grace_days),
                    settings.sweep_known_one_in,
                    settings.sweep_refuse_above,
                    sure=settings.sweep_i_know is not None,
                )
                Sweep(server, wanted, report, output.orphan, lambda: bool(stop.reason)).run(places)
                for warning in {warning: None for storage, _ in places for warning in storage.warnings()}:
                    output.warning(warning)
        except LeaseHeldError:
            if not stop.reason:
                raise
    report.stopped_by = stop.reason
    if stop.reason == "lease":
        report.error = stop.lost


def _host(settings: Settings) -> str:
    return urlsplit(settings.api_host or "").hostname or ""


class _Output:
    """Lines for people on a terminal, JSON lines elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self._console = Console()
        self._text = settings.log_format == "text" or (settings.log_format == "auto" and self._console.is_terminal)
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
