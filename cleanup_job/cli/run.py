"""``clearml-cleanup run``: one cleanup pass."""

import argparse

from cleanup_job import wiring
from cleanup_job.cli.flags import OF_A_PASS, add_flags, given
from cleanup_job.cli.streams import watched
from cleanup_job.cli.terminal import output_for, warn
from cleanup_job.errors import CleanupError
from cleanup_job.job import pod
from cleanup_job.job.pass_job import PassJob
from cleanup_job.passes.cleanup import Stop

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
    """Add a flag for each setting of a pass."""
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """Run a pass; gives the exit code."""
    flags = given(options)
    try:
        settings, origins = wiring.read_settings(flags)
    except CleanupError as error:
        explain(str(error))
        raise
    except Exception as error:
        explain(f"unexpected error: {type(error).__name__}: {error}")
        raise
    stop = Stop()
    with watched(stop):
        return PassJob(settings, origins, flags, output_for(settings), stop).run()


def explain(error: str) -> None:
    """Explain in the termination message and in an Event why no pass ran."""
    pod.explain_failure(error, warn)
