"""The report of a pass in Markdown, as GitHub and GitLab read it."""

import re
from typing import Any

from cleanup_job.report.words import counted, duration, left_over, moment, plain, size

Document = dict[str, Any]

_COLUMNS = ("tasks", "models", "files", "bytes", "kept", "failed")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!@])")
_STARTS_A_BLOCK = re.compile(r"^(\s*)([-+=:])|^(\s*\d{1,9})([.)])")


def render(document: Document) -> str:
    """The text of ``document.as_document``; names from the server can't break out of it."""
    summary = document["summary"]
    lines = [
        "# ClearML Cleanup" + (": dry run" if summary["dry_run"] else ""),
        "",
        f"**{text(document['headline'])}**",
        "",
        *_about(document, summary),
        *_notes(document, summary),
        *_projects(document),
    ]
    for entry in document["reasons"]:
        lines += _reason(entry)
    lines += _list("Emptied projects", summary["emptied_projects"], document["emptied_projects"])
    rules = [f"{rule}: {counted(n, 'task')}" for rule, n in summary["rules"].items()]
    lines += _list("By a threshold of its project", summary["rules_count"], rules)
    lines += _files("Files in use elsewhere, which stay", summary["protected_files"], document["protected_files"])
    lines += _files("Files outside the task folders, only linked to", summary["external_files"], document["external_files"])
    return "\n".join(lines).rstrip() + "\n"


def _about(document: Document, summary: Document) -> list[str]:
    return [
        f"- server: {text(document['server'] or 'unknown')}",
        f"- started: {moment(document['started'])}",
        f"- took: {duration(summary['seconds'])}, {counted(summary['requests'], 'request')}",
        f"- selected: {counted(summary['selected'], 'task')} from before {moment(document['cutoff'])}",
        f"- exit code: {summary['exit_code']}, {text(document['meaning'])}",
        f"- version: {text(document['version'])}",
        "",
    ]


def _notes(document: Document, summary: Document) -> list[str]:
    notes = [f"**Error:** {text(summary['error'])}"] if summary["error"] else []
    notes += [text(left_over(summary["left"], summary["stopped_by"])) + "."] if summary["left"] else []
    notes += [
        f"**Unknown store** {code(store['address'])}: {counted(store['files'], 'file')}; "
        f"{store['hint']}: {code(store['setting'])}"
        for store in summary["unknown_stores"]
    ]
    notes += _more(summary["unknown_stores_count"] - len(summary["unknown_stores"]), "unknown store")
    notes += [f"**Warning:** {text(warning)}" for warning in document["warnings"]]
    notes += _more(summary["warnings"] - len(document["warnings"]), "warning")
    return [line for note in notes for line in (f"> {note}", "")]


def _more(number: int, noun: str) -> list[str]:
    return [f"and {counted(number, f'more {noun}')}"] if number > 0 else []


def _projects(document: Document) -> list[str]:
    projects = document["projects"]
    if not projects:
        return []
    rest = document["projects_count"] - len(projects)
    more = {name: document["total"][name] - sum(row[name] for row in projects) for name in _COLUMNS}
    return [
        "## Projects",
        "",
        "| project | tasks | models | files | bytes known | kept | failed |",
        "|---|" + "---:|" * 6,
        *(_row(text(row["name"] or "(no project)"), row) for row in projects),
        *([_row(f"and {rest:,} more", more)] if rest else []),
        _row("**total**", document["total"]),
        "",
    ]


def _row(name: str, row: Document) -> str:
    numbers = (size(row[column]) if column == "bytes" else f"{row[column]:,}" for column in _COLUMNS)
    return "| " + " | ".join((name, *numbers)) + " |"


def _reason(entry: Document) -> list[str]:
    state = (entry["verdict"] or "staying").replace("_", " ")
    lines = [f"## {entry['count']:,} {state}: each {entry['text']}", "", *(_task(task) for task in entry["examples"])]
    if entry["count"] > len(entry["examples"]):
        lines.append(f"- and {entry['count'] - len(entry['examples']):,} more; the log names every one")
    return [*lines, ""]


def _task(task: Document) -> str:
    name = task["name"] or task["task"]
    shown = f"[{text(name)}](<{task['link']}>)" if task["link"] else _first(name)
    detail = f": {text(task['detail'])}" if task["detail"] else ""
    return f"- {shown} {code(task['task'])}{detail}"


def _files(title: str, count: int, files: list[Document]) -> list[str]:
    return _list(title, count, [file["uri"] for file in files])


def _list(title: str, count: int, entries: list[str]) -> list[str]:
    if not count:
        return []
    more = [f"- and {count - len(entries):,} more"] if count > len(entries) else []
    return [f"## {title}: {count:,}", "", *(f"- {code(entry)}" for entry in entries), *more, ""]


def text(value: object) -> str:
    """Text in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", plain(value))


def _first(value: object) -> str:
    """Text at the beginning of a line, where a dash or a number would start a list."""
    return _STARTS_A_BLOCK.sub(lambda found: f"{found[1] or found[3] or ''}\\{found[2] or found[4]}", text(value))


def code(value: object) -> str:
    """Text between more backticks than it has in a row."""
    inner = plain(value)
    fence = "`" * (max((len(run) for run in re.findall("`+", inner)), default=0) + 1)
    return f"{fence} {inner} {fence}" if inner[:1] in ("`", " ") or inner[-1:] in ("`", " ") else f"{fence}{inner}{fence}"
