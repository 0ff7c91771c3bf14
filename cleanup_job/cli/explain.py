"""``clearml-cleanup explain``: why a task is, or is not, deleted."""

import argparse
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from rich.console import Console

from cleanup_job import wiring
from cleanup_job.cli.flags import OF_A_PASS, add_flags
from cleanup_job.cli.reading import Access, access, add_output_flag, head, progress, warn_once
from cleanup_job.errors import SettingsError
from cleanup_job.passes.explanation import Explainer
from cleanup_job.passes.rules_now import rules_now
from cleanup_job.planning.outcome import Report
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.explanation import render
from cleanup_job.report.explanation_document import document
from cleanup_job.report.json_lines import dumps
from cleanup_job.report.phrases import link
from cleanup_job.settings.model import Settings

_IN_A_LINK = re.compile(r"/(?:experiments|tasks|reports|task)/([0-9a-f]{32})(?![0-9a-f])", re.IGNORECASE)
_ID = re.compile(r"[\w-]+")
EXAMPLES = (
    ("clearml-cleanup explain TASK_ID", "say why this task is, or is not, deleted"),
    ("clearml-cleanup explain TASK_ID --delete-threshold-days 7", "what if"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tasks, and a flag for each setting of a pass: so that one can try them out."""
    parser.add_argument("tasks", nargs="+", metavar="TASK_ID", help="a task's ID, or the address of its page in the Web UI")
    add_output_flag(parser)
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """Print the explanations."""
    list(task_ids(options.tasks))  # raises what is wrong with them before the server is asked
    return explain(access(options), options.tasks, options.output)


def explain(found: Access, words: Iterable[str], output: str) -> int:
    """Print the explanations of the tasks that these words name, by some settings.

    Raises:
        SettingsError: a word is neither a task's ID nor its address.
        CleanupError: the server gives no usable answer.
    """
    ids = list(task_ids(words))
    settings, server, warn = found.settings, found.parts.server, warn_once()
    with progress("Reading all models and tasks, to see who needs what") as shown:
        known = rules_now(server, settings, warn)
        explainer = Explainer(
            server,
            found.parts.stores,
            settings,
            known,
            warn=warn,
            progress=shown,
            mounted=wiring.mounted_places(settings),
            logs=partial(in_audit_logs, settings, warn),
        )
        explained = explainer.explain(ids)
    connection = settings.connection
    page = partial(link, Report("", dry_run=True, started=known.now, cutoff=known.now, web=connection.web_host or ""))
    if output == "json":
        tasks = [document(one, known.now, page) for one in explained]
        print(dumps({"server": connection.api_host, "now": known.now.isoformat(), "tasks": tasks}, indent=2), flush=True)
        return 0
    console = Console(markup=False, highlight=False)
    console.print(head(found))
    for one in explained:
        render(one, known.now, page, console)
    return 0


def in_audit_logs(settings: Settings, warn: Callable[[str], None], task: TaskId) -> tuple[list[dict[str, Any]], int]:
    """What the audit logs at CLEANUP_AUDIT say of the deletion of a task, and how many logs were read."""
    from cleanup_job.job.audited import deletions_of  # noqa: PLC0415 -- only needed for a task that is gone

    if settings.audit.audit is None:
        return [], 0
    try:
        return deletions_of(task, [settings.audit.audit])
    except SettingsError as error:
        warn(str(error))
        return [], 0


def task_ids(words: Iterable[str]) -> Iterable[TaskId]:
    """The tasks that were named, each by its id or by its address in the Web UI.

    Raises:
        SettingsError: something is neither.
    """
    for word in words:
        inside = _IN_A_LINK.search(word)
        if inside:
            yield TaskId(inside[1].lower())
        elif _ID.fullmatch(word):
            yield TaskId(word)
        else:
            message = f"{word}: not the ID of a task, or the address of its page, which has …/experiments/ID in it"
            raise SettingsError(message)
