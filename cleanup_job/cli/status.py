"""``clearml-cleanup status``: what is known of an installed release."""

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from cleanup_job.cli.installed_release import add_release_flags, release_of
from cleanup_job.cluster.lease_status import LeaseStatus
from cleanup_job.cluster.status import PassResult, Status, read
from cleanup_job.exit_codes import meaning
from cleanup_job.report.formatting import counted, moment, plain
from cleanup_job.report.json_lines import dumps

EXAMPLES = (
    ("clearml-cleanup status --namespace clearml", "the release in this namespace"),
    ("clearml-cleanup status --output json", "the same for programs"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name the release, and the form of the output."""
    add_release_flags(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help="output format (default: text)")


def run(options: argparse.Namespace) -> int:
    """Print what is known of the release."""
    found = read(*release_of(options))
    if options.output == "json":
        print(dumps(found.as_document(), indent=2), flush=True)
    else:
        _print(found, Console(markup=False, highlight=False))
    return 0


def _print(found: Status, console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, text in _facts(found).items():
        grid.add_row(name, "\n".join(map(plain, text.split("\n"))))
    console.print(grid)
    for text in found.missing:
        console.print(f"Not known: {plain(text)}", style="yellow")
    if found.passes:
        console.print(_table(found.passes))
    elif not found.missing:
        console.print("No passes are known: none ran yet, or their Jobs were deleted.")


def _facts(found: Status) -> dict[str, str]:
    zone = found.time_zone or "the cluster's time zone, normally UTC"
    return {
        "CronJob": f"{found.cronjob} in namespace {found.namespace}",
        "Schedule": f"{found.schedule} ({zone})" + (", suspended" if found.suspended else ""),
        "Next run": _next_run(found),
        "Last scheduled": _moment(found.last_schedule),
        "Last success": _moment(found.last_success),
        "Active jobs": ", ".join(found.active) or "none",
        "Lease": "\n".join(map(_lease, found.leases)) or "not used, so two passes can run at the same time",
    }


def _next_run(found: Status) -> str:
    if found.next_run:
        return _moment(found.next_run)
    return "none (suspended)" if found.suspended else "unknown"


def _table(passes: Iterable[PassResult]) -> Table:
    table = Table(
        Column("job", no_wrap=True, overflow="fold"), "started", "by", "result", title="Last passes", title_justify="left"
    )
    for entry in passes:
        table.add_row(entry.job, _moment(entry.started), "hand" if entry.manual else "schedule", plain(result(entry)))
    return table


def _lease(lease: LeaseStatus) -> str:
    if lease.state == "absent":
        return f"{lease.name} does not exist: `helm upgrade` creates it, or the next pass if it may"
    if lease.holder is None:
        return f"{lease.name} is {lease.state}"
    since = f" since {_moment(lease.since)}" if lease.since else ""
    renewed = f", renewed {_moment(lease.renewed)}" if lease.renewed else ", and never expires: it was created by hand"
    dead = ": its holder seems to be gone, and the next pass will take it over" if lease.state == "expired" else ""
    return f"{lease.name} is held by {lease.holder}{since}{renewed}{dead}"


def _moment(text: str | None) -> str:
    return moment(text) if text else "never"


def result(entry: PassResult) -> str:
    """How a pass ended and what it did, in one line."""
    if entry.shards is not None:
        done = sum(one["exit_code"] is not None for one in entry.shards)
        failed = [str(one["shard"]) for one in entry.shards if one["exit_code"]]
        parts = f" [{done} of {len(entry.shards)} shards ended{', failed: ' + ', '.join(failed) if failed else ''}]"
        return _of_one(entry) + parts
    return _of_one(entry)


def _of_one(entry: PassResult) -> str:
    if entry.exit_code is None:
        return f"{entry.state}: {entry.reason}" if entry.reason else entry.state
    ending = f"{meaning(entry.exit_code)} (exit code {entry.exit_code})"
    if entry.summary is None:
        return f"{ending}: {entry.said}" if entry.said else ending
    one = entry.summary
    doing = "would delete" if one.get("dry_run") else "deleted"
    text = f"{ending}: {doing} {counted(int(one.get('deleted') or 0), 'task')}, {counted(int(one.get('files') or 0), 'file')}"
    rest = [f"{one[key]:,} {key}" for key in ("kept", "failed") if one.get(key)]
    error = f"; {one['error']}" if one.get("error") else ""
    return ", ".join([text, *rest, *_left(one)]) + error


def _left(summary: dict[str, Any]) -> Iterator[str]:
    """How many tasks are left, if any are."""
    number, at_least = int(summary.get("left") or 0), summary.get("left_at_least")
    if number:
        yield f"at least {number:,} left" if at_least else f"{number:,} left"
    elif at_least:
        yield "more may be left"
