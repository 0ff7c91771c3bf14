"""``clearml-cleanup forecast``: what will be old enough to be deleted on which day."""

import argparse

from rich.console import Console

from cleanup_job.cli.flags import OF_A_PASS, add_flags
from cleanup_job.cli.reading import access, add_output_flag, head, progress
from cleanup_job.cli.terminal import warn
from cleanup_job.errors import SettingsError
from cleanup_job.passes.forecast import Forecaster
from cleanup_job.passes.rules_now import rules_now
from cleanup_job.report import forecast as report
from cleanup_job.report.json_lines import dumps

LONGEST = 3_650
"""Days that can be looked ahead."""
EXAMPLES = (
    ("clearml-cleanup forecast", "say what will be due within 30 days"),
    ("clearml-cleanup forecast --days 90 --force-delete", "look further ahead, with another setting"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how far to look, and a flag for each setting of a pass: so that one can try them out."""
    parser.add_argument("--days", type=int, default=30, metavar="N", help="days to look ahead after today (default: 30)")
    add_output_flag(parser)
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """Print the forecast."""
    if not 0 <= options.days <= LONGEST:
        raise SettingsError(f"--days {options.days}: give a number of days from 0 to {LONGEST}")
    found = access(options)
    with progress("Reading archived tasks") as shown:
        known = rules_now(found.parts.server, found.settings, warn)
        forecast = Forecaster(found.parts.server, known, shown).read(options.days)
    if options.output == "json":
        server = found.settings.connection.api_host
        print(dumps({"server": server, **report.document(forecast, known.projects)}, indent=2), flush=True)
        return 0
    console = Console(markup=False, highlight=False)
    console.print(head(found))
    report.render(forecast, known.projects, console)
    return 0
