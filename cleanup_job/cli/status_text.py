"""What is known of an installed release, as text that fits the terminal."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from cleanup_job.cluster.lease_status import LeaseStatus
from cleanup_job.cluster.pass_result import PassResult
from cleanup_job.cluster.status import Status
from cleanup_job.cluster.week import Week
from cleanup_job.exit_codes import ExitCode, meaning
from cleanup_job.report.formatting import counted, middle, moment, plain, size

_NAME = 44
"""Characters of a name beside which nothing is lost on 80 columns; of a longer one, the middle is left out."""


def rendered(found: Status, console: Console) -> RenderableType:
    """All of it; no line is wider than the console."""
    shown: list[RenderableType] = [_facts(found, console)]
    shown += [Text(f"Not known: {plain(text)}", style="yellow", overflow="fold") for text in found.missing]
    if found.passes:
        shown += [Text(), Text("Last passes", style="bold"), *(_pass(entry, console) for entry in found.passes)]
    elif not found.missing:
        shown.append(Text("No passes are known: none ran yet, or their Jobs were deleted."))
    return Group(*shown)


def short(name: str, console: Console) -> str:
    """A name of which the middle is left out where it would take more than half of a line."""
    return middle(plain(name), min(_NAME, max(8, console.width - 36)))


# -- the release
def _facts(found: Status, console: Console) -> Table:
    grid = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, text, style in _rows(found, console):
        grid.add_row(name, Text("\n".join(map(plain, text.split("\n"))), style=style, overflow="fold"))
    return grid


def _rows(found: Status, console: Console) -> Iterator[tuple[str, str, str]]:
    """The name of each fact, its text and its style."""
    zone = found.time_zone or "the cluster's time zone, normally UTC"
    yield "CronJob", f"{short(found.cronjob, console)} in namespace {short(found.namespace, console)}", ""
    yield "Schedule", f"{found.schedule} ({zone})" + (", suspended" if found.suspended else ""), ""
    yield "Next run", _next_run(found), ""
    yield "Last scheduled", _moment(found.last_schedule), ""
    yield "Last success", _moment(found.last_success), ""
    if found.missed:
        yield "Missed", _missed(found), "yellow"
    yield "Active jobs", ", ".join(short(name, console) for name in found.active) or "none", ""
    yield "Lease", "\n".join(_lease(entry, found, console) for entry in found.leases) or _NO_LEASE, ""
    yield "Last 7 days", _week(found.week), ""


_NO_LEASE = "not used, so two passes can run at the same time"


def _next_run(found: Status) -> str:
    if found.next_run:
        return _moment(found.next_run)
    return "none (suspended)" if found.suspended else "unknown"


def _missed(found: Status) -> str:
    missed = found.missed
    assert missed is not None  # noqa: S101 -- for the type checker
    return f"{_moment(missed.at)}: the schedule started no Job. What can be the reason: {'; or '.join(missed.causes)}"


def _lease(lease: LeaseStatus, found: Status, console: Console) -> str:
    name = short(lease.name, console)
    if lease.state == "absent":
        return f"{name} does not exist: `helm upgrade` creates it, or with lease.create=true the next pass"
    if lease.holder is None:
        return f"{name} is {lease.state}"
    held = f"{name} is held by {short(lease.holder, console)}"
    if lease.holder in found.ended_holders:
        return f"{held}, which ended: {_taken_over(lease)}"
    since = f" since {_moment(lease.since)}" if lease.since else ""
    renewed = f", renewed {_moment(lease.renewed)}" if lease.renewed else ", and never expires: it was created by hand"
    dead = ": its holder seems to be gone, and the next pass will take it over" if lease.state == "expired" else ""
    return f"{held}{since}{renewed}{dead}"


def _taken_over(lease: LeaseStatus) -> str:
    if lease.state == "expired":
        return "the next pass will take it over"
    return f"it expires at {_moment(lease.expires)}" if lease.expires else "it never expires, and has to be freed by hand"


def _week(week: Week) -> str:
    if not week.passes:
        return "no pass is known"
    rest = [f"{week.failed} failed"] if week.failed else []
    rest += [counted(week.dry_runs, "dry run")] if week.dry_runs else []
    passes = "1 pass" if week.passes == 1 else f"{week.passes} passes"
    unknown = "" if week.complete else ". Passes whose Jobs were deleted are not counted (history limits of the CronJob)"
    did = ", ".join([f"deleted {_amount(week.tasks, week.files, week.bytes)}", *_by_policies(asdict(week))])
    return f"{', '.join([passes, *rest])}: {did}{unknown}"


def _amount(tasks: int, files: int, known: int) -> str:
    return f"{counted(tasks, 'task')}, {counted(files, 'file')}" + (f" ({size(known)})" if known else "")


def _moment(text: str | None) -> str:
    return moment(text) if text else "never"


# -- passes
def _pass(entry: PassResult, console: Console) -> RenderableType:
    """A pass in one line, and below it what is known of it."""
    by = "by hand" if entry.manual else "scheduled"
    head = Text(f"{_moment(entry.started)}  {short(entry.job, console)}  {by}", overflow="fold")
    style = "red" if entry.state == "failed" else "cyan" if entry.live else ""
    return Group(head, Padding(Text(plain(result(entry)), style=style, overflow="fold"), (0, 0, 0, 2), expand=False))


def result(entry: PassResult) -> str:
    """How a pass ended and what it did, or how far it is, in one line."""
    text = _live(entry) if entry.live else _ended(entry)
    if entry.shards is None:
        return text
    done = sum(one["exit_code"] is not None for one in entry.shards)
    failed = [str(one["shard"]) for one in entry.shards if one["exit_code"]]
    return f"{text} [{done} of {len(entry.shards)} shards ended{', failed: ' + ', '.join(failed) if failed else ''}]"


def _live(entry: PassResult) -> str:
    if entry.state == "suspended":
        return "suspended (spec.suspend of the Job): it starts no pod"
    doing = "running" if entry.state == "running" else "waiting for its pod to start"
    if entry.state == "waiting" and entry.tries_before and entry.tries_before[-1]["pod"] == entry.pod:
        doing = f"waiting for its next try: {entry.tries} of {entry.max_tries} ended"
    elif entry.tries > 1:
        doing += f", {_which_try(entry)}"
    before = [f"the try before: {_end_of(entry.tries_before[-1])}"] if entry.tries_before else []
    return "; ".join([doing, *entry.obstacles, *before])


def _ended(entry: PassResult) -> str:
    if entry.skipped:
        return f"{_run_before(entry.run_before)}; {entry.said}" if entry.run_before else entry.said
    text = entry.explanation or _by_itself(entry)
    tried = f"; {_which_try(entry)}" if entry.tries > 1 else ""
    if entry.summary is None:
        return f"{text}: {entry.said}{tried}" if entry.said else text + tried
    did = _did(entry.summary)
    error = f"; {entry.summary['error']}" if entry.summary.get("error") else ""
    return f"{text}{'; ' if entry.explanation else ': '}{did}{error}{tried}"


def _run_before(run: dict[str, Any]) -> str:
    """What became of the run that an agent was given before."""
    reason = f": {run['reason']}" if run.get("reason") else ""
    return f"{meaning(ExitCode.RUN_BEFORE_NOT_DONE)}: {run.get('run')} is {run.get('status')} in ClearML{reason}"


def _by_itself(entry: PassResult) -> str:
    if entry.exit_code is not None:
        return f"{meaning(entry.exit_code)} (exit code {entry.exit_code})"
    gone = "" if entry.pod else "; its pods are gone, and what they said"
    return ": ".join(filter(None, (entry.state, entry.reason, entry.message))) + gone


def _which_try(entry: PassResult) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(entry.tries % 10 if entry.tries % 100 not in {11, 12, 13} else 0, "th")
    of = f" of {entry.max_tries} tries" if entry.max_tries else " try"
    return f"{entry.tries}{suffix}{of}"


def _end_of(one: dict[str, Any]) -> str:
    if one["explanation"]:
        return str(one["explanation"])
    return (
        f"{meaning(one['exit_code'])} (exit code {one['exit_code']})"
        if one["exit_code"] is not None
        else "its end is not known"
    )


def _did(one: dict[str, Any]) -> str:
    doing = "would delete" if one.get("dry_run") else "deleted"
    amount = _amount(*(int(one.get(name) or 0) for name in ("deleted", "files", "bytes")))
    rest = [f"{one[key]:,} {key}" for key in ("kept", "failed") if one.get(key)]
    return ", ".join([f"{doing} {amount}", *_by_policies(one), *rest, *_left(one)])


def _by_policies(one: dict[str, Any]) -> Iterator[str]:
    """What policies did apart from deletion, or in a dry run would do."""
    verbs = ("archive", "slim") if one.get("dry_run") else ("archived", "slimmed")
    archived, slimmed, freed = (int(one.get(name) or 0) for name in ("archived", "slimmed", "slimmed_bytes"))
    if archived:
        yield f"{verbs[0]} {counted(archived, 'task')}"
    if slimmed:
        yield f"{verbs[1]} {counted(slimmed, 'task')}" + (f" ({size(freed)})" if freed else "")
    if noticed := int(one.get("noticed") or 0):
        yield f"{'give' if one.get('dry_run') else 'gave'} notice to {counted(noticed, 'task')}"


def _left(summary: dict[str, Any]) -> Iterator[str]:
    """How many tasks are left, if any are."""
    number, at_least = int(summary.get("left") or 0), summary.get("left_at_least")
    if number:
        yield f"at least {number:,} left" if at_least else f"{number:,} left"
    elif at_least:
        yield "more may be left"
