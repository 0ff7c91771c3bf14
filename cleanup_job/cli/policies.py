"""``clearml-cleanup policies``: try policies out before they are rolled out. Reads only."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from cleanup_job.cli.flags import OF_A_PASS, add_flags
from cleanup_job.cli.reading import Access, access, add_output_flag, head, progress, warn_once
from cleanup_job.errors import SettingsError
from cleanup_job.passes.policy_trial import fates
from cleanup_job.passes.rules_now import RulesNow, rules_now
from cleanup_job.planning.policy_trial import Fate, PolicyDifference, Trial
from cleanup_job.planning.records import Unreadable
from cleanup_job.report import policy_trial as report
from cleanup_job.report.json_lines import dumps
from cleanup_job.settings.model import Settings
from cleanup_job.settings.policy_file import read
from cleanup_job.settings.policy_schema import json_schema

EXAMPLES = (
    ("clearml-cleanup policies test policies.yaml", "see what a pass would do with these policies"),
    ("clearml-cleanup policies test --at 2027-03-01", "see what passes will have done by then"),
    ("clearml-cleanup policies diff old.yaml new.yaml", "see the tasks whose fate changes"),
    ("clearml-cleanup policies schema > policies.schema.json", "write the schema for an editor"),
)
"""For the help: ways to call it, each with what it does."""
_FILES = {"test": (0, 1), "diff": (2, 2), "schema": (0, 0)}
"""How many files each action takes, at least and at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, with which files, and a flag for each setting of a pass."""
    parser.add_argument(
        "action", choices=tuple(_FILES), help="try a file out, compare two files, or print the JSON schema of such files"
    )
    help_of_files = "files with policies; for test, that of CLEANUP_POLICIES by default; for diff, the older one first"
    parser.add_argument("files", metavar="FILE", nargs="*", help=help_of_files)
    parser.add_argument(
        "--at",
        metavar="DATE",
        help="until when passes do their work: 2027-03-01, its beginning in UTC, or a time as in ISO 8601",
    )
    parser.add_argument(
        "--task", dest="explained", action="append", default=[], metavar="ID", help="for test: explain this task with the file"
    )
    parser.add_argument("--list", action="store_true", help="print every task, and not only the first ones of each kind")
    add_output_flag(parser)
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """Print the outcome; the exit code says nothing of it."""
    _check(options)
    if options.action == "schema":
        print(dumps(json_schema(), indent=2), flush=True)
        return 0
    if options.files:
        options.policies = options.files[0]
    found = access(options)
    if found.settings.policies.document is None:
        raise SettingsError("policies test: no file was given. Name one, or set CLEANUP_POLICIES to the path of one.")
    if options.explained:
        from cleanup_job.cli.explain import explain  # noqa: PLC0415 -- it needs much that the rest here does not

        return explain(found, options.explained, options.output)
    at = _moment(options.at)
    return _test(options, found, at) if options.action == "test" else _diff(options, found, at)


def _check(options: argparse.Namespace) -> None:
    least, most = _FILES[options.action]
    if not least <= len(options.files) <= most:
        wanted = "2 files, the older one first" if least else "1 file at most" if most else "no file"
        raise SettingsError(f"policies {options.action}: {len(options.files)} files were given, and it takes {wanted}.")
    if options.explained and options.action != "test":
        raise SettingsError(f"policies {options.action}: --task is for `policies test` alone.")
    if options.explained and (options.at or options.list):
        raise SettingsError(
            "policies test --task: it shows all stages of a task, so --at and --list have no effect; omit them."
        )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"--at {text}: not a date; write 2027-03-01, or 2027-03-01T06:00"
        raise SettingsError(message) from None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


# -- one file
def _test(options: argparse.Namespace, found: Access, at: datetime | None) -> int:
    document, console = found.settings.policies.document, _console()
    order = [policy.name for policy in document.policies] if document is not None else []
    with _progress(options) as shown:
        known = rules_now(found.parts.server, found.settings, warn_once())
        trial = Trial(known.now, _later(at, known.now))
        for (fate,) in _each(found, [known], trial, shown):
            trial.add(fate)
            if options.list:
                about = report.fate_document(fate, trial, known.projects)
                _print(options, console, report.list_line(fate, trial, known.projects), about)
    if options.output == "json":
        _print_document(
            options, {"server": found.settings.connection.api_host, **report.document(trial, order, known.projects)}
        )
        return 0
    console.print(head(found))
    report.render(trial, order, known.projects, console)
    return 0


def _later(at: datetime | None, now: datetime) -> datetime:
    if at is not None and at < now:
        raise SettingsError(f"--at {at:%Y-%m-%d %H:%M} UTC: that is past; give a time to come.")
    return at or now


# -- two files
def _diff(options: argparse.Namespace, found: Access, at: datetime | None) -> int:
    console, warn = _console(), warn_once()
    with _progress(options) as shown:
        old = rules_now(found.parts.server, found.settings, warn)
        new = rules_now(found.parts.server, _with_policies(found.settings, options.files[1]), warn, at=old.now)
        difference = PolicyDifference(old.now, None if at is None else _later(at, old.now))
        for before, after in _each(found, [old, new], difference, shown):
            differing = difference.add(before, after)
            if differing and options.list:
                about = report.changed_document(after, differing, new.projects)
                _print(options, console, report.difference_line(after, differing, new.projects), about)
    if options.output == "json":
        document = report.difference_document(difference, new.projects)
        _print_document(options, {"server": found.settings.connection.api_host, **document})
        return 0
    console.print(head(found))
    report.render_difference(difference, new.projects, console)
    return 0


def _with_policies(settings: Settings, path: str) -> Settings:
    try:
        read(Path(path))
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    return settings.replaced(policies=path)


# -- both
def _each(
    found: Access, known: Sequence[RulesNow], sums: Trial | PolicyDifference, shown: Callable[[str], None]
) -> Iterator[Sequence[Fate]]:
    """What becomes of each task that can be read, by each of the rules; those that can't are counted."""
    for one in fates(found.parts.server, known, shown):
        if isinstance(one, Unreadable):
            sums.unreadable += 1
        else:
            yield one


def _progress(options: argparse.Namespace) -> AbstractContextManager[Callable[[str], None]]:
    """What shows how far the reading is; a list shows that by itself."""
    return nullcontext(lambda _: None) if options.list else progress("Reading all tasks")


def _console() -> Console:
    return Console(markup=False, highlight=False)


def _print(options: argparse.Namespace, console: Console, text: Text, document: dict[str, Any]) -> None:
    """Print a task of a list: a line of text, or of JSON."""
    if options.output == "json":
        print(dumps({"line": "task", **document}), flush=True)
    else:
        console.print(text, soft_wrap=True)


def _print_document(options: argparse.Namespace, document: dict[str, Any]) -> None:
    """Print the sums: one document, or with a list its last line."""
    print(dumps({"line": "sums", **document}) if options.list else dumps(document, indent=2), flush=True)
