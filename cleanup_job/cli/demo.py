"""``clearml-cleanup demo``: a whole cleanup on an embedded ClearML Server, with what was there before and after.

The passes are processes of their own, called as a user would call them.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from rich.console import Console
from rich.table import Table

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.seed import seeded_world

THRESHOLD_DAYS = 30
_TASK = re.compile(r"\.([0-9a-f]{32})(?:/|$)")


@dataclass(frozen=True, slots=True)
class Count:
    """What stands on a server."""

    tasks: int
    past: int
    """Archived, of this user's company, visible, and past the threshold."""
    models: int
    files: int
    orphans: int
    """Files in the folder of a task that is gone, and that no model needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo's flags."""
    parser.add_argument("--tasks", type=int, default=3000, help="tasks on the embedded server (default: 3000)")
    parser.add_argument("--seed", type=int, default=7, help="number that the world is made from (default: 7)")
    parser.add_argument("--report", type=Path, default=Path("demo-report.html"), help="where the HTML report goes")


def run(options: argparse.Namespace) -> int:
    """Show it; gives 0 if the second pass found nothing and no file was left without a record."""
    console = Console()
    now = datetime.now(UTC)
    console.rule("An embedded ClearML Server")
    with Sandbox(seeded_world(options.seed, options.tasks, now)) as sandbox:
        before = _count(sandbox, now)
        console.print(
            f"{before.tasks} tasks, {before.past} of them archived and older than {THRESHOLD_DAYS} days; "
            f"{before.models} models and {before.files} files at {sandbox.api_url}"
        )
        codes = [_pass(console, sandbox, "What a pass would delete", "--dry-run")]
        planned = _count(sandbox, now)
        codes.append(_pass(console, sandbox, "The pass", "--report", str(options.report)))
        after = _count(sandbox, now)
        sent = len(sandbox.requests)
        codes.append(_pass(console, sandbox, "A second pass finds nothing"))
        again = _count(sandbox, now)
    console.rule("Before and after")
    table = Table("", "before", "after the dry run", "after the pass", "after a second")
    for title, name in (
        ("tasks", "tasks"),
        (f"archived, past {THRESHOLD_DAYS} days", "past"),
        ("models", "models"),
        ("files", "files"),
        ("files without a record", "orphans"),
    ):
        table.add_row(title, *(str(getattr(count, name)) for count in (before, planned, after, again)))
    console.print(table)
    if after.past:
        console.print(f"The {after.past} that are left stay for the reasons named above.")
    console.print(f"{sent} requests in the dry run and the pass together. The report is in {options.report}.")
    good = not any(codes) and before == planned and after == again and after.orphans == before.orphans
    console.print("It works." if good else "Something went wrong: see above.", style="green" if good else "red")
    return 0 if good else 1


def _pass(console: Console, sandbox: Sandbox, title: str, *flags: str) -> int:
    words = ["run", "--force-delete", *flags]
    console.rule(title)
    console.print(f"$ clearml-cleanup {' '.join(words)}", style="bold", highlight=False)
    others = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "CLEANUP_"))}
    command = [sys.executable, "-m", "cleanup_job", *words, "--log-format", "text", "--workers", "8"]
    sys.stdout.flush()
    return subprocess.run(command, env=others | sandbox.environment(), check=False).returncode  # noqa: S603 -- ourselves


def _count(sandbox: Sandbox, now: datetime) -> Count:
    store = sandbox.store
    tasks = list(store.tasks.values())
    there = {task["id"] for task in tasks}
    needed = {unquote(str(model.get("uri"))).partition(sandbox.files_url + "/")[2] for model in store.models.values()}
    files = sandbox.state()["files"]
    return Count(
        tasks=len(tasks),
        past=sum(_is_past(task, now) for task in tasks),
        models=len(store.models),
        files=len(files),
        orphans=sum(bool(set(_TASK.findall(path)) - there) and path not in needed for path in files),
    )


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
