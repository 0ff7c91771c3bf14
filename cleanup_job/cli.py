"""The commands. The only place that prints and exits."""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, NoReturn

import stamina.instrumentation
from rich.console import Console
from rich.table import Table

from cleanup_job import assemble, cluster_commands, pod, settings_text, sweep_command
from cleanup_job.cleanup import Pass, Stop
from cleanup_job.errors import CleanupError, LeaseHeldError, SettingsError
from cleanup_job.flags import add_flags, given
from cleanup_job.output import JsonOutput, Output, TextOutput
from cleanup_job.report import document, event
from cleanup_job.report.outcome import Report
from cleanup_job.report.words import EXIT_CODES
from cleanup_job.settings import Settings, env_name, group_name

POD = socket.gethostname()
UNEXPECTED = 1
FLAGS = [name for name in Settings.model_fields if group_name(name) != "Sweep"]
IN_PART = 3
STOPPED = {"SIGTERM": 143, "SIGINT": 130, "lease": LeaseHeldError.exit_code, "deadline": IN_PART}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code. Without one, a pass: that is how the CronJob calls it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in {*_COMMANDS, "-h", "--help", "--version"}:
        words.insert(0, "run")
    options = _parser(words).parse_args(words)
    stamina.instrumentation.set_on_retry_hooks([])  # the pass tells of its retries itself
    try:
        return _COMMANDS[options.command](options)
    except CleanupError as error:
        _errors().print(f"error: {error}", style="red", markup=False, highlight=False)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output is gone, for instance `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNEXPECTED


# -- run
def _run(options: argparse.Namespace) -> int:
    """One pass."""
    output: Output | None = None
    report: Report | None = None
    try:
        settings, origins = assemble.read_settings(given(options))
        output = _output(settings)
        report = _new_report(settings)
        _pass(settings, origins, report, output)
    except CleanupError as error:
        if report is None or output is None:
            _without_report(str(error))
            raise
        report.error, report.exit_code = str(error), error.exit_code
    except Exception as error:
        # The traceback is on its way to the log; whoever looks elsewhere should not find silence.
        _without_report(f"unexpected error: {type(error).__name__}: {error}")
        raise
    report.finished = datetime.now(UTC)
    report.exit_code = report.exit_code or _exit_code(report)
    if settings.report is not None:
        try:
            document.write(report, settings.report)
        except OSError as error:
            report.error = report.error or f"CLEANUP_REPORT={settings.report} could not be written: {error}"
            report.exit_code = report.exit_code or UNEXPECTED
    pod.last_words(document.termination_message(report))
    _event(settings.cronjob, settings.lease_namespace, event.of_report(report, POD), output.warning)
    output.finished(report)
    return report.exit_code


def _pass(settings: Settings, origins: Mapping[str, str], report: Report, output: Output) -> None:
    for name in ("run_as_service", "cleanup_period_in_days"):
        if origins[name] != "default":
            output.warning(f"{origins[name]} is set: it belongs to the CronJob's schedule. The job runs one pass and exits.")
    if settings.statuses and "created" not in settings.statuses and not settings.force_delete:
        output.warning(
            "nothing can be found: CLEANUP_STATUSES leaves out drafts, and CLEANUP_FORCE_DELETE=false allows nothing else"
        )
    if not settings.files_host:
        output.warning("CLEARML_FILES_HOST is not set, and can't be derived: tasks with files on the fileserver will be kept")
    stop = Stop()
    with pod.signals(stop), output:
        try:
            with pod.lease(settings, stop, output.warning) as held:
                if held is not None:
                    stop.holds_lease = held.is_safe
                output.started(report)
                parts = assemble.connect(settings, output.retry, stop.before_deletion)
                try:
                    Pass(parts.server, parts.stores, assemble.options(settings), report, output, stop).run()
                finally:
                    report.requests = parts.requests()
        except LeaseHeldError:
            if not stop.reason:
                raise
            report.stopped_by = stop.reason  # told to stop while it waited


def _new_report(settings: Settings) -> Report:
    now = datetime.now(UTC)
    return Report(
        version("clearml-cleanup"),
        settings.dry_run,
        now,
        now - timedelta(days=settings.delete_threshold_days),
        settings.api_host or "",
        settings.web_host or "",
    )


def _exit_code(report: Report) -> int:
    if report.stopped_by in STOPPED:
        return STOPPED[report.stopped_by]
    return IN_PART if report.total().failed else 0


def _event(cronjob: str | None, namespace: str | None, told: event.Event, warn: Callable[[str], None]) -> None:
    """Tell of the pass on its CronJob, where there is one. Not being able to is no failure of the pass."""
    if not cronjob:
        return
    from cleanup_job.cluster.events import EventError, leave  # noqa: PLC0415 -- kubernetes is slow to import

    try:
        leave(cronjob, namespace, kind=told.type, reason=told.reason, message=told.message, pod=POD)
    except EventError as error:
        warn(str(error))


def _without_report(error: str) -> None:
    """Tell of a pass that has no report, and perhaps no settings."""
    pod.last_words(f"error: {error}")
    cronjob, namespace = (os.environ.get(name) for name in ("CLEANUP_CRONJOB", "CLEANUP_LEASE_NAMESPACE"))
    _event(cronjob, namespace or None, event.of_error(error, POD), _warn)


def _warn(text: str) -> None:
    _errors().print(f"warning: {text}", style="yellow", markup=False, highlight=False)


def _output(settings: Settings) -> Output:
    console = Console()
    if settings.log_format == "text" or (settings.log_format == "auto" and console.is_terminal):
        return TextOutput(console, settings.log_level)
    return JsonOutput(sys.stdout, settings.log_level)


# -- the other commands
def _settings(options: argparse.Namespace) -> int:
    """Print the effective values and where each came from."""
    settings, origins = assemble.read_settings(given(options))
    table = Table(title="Settings", title_justify="left")
    table.add_column("setting", no_wrap=True)  # whole, also where the terminal is narrow: people copy them
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    group = ""
    for name in Settings.model_fields:
        if group_name(name) != group:
            group = group_name(name)
            table.add_section()
        value = getattr(settings, name)
        text = "" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        table.add_row(env_name(name), settings_text.shown(name, text) if text else "", origins[name])
    Console(markup=False, highlight=False).print(table)
    return 0


def _demo(options: argparse.Namespace) -> int:
    """A pass on the embedded sandbox, before and after."""
    with _extra():
        from cleanup_job import demo  # noqa: PLC0415 -- needs the extra `sandbox`
    return demo.run(options)


def _sandbox(options: argparse.Namespace) -> int:
    """The embedded ClearML Server, in the foreground."""
    with _extra():
        from cleanup_job.sandbox import command  # noqa: PLC0415 -- needs the extra `sandbox`
    return command.run(options)


@contextmanager
def _extra() -> Iterator[None]:
    """Around imports that need the extra `sandbox`."""
    try:
        yield
    except ModuleNotFoundError as missing:
        message = f"this needs `pip install 'clearml-cleanup[sandbox]'`: {missing.name} is not installed"
        raise SettingsError(message) from None


def _version(_: argparse.Namespace) -> int:
    """Print the version."""
    Console().print(version("clearml-cleanup"), highlight=False)
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "settings": _settings,
    "sweep": sweep_command.sweep,
    "trigger": cluster_commands.trigger,
    "status": cluster_commands.status,
    "demo": _demo,
    "sandbox": _sandbox,
    "version": _version,
}


# -- arguments
class _Parser(argparse.ArgumentParser):
    """Words that a pass can't take end it before it began: told of where Kubernetes shows it."""

    def error(self, message: str) -> NoReturn:
        _without_report(message)
        super().error(message)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = (_Parser if words[0] == "run" else argparse.ArgumentParser)(
        "clearml-cleanup",
        description="Deletes archived ClearML tasks past a threshold, with their models, artifacts and debug samples.",
        epilog=f"Without a command, `run`. Exit codes: {'; '.join(f'{code} {text}' for code, text in EXIT_CODES.items())}.",
    )
    parser.add_argument("--version", action="version", version=version("clearml-cleanup"))
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, text in (
        ("run", "one cleanup pass (the default)"),
        ("settings", "print the effective settings and where each came from"),
    ):
        add_flags(commands.add_parser(name, help=text, description=text, allow_abbrev=False), FLAGS)
    sweep_command.add_arguments(commands)
    cluster_commands.add_arguments(commands)
    commands.add_parser("version", help="print the version")
    _add_sandbox_commands(commands, words)
    return parser


def _add_sandbox_commands(commands: Any, words: Sequence[str]) -> None:
    texts = {"demo": "show a pass on an embedded ClearML Server", "sandbox": "run an embedded ClearML Server to try things out"}
    parsers = {name: commands.add_parser(name, help=text, description=text) for name, text in texts.items()}
    if not parsers.keys() & set(words):  # their imports take half a second
        return
    with suppress(ModuleNotFoundError):  # said when the command is called
        from cleanup_job import demo  # noqa: PLC0415 -- see above
        from cleanup_job.sandbox import command  # noqa: PLC0415 -- see above

        demo.add_arguments(parsers["demo"])
        command.add_arguments(parsers["sandbox"])


def _errors() -> Console:
    return Console(stderr=True, soft_wrap=True)
