"""The command line. Only this package prints, and only it turns an error into an exit code."""

import argparse
import gc
import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn, Protocol

from cleanup_job.cli.parser import Parser, examples
from cleanup_job.cli.streams import OutputError, guarded
from cleanup_job.errors import CleanupError, SettingsError
from cleanup_job.exit_codes import ExitCode
from cleanup_job.redaction import redacted

PROGRAM = "clearml-cleanup"
DEFAULT = "run"
COMMANDS = {
    "run": "delete archived tasks in one pass (the default)",
    "settings": "print the effective settings and where each came from",
    "explain": "say why a task is, or is not, deleted: every rule's verdict, its files, and who needs what of it",
    "forecast": "say what will be old enough to be deleted on which day, if nothing changes",
    "sweep": "find task folders without a record in buckets and mounted folders; with --delete, delete the old ones",
    "usage": "show what takes the space on a server: by project, user, status, age and kind; reads only",
    "policies": "try policies out before they are rolled out: what becomes of which task, and what another file would change",
    "plan": "show a plan that `run --dry-run --plan` wrote, or how two of them differ",
    "register": "create or update the draft task in ClearML, whose parameters people edit in the Web UI",
    "enqueue": "clone that draft and enqueue the clone for a ClearML Agent; settings given here apply to this clone alone",
    "trigger": "start a pass now: create a Job from the installed CronJob, as kubectl does",
    "status": "show the installed CronJob: schedule, last and next run, results of the last passes, holder of the lease",
    "audit": "verify audit logs, and find in them what was deleted, when, by whom and why",
    "demo": "show a cleanup on an embedded ClearML Server",
    "sandbox": "run an embedded ClearML Server to try things out",
    "completion": "print a script that completes commands and flags in your shell",
    "version": "print the version",
}
"""Each command and its help. A command is the module of that name in this package, imported when it is called: `--help` must
not wait for libraries."""
EXAMPLES = (
    (f"{PROGRAM} run --dry-run", "see what a pass would delete"),
    (f"{PROGRAM} demo", "watch a cleanup on a server that is made up"),
)
NEEDS_SANDBOX = {"demo", "sandbox"}
"""Commands that need the extra `sandbox`."""


class Command(Protocol):
    """What a command's module has."""

    EXAMPLES: Sequence[tuple[str, str]]
    """Ways to call it, each with what it does, for its help."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own flags."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the command and return its exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    # Imports and passes allocate a lot, and no cycles: searching for cycles as often as Python does by default took a fifth of
    # a pass's time and freed nothing.
    gc.set_threshold(50_000, 20, 100)
    words = _with_command(sys.argv[1:] if arguments is None else arguments)
    with guarded() as out:
        try:
            try:
                code = _run(words)
            finally:
                out.flush()
        except KeyboardInterrupt:
            return ExitCode.SIGINT
        except OutputError:
            code = ExitCode.UNEXPECTED
        if out.error is not None and not isinstance(out.error, BrokenPipeError):  # `| head` closes a pipe on purpose
            _complain(f"the output can't be written: {out.error.strerror}")
        return code or (ExitCode.UNEXPECTED if out.error is not None else ExitCode.DONE)


def _with_command(words: Sequence[str]) -> list[str]:
    """The arguments with the command in front.

    Without any, it is a pass: that is how the CronJob calls it. On a terminal, where someone may just want to see what this is,
    it is the help.
    """
    if not words:
        return ["--help"] if _on_terminal() else [DEFAULT]
    if words[0] == "--version":
        return ["version", *words[1:]]
    is_flag_of_pass = words[0].startswith("-") and words[0] not in {"-h", "--help"}
    return [DEFAULT, *words] if is_flag_of_pass else [*words]


def _on_terminal() -> bool:
    """Whether a person types and reads. Kubernetes gives a container no terminal, unless its spec asks for one."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _run(words: Sequence[str]) -> int:
    name = words[0]
    try:
        command = _load(name) if name in COMMANDS else None
        parser, parsers = _parsers(name)
        if command is not None:
            _fill(parsers[name], command)
        elif not name.startswith("-"):
            parser.refuse(f"unknown command {name}", name, COMMANDS)
        options, unknown = parser.parse_known_args(words)
        if unknown:
            parsers[name].refuse_arguments(unknown)
        assert command is not None  # noqa: S101 -- without a command the parser prints its help and exits
        _redact_what_others_print()
        return command.run(options)
    except CleanupError as error:
        _complain(str(error))
        return error.exit_code


def _load(name: str) -> Command:
    """Import a command's module.

    Raises:
        SettingsError: the command needs an extra that is not installed.
    """
    try:
        command: Any = import_module(f"cleanup_job.cli.{name}")
    except ModuleNotFoundError as missing:
        if name not in NEEDS_SANDBOX:
            raise
        message = f"`clearml-cleanup {name}` needs `pip install 'clearml-cleanup[sandbox]'`: {missing.name} is not installed"
        raise SettingsError(message) from None
    loaded: Command = command
    return loaded


def _complain(text: str) -> None:
    from rich.console import Console  # noqa: PLC0415 -- `--help` doesn't need it

    console = Console(stderr=True, soft_wrap=True)
    console.print(f"error: {redacted(text)}", style="red", markup=False, highlight=False)


# -- arguments
class _PassParser(Parser):
    """Complains to Kubernetes, and in metrics, too: the pass ends before it began."""

    def error(self, message: str) -> NoReturn:
        from cleanup_job.cli.run import explain  # noqa: PLC0415 -- slow to import, and only mistakes need it

        explain(message, ExitCode.REFUSED)
        super().error(message)


class _SweepParser(Parser):
    """The same for a sweep."""

    def error(self, message: str) -> NoReturn:
        from cleanup_job.cli.sweep import explain  # noqa: PLC0415 -- as above

        explain(message, ExitCode.REFUSED)
        super().error(message)


def filled_parsers() -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of all commands; one has no flags if it needs an extra that is not installed."""
    parser, parsers = _parsers("")
    for name, own in parsers.items():
        with suppress(SettingsError):
            _fill(own, _load(name))
    return parser, parsers


def _parsers(name: str) -> tuple[Parser, dict[str, Parser]]:
    """The parser for a call with this command, and those of all commands, which have no flags yet."""
    starts_a_pass = name == DEFAULT or name not in COMMANDS
    kind = _PassParser if starts_a_pass else _SweepParser if name == "sweep" else Parser
    parser = kind(
        PROGRAM,
        usage="%(prog)s COMMAND [flags]",
        description="Deletes archived ClearML tasks past a threshold, with their models, artifacts and debug samples.",
        epilog=f"{examples(EXAMPLES)}\n\n{_ending()}",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", prog=PROGRAM)
    return parser, {
        known: commands.add_parser(known, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for known, text in COMMANDS.items()
    }


def _ending() -> str:
    codes = [f"  {code:<4}{code.text}" for code in ExitCode]
    return "\n".join(
        [
            f"`{PROGRAM} COMMAND --help` shows a command's flags. Without a command and",
            "a terminal, `run`.",
            "",
            "exit codes:",
            *codes,
        ]
    )


def _fill(own: Parser, command: Command) -> None:
    """Give a command's parser its flags and examples."""
    command.add_arguments(own)
    own.offer_all_help()
    if them := getattr(command, "EXAMPLES", ()):
        own.epilog = examples(them)


# -- what others print
def _redact_what_others_print() -> None:
    """Keep secrets out of what Python and libraries print, and retries out of it altogether: the job reports its own."""
    import stamina.instrumentation  # noqa: PLC0415 -- `--help` doesn't need it

    stamina.instrumentation.set_on_retry_hooks([])
    sys.excepthook = _print_traceback
    threading.excepthook = _print_traceback_of_thread
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Formatter())


def _print_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


def _print_traceback_of_thread(raised: threading.ExceptHookArgs) -> None:
    if not isinstance(raised.exc_value, OutputError):
        _print_traceback(raised.exc_type, raised.exc_value, raised.exc_traceback)


class _Formatter(logging.Formatter):
    """A library's log line without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))
