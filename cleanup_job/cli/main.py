"""The commands. The only place that prints and exits."""

import argparse
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from types import TracebackType
from typing import Any, NoReturn

import stamina.instrumentation
from rich.console import Console
from rich.table import Table

from cleanup_job import wiring
from cleanup_job.cli import cluster_commands, run, service_commands, sweep
from cleanup_job.cli.flags import add_flags, given
from cleanup_job.cli.streams import OutputError, guarded
from cleanup_job.errors import CleanupError, SettingsError
from cleanup_job.redaction import redacted
from cleanup_job.report.words import EXIT_CODES
from cleanup_job.settings.model import TABLE, names, shown
from cleanup_job.settings.scopes import Scope

INTERRUPTED = 130
FLAGS = names(lambda entry: entry.scope is not Scope.SWEEP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code. Without one, a pass: that is how the CronJob calls it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in {*_COMMANDS, "-h", "--help", "--version"}:
        words.insert(0, "run")
    with guarded() as out:
        try:
            try:
                code = _command(words)
            finally:
                out.flush()
        except KeyboardInterrupt:
            return INTERRUPTED
        except OutputError:
            code = run.UNEXPECTED
        if out.error is not None and not isinstance(out.error, BrokenPipeError):  # then whoever read it is gone, as `| head`
            _complain(f"the output can't be written: {out.error.strerror}")
        return code or (run.UNEXPECTED if out.error is not None else 0)


def _command(words: Sequence[str]) -> int:
    options = _parser(words).parse_args(words)
    _guard_output()
    stamina.instrumentation.set_on_retry_hooks([])  # the pass tells of its retries itself
    try:
        return _COMMANDS[options.command](options)
    except CleanupError as error:
        _complain(str(error))
        return error.exit_code


def _complain(text: str) -> None:
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"error: {redacted(text)}", style="red", markup=False, highlight=False)


# -- the other commands
def _settings(options: argparse.Namespace) -> int:
    """Print the effective values and where each came from."""
    settings, origins = wiring.read_settings(given(options))
    table = Table(title="Settings", title_justify="left")
    table.add_column("setting", no_wrap=True)  # whole, also where the terminal is narrow: people copy them
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    group = ""
    for name, entry in TABLE.items():
        if entry.heading != group:
            group = entry.heading
            table.add_section()
        value = settings.value(name)
        text = "" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        table.add_row(entry.env, shown(name, text) if text else "", origins[name])
    Console(markup=False, highlight=False).print(table)
    return 0


def _demo(options: argparse.Namespace) -> int:
    """A pass on the embedded sandbox, before and after."""
    with _extra():
        from cleanup_job.cli import demo  # noqa: PLC0415 -- needs the extra `sandbox`
    return demo.run(options)


def _sandbox(options: argparse.Namespace) -> int:
    """The embedded ClearML Server, in the foreground."""
    with _extra():
        from clearml_sandbox import command  # noqa: PLC0415 -- needs the extra `sandbox`
    try:
        return command.run(options)
    except command.CommandError as error:
        raise SettingsError(str(error)) from None


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
    "run": run.run,
    "settings": _settings,
    "sweep": sweep.sweep,
    "register": service_commands.register,
    "enqueue": service_commands.enqueue,
    "trigger": cluster_commands.trigger,
    "status": cluster_commands.status,
    "demo": _demo,
    "sandbox": _sandbox,
    "version": _version,
}


# -- arguments
class _Parser(argparse.ArgumentParser):
    """Words that a command can't take."""

    def error(self, message: str) -> NoReturn:
        super().error(redacted(message))


class _PassParser(_Parser):
    """Words that a pass can't take end it before it began: told of where Kubernetes shows it."""

    def error(self, message: str) -> NoReturn:
        run.without_report(message)
        super().error(message)


def _tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What nobody thought of, with its traceback, and without the secrets that a library's error may hold."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


def _tell_of_thread(raised: threading.ExceptHookArgs) -> None:
    if not isinstance(raised.exc_value, OutputError):
        _tell(raised.exc_type, raised.exc_value, raised.exc_traceback)


class _Formatter(logging.Formatter):
    """What libraries have to say goes through the same sieve."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _guard_output() -> None:
    """Put in place what shows errors that are not ours."""
    sys.excepthook = _tell
    threading.excepthook = _tell_of_thread
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Formatter())


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = (_PassParser if words[0] == "run" else _Parser)(
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
    sweep.add_arguments(commands)
    service_commands.add_arguments(commands, FLAGS)
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
        from cleanup_job.cli import demo  # noqa: PLC0415 -- see above
        from clearml_sandbox import command  # noqa: PLC0415 -- see above

        demo.add_arguments(parsers["demo"])
        command.add_arguments(parsers["sandbox"])
