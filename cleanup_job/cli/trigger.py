"""``clearml-cleanup trigger``: start a pass of an installed release now."""

import argparse
import sys

from rich.console import Console

from cleanup_job.cli.chosen import add_chosen_flags, arguments_of
from cleanup_job.cli.installed_release import add_release_flags, release_of
from cleanup_job.cluster.cronjob import container_of, create, job_from
from cleanup_job.cluster.follow import Follower
from cleanup_job.exit_codes import ExitCode
from cleanup_job.report.formatting import plain
from cleanup_job.settings import overrides

EXAMPLES = (
    ("clearml-cleanup trigger --dry-run --follow", "see what the installed release would delete"),
    ("clearml-cleanup trigger --set maxTasks=100 --set workers=2 --follow", "a small pass"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name the release, and those for this pass alone."""
    add_release_flags(parser)
    parser.add_argument("--dry-run", action="store_true", help="only print what the pass would delete")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting for this pass alone: --set maxTasks=100",
    )
    add_chosen_flags(parser.add_argument_group("chosen tasks; files are in the pod"))
    parser.add_argument("--follow", action="store_true", help="print the log until the pass ends, and exit with its exit code")
    parser.add_argument("--name", metavar="NAME", help="name of the Job (default: the CronJob's name and -manual-…)")


def run(options: argparse.Namespace) -> int:
    """Create the Job; with --follow, print its log and return its exit code."""
    given = overrides.parse([*options.set, *(["CLEANUP_DRY_RUN=true"] if options.dry_run else [])])
    cluster, namespace, cronjob = release_of(options)
    made = job_from(cronjob, options.name, [*overrides.as_arguments(given), *arguments_of(options)])
    template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    overrides.check_arguments(given, container_of(template).get("args") or [])
    job = create(cluster, namespace, made)
    messages = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    later = f"kubectl logs --namespace {namespace} --follow job/{job}"
    if not options.follow:
        _write(job)
        messages.print(f"created in namespace {namespace}; to see its log: {later}")
        return 0
    messages.print(f"job {job} in namespace {namespace}")
    follower = Follower(cluster, namespace, job, write=_write, notify=lambda text: messages.print(plain(text)))
    try:
        return follower.run()
    except KeyboardInterrupt:
        messages.print(
            f"The Job continues. To see its log: {later}\nTo end it: kubectl delete --namespace {namespace} job/{job}"
        )
        return ExitCode.SIGINT


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
