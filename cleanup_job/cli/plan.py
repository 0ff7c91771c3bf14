"""``clearml-cleanup plan``: read the plans that ``run --dry-run --plan`` writes."""

import argparse
from pathlib import Path

from rich.console import Console

from cleanup_job.errors import SettingsError
from cleanup_job.report import plan_shown
from cleanup_job.report.json_lines import dumps

EXAMPLES = (
    ("clearml-cleanup plan show plan.jsonl", "check that a plan is whole, and see what is in it"),
    ("clearml-cleanup plan diff monday.jsonl tuesday.jsonl", "see which tasks came, went and changed"),
)
"""For the help: ways to call it, each with what it does."""
_FILES = {"show": 1, "diff": 2}
"""The files that each action takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, with which files."""
    parser.add_argument("action", choices=tuple(_FILES), help="show one plan, or the difference between two")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="plans; for diff, the older one first")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="output format (default: text)")


def run(options: argparse.Namespace) -> int:
    """Print a plan or a difference. The exit code says nothing of whether there is one: JSON has it as ``same``."""
    wanted = _FILES[options.action]
    if len(options.files) != wanted:
        files = " ".join(f"{name}.jsonl" for name in ("monday", "tuesday")[:wanted])
        raise SettingsError(
            f"plan {options.action}: {len(options.files)} files were given, and it takes {wanted}. Write "
            f"`clearml-cleanup plan {options.action} {files}`."
        )
    console = Console(markup=False, highlight=False)
    first, *others = options.files
    if not others:
        if options.output == "json":
            print(dumps(plan_shown.as_document(first), indent=2), flush=True)
        else:
            plan_shown.show(first, console)
        return 0
    found = plan_shown.compare(first, others[0])
    if options.output == "json":
        print(dumps(plan_shown.difference_document(found), indent=2), flush=True)
    else:
        plan_shown.print_difference(found, console)
    return 0
