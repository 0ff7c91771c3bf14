"""``clearml-cleanup demo``: a whole cleanup on an embedded ClearML Server, told in seven steps.

The commands are processes of their own, called as a user would call them.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from rich.console import Console
from rich.table import Table

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.seed import seeded_world

THRESHOLD_DAYS = 30
FORCE = ("--force-delete",)
STEPS = 7
_TASK = re.compile(r"\.([0-9a-f]{32})(?:/|$)")


@dataclass(frozen=True, slots=True)
class Count:
    """What is on a server."""

    tasks: int
    archived: int
    past: int
    """Archived, of this user's company, visible, and past the threshold."""
    models: int
    files: int
    orphans: int
    """Files in the folder of a task that is gone, and that no model needs."""


EXAMPLES = (
    ("clearml-cleanup demo", "five steps with 3,000 tasks, in a few seconds"),
    ("clearml-cleanup demo --tasks 50000 --report /tmp/report.html", "a larger server, and a report elsewhere"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo's flags."""
    parser.add_argument("--tasks", type=int, default=3000, help="tasks on the embedded server (default: 3000)")
    parser.add_argument("--seed", type=int, default=7, help="number that the world is made from (default: 7)")
    parser.add_argument("--report", type=Path, default=Path("demo-report.html"), help="where the HTML report is written")
    parser.add_argument(
        "--audit", type=Path, default=Path("demo-audit"), help="the folder of the audit log (default: demo-audit)"
    )


def run(options: argparse.Namespace) -> int:
    """Show it; gives 0 if the second pass found nothing and no file was left without a record."""
    console, audit = Console(highlight=False), str(options.audit.resolve())
    options.audit.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    _step(console, 1, "A ClearML Server that has grown for a year")
    console.print(
        f"Making {options.tasks:,} tasks on an embedded server. It lives in this process; no other server is touched."
    )
    with Sandbox(seeded_world(options.seed, options.tasks, now)) as sandbox:
        play = partial(_play, console, sandbox)
        before, past = _count(sandbox, now), _past(sandbox, now)
        console.print(_on_the_server(before))
        _step(console, 2, "What takes the space, as far as records know it")
        codes = [play("usage")]
        _step(console, 3, "A dry run: what would be deleted, and what is kept for which reason")
        codes.append(play("run", *FORCE, "--dry-run"))
        planned = _count(sandbox, now)
        _step(console, 4, "The pass: files first, then the records whose files are gone")
        codes.append(play("run", *FORCE, "--yes", "--report", str(options.report), "--audit", audit))
        after, kept = _count(sandbox, now), _past(sandbox, now)
        sent = len(sandbox.requests)
        _step(console, 5, "A second pass finds nothing more to delete")
        codes.append(play("run", *FORCE, "--yes", brief=True))
        again = _count(sandbox, now)
        _step(console, 6, "Why is this task still there? When was that one deleted, and why?")
        codes += [play("explain", task, *FORCE) for task in kept[:1]]
        codes += [play("audit", audit, "--task", task) for task in [one for one in past if one not in kept][:1]]
    _step(console, 7, "Before and after")
    console.print(_comparison(before, planned, after, again))
    good = not any(codes) and before == planned and after == again and after.orphans == before.orphans
    if not good:
        console.print("Something went wrong: see above.", style="red")
        return 1
    console.print(
        f"The dry run changed nothing. The pass deleted {before.past - after.past:,} tasks with {sent:,} requests in all."
    )
    if after.past:
        console.print(f"{after.past:,} archived tasks were kept, for the reasons above.")
    console.print(f"Report: {options.report.resolve()} (open it in a browser)", style="green", soft_wrap=True)
    console.print("On your own server, start with: clearml-cleanup run --dry-run", style="green")
    return 0


def _step(console: Console, number: int, title: str) -> None:
    console.print()
    console.rule(f"{number}/{STEPS} {title}")


def _on_the_server(count: Count) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(justify="right")
    for number, what in (
        (count.tasks - count.archived, "tasks in use: never touched"),
        (count.archived - count.past, f"archived tasks that changed in the last {THRESHOLD_DAYS} days, or are not ours: kept"),
        (count.past, f"archived tasks older than {THRESHOLD_DAYS} days: what this is about"),
        (count.models, "models"),
        (count.files, "files on the fileserver"),
    ):
        table.add_row(f"{number:,}", what)
    return table


def _comparison(before: Count, planned: Count, after: Count, again: Count) -> Table:
    table = Table("", "before", "dry run", "pass", "second pass")
    for title, name in (
        ("tasks", "tasks"),
        (f"archived, older than {THRESHOLD_DAYS} days", "past"),
        ("models", "models"),
        ("files", "files"),
        ("files without a record", "orphans"),
    ):
        table.add_row(title, *(f"{getattr(count, name):,}" for count in (before, planned, after, again)))
    return table


def _play(console: Console, sandbox: Sandbox, *words: str, brief: bool = False) -> int:
    """Run a command, and give its exit code. Brief: without the tables and lists of a pass that ends well."""
    console.print(f"$ clearml-cleanup {' '.join(words)}", style="bold", soft_wrap=True)
    sys.stdout.flush()
    others = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "CLEANUP_"))}
    form = ["--log-format", "text", "--workers", "8"] if words[0] == "run" else []
    done = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "cleanup_job", *words, *form],
        env=others | sandbox.environment(),
        check=False,
        stdout=subprocess.PIPE if brief else None,
        text=True,
    )
    if brief:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        sums = [number for number, line in enumerate(lines) if line.startswith("Deleted ")]
        sys.stdout.write("\n".join(lines[sums[-1] :] if sums and not done.returncode else lines) + "\n")
    return done.returncode


def _count(sandbox: Sandbox, now: datetime) -> Count:
    store = sandbox.store
    tasks = list(store.tasks.values())
    there = {task["id"] for task in tasks}
    needed = {unquote(str(model.get("uri"))).partition(sandbox.files_url + "/")[2] for model in store.models.values()}
    files = sandbox.state()["files"]
    return Count(
        tasks=len(tasks),
        archived=sum("archived" in (task.get("system_tags") or ()) for task in tasks),
        past=len(_past(sandbox, now)),
        models=len(store.models),
        files=len(files),
        orphans=sum(bool(set(_TASK.findall(path)) - there) and path not in needed for path in files),
    )


def _past(sandbox: Sandbox, now: datetime) -> list[str]:
    """The ids of the tasks that this is about."""
    return [task["id"] for task in sandbox.store.tasks.values() if _is_past(task, now)]


def _is_past(task: dict[str, object], now: datetime) -> bool:
    tags = task.get("system_tags")
    active = task.get("status") in {"in_progress", "queued"}
    since = task.get("last_update") if active else task.get("status_changed") or task.get("last_update")
    return (
        isinstance(tags, list)
        and "archived" in tags
        and "hidden" not in tags
        and bool(task.get("company"))
        and datetime.fromisoformat(str(since or task["created"])) < now - timedelta(days=THRESHOLD_DAYS)
    )
