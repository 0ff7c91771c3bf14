"""``trigger`` and ``status``: the commands for an installed release, with the user's own kubeconfig."""

import argparse
import sys
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from cleanup_job.cluster.cronjob import connect_as_user, container_of, create, find, job_from
from cleanup_job.cluster.follow import Follower
from cleanup_job.cluster.status import LeaseStatus, PassResult, Status, read
from cleanup_job.report.json_lines import dumps
from cleanup_job.report.words import EXIT_CODES, counted, moment, plain
from cleanup_job.settings import overrides

INTERRUPTED = 130


def add_arguments(commands: Any) -> None:
    """Both commands and their flags."""
    texts = {
        "trigger": "start a pass now: a Job from the installed CronJob, as kubectl makes it",
        "status": "the installed CronJob: schedule, last and next run, results of the last passes, who holds the lease",
    }
    parsers = {name: commands.add_parser(name, help=text, description=text, allow_abbrev=False) for name, text in texts.items()}
    for parser in parsers.values():
        parser.add_argument("--namespace", "-n", metavar="NAME", help="namespace of the CronJob (default: the context's)")
        parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
        parser.add_argument("--cronjob", metavar="NAME", help="name of the CronJob (default: the only one in the namespace)")
    trigger_flags = parsers["trigger"]
    trigger_flags.add_argument("--dry-run", action="store_true", help="the pass only reads, and prints what it would delete")
    trigger_flags.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting for this pass alone, such as maxTasks=100"
    )
    trigger_flags.add_argument(
        "--follow", action="store_true", help="print the log until the pass ends; its exit code is this one's"
    )
    trigger_flags.add_argument("--name", metavar="NAME", help="name of the Job (default: the CronJob's, and -manual-…)")
    parsers["status"].add_argument(
        "--output", choices=("text", "json"), default="text", help="form of the answer (default: text)"
    )


def trigger(options: argparse.Namespace) -> int:
    """Make the Job, and follow it if asked to; gives the pass's exit code then."""
    given = overrides.parse([*options.set, *(["CLEANUP_DRY_RUN=true"] if options.dry_run else [])])
    cluster = connect_as_user(options.context)
    namespace = options.namespace or cluster.namespace
    cronjob = find(cluster, namespace, options.cronjob)
    made = job_from(cronjob, options.name, overrides.as_arguments(given))
    template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    overrides.check_arguments(given, container_of(template).get("args") or [])
    job = create(cluster, namespace, made)
    told = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    later = f"kubectl logs --namespace {namespace} --follow job/{job}"
    if not options.follow:
        _write(job)
        told.print(f"made in namespace {namespace}; its log: {later}")
        return 0
    told.print(f"job {job} in namespace {namespace}")
    follower = Follower(cluster, namespace, job, write=_write, tell=lambda text: told.print(plain(text)))
    try:
        return follower.run()
    except KeyboardInterrupt:
        told.print(f"The Job goes on. Its log: {later}\nTo stop it: kubectl delete --namespace {namespace} job/{job}")
        return INTERRUPTED


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def status(options: argparse.Namespace) -> int:
    """Print what is known of the release."""
    cluster = connect_as_user(options.context)
    namespace = options.namespace or cluster.namespace
    found = read(cluster, namespace, find(cluster, namespace, options.cronjob))
    if options.output == "json":
        _write(dumps(found.as_document(), indent=2))
    else:
        _print(found, Console(markup=False, highlight=False))
    return 0


def _print(found: Status, console: Console) -> None:
    zone = found.time_zone or "the cluster's time zone, normally UTC"
    facts = {
        "CronJob": f"{found.cronjob} in namespace {found.namespace}",
        "Schedule": f"{found.schedule} ({zone})" + (", suspended" if found.suspended else ""),
        "Next run": _moment(found.next_run) if found.next_run else "none: it is suspended" if found.suspended else "unknown",
        "Last scheduled": _moment(found.last_schedule),
        "Last success": _moment(found.last_success),
        "Active jobs": ", ".join(found.active) or "none",
        "Lease": "\n".join(map(_lease, found.leases)) or "none is used: nothing keeps two passes apart",
    }
    grid = Table.grid(padding=(0, 2))
    for name, text in facts.items():
        grid.add_row(name, "\n".join(map(plain, text.split("\n"))))
    console.print(grid)
    for text in found.missing:
        console.print(f"Not known: {plain(text)}", style="yellow")
    table = Table(
        Column("job", no_wrap=True, overflow="fold"), "started", "by", "result", title="Last passes", title_justify="left"
    )
    for entry in found.passes:
        table.add_row(entry.job, _moment(entry.started), "hand" if entry.manual else "schedule", plain(result(entry)))
    if found.passes:
        console.print(table)
    elif not found.missing:
        console.print("No passes are known: none ran yet, or their Jobs were deleted.")


def _lease(lease: LeaseStatus) -> str:
    if lease.state == "absent":
        return f"{lease.name} is not there: `helm upgrade` makes it, or the next pass where it may"
    if lease.holder is None:
        return f"{lease.name} is {lease.state}"
    since = f" since {_moment(lease.since)}" if lease.since else ""
    renewed = f", renewed {_moment(lease.renewed)}" if lease.renewed else ", and never expires: it was written by hand"
    dead = ": its holder seems to be dead, and the next pass takes it over" if lease.state == "expired" else ""
    return f"{lease.name} is held by {lease.holder}{since}{renewed}{dead}"


def _moment(text: str | None) -> str:
    return moment(text) if text else "never"


def result(entry: PassResult) -> str:
    """A pass in a line: how it ended, and what it did."""
    if entry.shards is not None:
        done = sum(one["exit_code"] is not None for one in entry.shards)
        failed = [str(one["shard"]) for one in entry.shards if one["exit_code"]]
        parts = f" [{done} of {len(entry.shards)} shards ended{', not well: ' + ', '.join(failed) if failed else ''}]"
        return _of_one(entry) + parts
    return _of_one(entry)


def _of_one(entry: PassResult) -> str:
    if entry.exit_code is None:
        return f"{entry.state}: {entry.reason}" if entry.reason else entry.state
    ending = f"{EXIT_CODES.get(entry.exit_code, 'unknown')} (exit code {entry.exit_code})"
    if entry.summary is None:
        return f"{ending}: {entry.said}" if entry.said else ending
    one = entry.summary
    doing = "would delete" if one.get("dry_run") else "deleted"
    text = f"{ending}: {doing} {counted(int(one.get('deleted') or 0), 'task')}, {counted(int(one.get('files') or 0), 'file')}"
    rest = [f"{name} {one[key]:,}" for name, key in (("kept", "kept"), ("failed", "failed"), ("left", "left")) if one.get(key)]
    error = f"; {one['error']}" if one.get("error") else ""
    return ", ".join([text, *rest]) + error
