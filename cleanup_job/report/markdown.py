"""The report of a pass in Markdown."""

from typing import Any

from cleanup_job.report.table import size

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#|~"} | {"\n": " ", "\r": " "})


def render(document: dict[str, Any]) -> str:
    """The text; names from the server can't break out of it."""
    summary = document["summary"]
    title = "ClearML Cleanup: dry run" if summary["dry_run"] else "ClearML Cleanup"
    lines = [
        f"# {title}",
        "",
        f"{_text(document['server'])}, {document['started']}, version {document['version']}, exit code {summary['exit_code']}",
        "",
        "| | |",
        "|---|---:|",
        *(f"| {name.replace('_', ' ')} | {_number(name, summary[name])} |" for name in _SUMS),
        "",
    ]
    if summary["error"]:
        lines += [f"**Error:** {_text(summary['error'])}", ""]
    lines += ["## Projects", "", "| project | tasks | models | files | bytes known | kept | failed |", "|---|" + "---:|" * 6]
    for row in document["projects"]:
        cells = [_text(row["name"]), row["tasks"], row["models"], row["files"], size(row["bytes"]), row["kept"], row["failed"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for reason in document["reasons"]:
        lines += ["", f"## {reason['count']} stay: each {reason['text']}", ""]
        for task in reason["examples"]:
            name = _text(task["name"] or task["task"])
            shown = f"[{name}]({task['link']})" if task["link"] else name
            lines.append(f"- {shown} `{task['task']}` {_text(task['detail'])}")
    for name, entry in summary["unknown_stores"].items():
        lines += ["", f"Unknown store {_text(name)}: {entry['files']} files; {_text(entry['setting'])}"]
    for title, key in (("Files in use elsewhere, which stay", "protected_files"), ("Linked files", "external_files")):
        if document[key]:
            lines += ["", f"## {title}", "", *(f"- {_text(entry['uri'])}" for entry in document[key])]
    if document["warnings"]:
        lines += ["", "## Warnings", "", *(f"- {_text(text)}" for text in document["warnings"])]
    return "\n".join(lines) + "\n"


_SUMS = ("selected", "deleted", "models", "files", "bytes", "kept", "failed", "not_ours", "left", "requests", "seconds")


def _number(name: str, value: float) -> str:
    return size(value) if name == "bytes" else str(value)


def _text(text: object) -> str:
    return str(text).translate(_SPECIAL)
