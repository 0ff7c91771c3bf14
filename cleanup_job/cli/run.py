"""``clearml-cleanup run``: one cleanup pass."""

import argparse
from collections.abc import Mapping
from typing import Any

from cleanup_job import wiring
from cleanup_job.cli.chosen import Asked, add_chosen_flags, asked_of
from cleanup_job.cli.flags import OF_A_PASS, add_flags, given
from cleanup_job.cli.streams import watched
from cleanup_job.cli.terminal import is_watched, output_for, say, warn
from cleanup_job.errors import CleanupError
from cleanup_job.exit_codes import ExitCode
from cleanup_job.job import messages, metrics, pod
from cleanup_job.job.pass_job import PassJob
from cleanup_job.passes.stop import Stop
from cleanup_job.settings.model import Settings

EXAMPLES = (
    ("clearml-cleanup run --dry-run", "see what would be deleted"),
    ("clearml-cleanup run --dry-run --force-delete --projects vision", "the same for tasks in any status, in one project"),
    (
        "clearml-cleanup run --delete-threshold-days 90 --report report.html",
        "delete drafts older than 90 days, and write a report",
    ),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a pass, those that choose tasks, and those for who watches it."""
    add_chosen_flags(parser.add_argument_group("Chosen tasks"))
    group = parser.add_argument_group("On a terminal")
    group.add_argument("-y", "--yes", action="store_true", help="delete without planning and asking first")
    group.add_argument(
        "--list",
        dest="every_task",
        action="store_true",
        help="show each task that is deleted, or in a dry run would be, on a line of its own",
    )
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """Run a pass; gives the exit code."""
    flags = given(options)
    try:
        settings, origins = wiring.read_settings(flags)
        asked = asked_of(options, settings)
    except CleanupError as error:
        explain(str(error), error.exit_code, flags)
        raise
    except Exception as error:
        explain(f"unexpected error: {type(error).__name__}: {error}", ExitCode.UNEXPECTED, flags)
        raise
    if is_watched(settings):
        return _on_terminal(settings, origins, flags, options, asked)
    stop = Stop()
    with watched(stop):
        output = output_for(settings, every_task=options.every_task)
        if asked.text:
            output.plan(asked.text)
        return PassJob(settings, origins, flags, output, stop, chosen=asked.chosen, plan=asked.plan).run()


def _on_terminal(
    settings: Settings, origins: dict[str, str], flags: Mapping[str, Any], options: argparse.Namespace, asked: Asked
) -> int:
    from cleanup_job.cli.approval import AtTerminal  # noqa: PLC0415 -- rich is slow to import, and not needed for JSON

    if asked.text:
        say(asked.text)
    return AtTerminal(
        settings=settings,
        origins=origins,
        flags=flags,
        yes=options.yes,
        every_task=options.every_task,
        chosen=asked.chosen,
        plan=asked.plan,
    ).run()


def explain(error: str, code: ExitCode, flags: Mapping[str, Any] | None = None) -> None:
    """Explain in the termination message, an Event, metrics and messages why no pass ran."""
    pod.explain_failure(error, warn)
    metrics.send_failure(code, warn, flags=flags)
    messages.send_failure(error, code, warn, flags=flags)
