"""``clearml-cleanup usage``: what takes the space on a server. Reads only."""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from cleanup_job import wiring
from cleanup_job.cli.flags import add_flags, given
from cleanup_job.cli.terminal import warn
from cleanup_job.errors import SettingsError
from cleanup_job.passes.usage import Survey, refuse_twice
from cleanup_job.report import files, json_file, usage_html, usage_table
from cleanup_job.report.formatting import plain
from cleanup_job.report.interface import Destination, Document
from cleanup_job.report.usage_document import UsageReport, as_document
from cleanup_job.settings.model import Entry, Settings, names

EXAMPLES = (
    ("clearml-cleanup usage", "see what the records know: artifacts and their sizes, models"),
    ("clearml-cleanup usage --store /mnt/fileserver --report usage.html", "count the fileserver's volume, and write a page"),
)
"""For the help: ways to call it, each with what it does."""
FORMATS = ("text", "json", "html")
ENDINGS = (".html", ".json")
"""Of the files that it writes: each names its format."""


def _is_of_usage(entry: Entry) -> bool:
    """Whether it says which server to read and how, which stores to list, or what a pass may delete."""
    return (
        entry.group in {"filters", "policies"}
        or entry.name == "sweep_stores"
        or (entry.sweeps and entry.group in {"connection", "files", "run"})
    )


OF_USAGE = names(_is_of_usage)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting that counts here, and those for what is printed and written."""
    output = parser.add_argument_group("Output")
    output.add_argument(
        "--output", choices=FORMATS, default="text", help="what is printed: tables for people, or one document (default: text)"
    )
    output.add_argument(
        "--report",
        dest="pages",  # what it writes is not the report of a pass, whose setting has that name
        action="append",
        default=[],
        metavar="FILE",
        help="also write a file, or an object at the URL of a bucket, as .html (a page with a treemap) or .json; may be given "
        "several times",
    )
    add_flags(parser, OF_USAGE)


def run(options: argparse.Namespace) -> int:
    """Read the server and show what takes the space; gives the exit code."""
    settings, _ = wiring.read_settings(given(options))
    pages = {address: _destination(settings, address) for address in options.pages}
    report = _new_report(settings)
    _read(settings, report)
    document = as_document(report)
    console = Console(soft_wrap=options.output != "text")
    if options.output == "text":
        usage_table.render(document, console)
    else:
        print(_rendered(document, report, options.output), end="")
    for address, destination in pages.items():
        _write(destination, _rendered(document, report, destination.ending.removeprefix(".")), address)
    return 0


def _destination(settings: Settings, address: str) -> Destination:
    """Where to write a file, looked at before a server is read for minutes.

    Raises:
        SettingsError: nothing can be written there.
    """
    destination: Destination = wiring.destination(settings, address, "--report")
    if destination.ending not in ENDINGS:
        raise SettingsError(f"--report {address}: use a name that ends in {' or '.join(ENDINGS)}")
    if "://" not in address and not os.access(Path(address).parent, os.W_OK):
        raise SettingsError(f"--report {address}: use a folder that exists and can be written to")
    return destination


def _write(destination: Destination, text: str, address: str) -> None:
    try:
        files.write_text(text, destination)
    except OSError as error:
        raise SettingsError(f"--report {address} can't be written: {error.strerror or error}") from error


def _rendered(document: Document, report: UsageReport, form: str) -> str:
    return json_file.render(document) if form == "json" else usage_html.render(document, report.web)


def _new_report(settings: Settings) -> UsageReport:
    return UsageReport(
        version("clearml-cleanup"),
        urlsplit(settings.connection.api_host).hostname or "",
        datetime.now(UTC),
        force_delete=settings.filters.force_delete,
        threshold_days=settings.filters.delete_threshold_days,
        has_policies=settings.policies.policies is not None,
        web=settings.connection.web_host or "",
    )


def _read(settings: Settings, report: UsageReport) -> None:
    def note(text: str) -> None:
        report.warnings.append(text)
        warn(text)

    server, places = wiring.sweep_places(settings, wiring.log_in(settings, warn), _refuse_to_delete)
    refuse_twice(place for _, place in places)
    with _progress() as progress:
        survey = Survey(server, settings, places, note, progress)
        report.usage = survey.usage
        survey.run()
    report.projects, report.users, report.finished = survey.projects, survey.users, datetime.now(UTC)


def _refuse_to_delete() -> None:
    """Called before each request that deletes, of which there are none."""
    message = "usage only reads"
    raise RuntimeError(message)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What shows on a terminal how far the reading is, and is gone at its end."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("reading records") as status:
        yield lambda text: status.update(f"reading: {plain(text)}")
