"""``clearml-cleanup audit``: verify audit logs, and find in them what was deleted, when, by whom and why."""

import argparse
import json
from typing import Any

from rich.console import Console

from cleanup_job.errors import SettingsError
from cleanup_job.exit_codes import ExitCode
from cleanup_job.job.audited import audit_logs
from cleanup_job.report.audit_log import Log, Looked, Wanted, look
from cleanup_job.report.audit_text import facts, state
from cleanup_job.report.formatting import plain

EXAMPLES = (
    ("clearml-cleanup audit /audit --task 0123456789abcdef0123456789abcdef", "who deleted a task, when and why"),
    ("clearml-cleanup audit s3://bucket/audit", "verify all logs in a bucket"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to read, and what to look for."""
    parser.add_argument("logs", nargs="+", metavar="FILE", help="an audit log: a file, a folder with some, or a bucket's URL")
    parser.add_argument("--task", action="append", default=[], metavar="ID", help="find this task; may be repeated")
    parser.add_argument("--file", action="append", default=[], metavar="URI", help="find this file, or its path in a store")
    parser.add_argument("--project", action="append", default=[], metavar="NAME", help="find this project, by name or ID")
    parser.add_argument("--record", action="store_true", help="print only the records of the tasks that --task names, as JSON")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="output format (default: text)")


def run(options: argparse.Namespace) -> int:
    """Verify each log and print what is found in it; gives 1 if one was changed, 3 if one lacks its last line."""
    if options.record and not options.task:
        raise SettingsError("--record prints the records of tasks: name them with --task ID")
    wanted = Wanted(frozenset(options.task), tuple(options.file), frozenset(options.project), options.record)
    codes: set[ExitCode] = set()
    found = 0
    for log in audit_logs(options.logs):
        looked = _looked(log, wanted)
        codes.add(_code(looked))
        found += len(looked.found)
        _print(looked, options)
    if wanted.anything and not found and options.output == "text":
        _console(stderr=options.record).print("Nothing of what was asked for is in there.")
    return next(code for code in (ExitCode.UNEXPECTED, ExitCode.IN_PART, ExitCode.DONE) if code in codes)


def _looked(log: Log, wanted: Wanted) -> Looked:
    try:
        return look(log, wanted)
    except OSError as error:
        raise SettingsError(f"{log[0]}: it can't be read ({error.strerror or error})") from error


def _code(looked: Looked) -> ExitCode:
    if looked.problem:
        return ExitCode.UNEXPECTED
    return ExitCode.DONE if looked.ended else ExitCode.IN_PART


# -- output
def _console(*, stderr: bool = False) -> Console:
    return Console(markup=False, highlight=False, soft_wrap=True, stderr=stderr)


def _print(looked: Looked, options: argparse.Namespace) -> None:
    if options.output == "json":
        for found in looked.found:
            print(json.dumps(found.as_document()), flush=True)
        print(json.dumps(_sum(looked)), flush=True)
        return
    _console(stderr=options.record).print(f"{looked.log}: {state(looked)}", style="red" if looked.problem else None)
    for found in looked.found:
        if options.record:
            print(json.dumps(found.record, indent=2), flush=True)
            continue
        for name, text in facts(found):
            _console().print(f"  {name:<9}{plain(text)}")


def _sum(looked: Looked) -> dict[str, Any]:
    return {
        "log": looked.log,
        "state": "changed" if looked.problem else "whole" if looked.ended else "without its end",
        "problem": looked.problem or None,
        "torn": looked.torn,
        "lines": looked.lines,
        "deletions": looked.deletions,
        "confirmed": looked.confirmed,
        "sha256": looked.hash,
    } | ({"changes": looked.changes} if looked.changes else {})
