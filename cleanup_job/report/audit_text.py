"""What audit logs say, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from cleanup_job.report.audit_log import Found, Looked
from cleanup_job.report.formatting import at_least, counted, moment

_KINDS = {"delete_project": "project", "delete_orphan": "folder"}
"""What a line from before is about, if it is not a task."""


def state(looked: Looked) -> str:
    """What can be said of a whole log."""
    lines = f"{counted(looked.lines, 'line')} as written"
    if looked.problem:
        return f"CHANGED. {lines}, then {looked.problem}. Nothing from there on can be relied on."
    deletions = counted(looked.deletions, "deletion") if looked.deletions else "no deletions"
    deletions += f", {counted(looked.changes, 'change')} by policies" if looked.changes else ""
    unconfirmed = looked.deletions + looked.changes - looked.confirmed
    without = f", {unconfirmed:,} without a result" if unconfirmed > 0 else ""
    text = f"{lines}, {deletions}{without}. Last hash: {looked.hash or 'none'}"
    if looked.torn:
        return f"{text}. The line after them is torn: the run was ended while it wrote it, and deleted nothing of its batch."
    if not looked.ended:
        return f"{text}. Its last line is missing: the run was ended from outside or is still running, or lines were removed."
    return text


def facts(found: Found) -> Iterator[tuple[str, str]]:
    """What a log says of one deletion or change, each with its name."""
    line, begin = found.delete, found.begin
    yield _KINDS.get(str(line["event"]), "task"), _name(line)
    yield "result", _result(found)
    yield "when", moment(str(line["time"]))
    yield "by", f"{_who(begin)}, server {begin['server']}"
    if policy := line.get("policy"):
        yield "policy", policy
    if line["event"] == "notice" and line["due"]:
        yield "notice", f"{line['stage']} from {str(line['due'])[:10]} on"
    yield "why", _why(line, dict(begin["settings"]))
    for path in (*line.get("paths", ()), *line.get("linked", ())):
        yield "files", _path(path)
    for uri in line.get("uris", ()):
        yield "removes", uri
    for model in line.get("models", ()):
        yield "model", f"{model['model']} {model['uri']}"


def sentence(found: Found) -> str:
    """The same in one sentence, without the files."""
    line, begin = found.delete, found.begin
    why = _why(line, dict(begin["settings"]))
    return f"{moment(str(line['time']))}: {_result(found)}; by {_who(begin)}, since {why} ({found.log})"


def _who(begin: Mapping[str, Any]) -> str:
    user = begin.get("user_name") or begin.get("user") or "unknown"
    return f"the key of user {user}, clearml-cleanup {begin['version']} on {begin['host']}"


def _result(found: Found) -> str:
    result = found.result or {"detail": "the log does not say what became of it"}
    sizes = ""
    if "bytes" in result:
        weight = at_least(result["bytes"], result["unsized"])
        sizes = f": {counted(result['files'], 'file')} ({weight}), {counted(result['models'], 'model')}"
    return ": ".join(filter(None, (found.verdict.replace("_", " ") + sizes, result["detail"])))


def _name(line: Mapping[str, Any]) -> str:
    if line["event"] == "delete_project":
        return f"{line['project']} ({line['project_id']})"
    if line["event"] == "delete_orphan":
        return f"of task {line['task']}, which has no record"
    return f"{line['task']} {line['name']!r} of user {line['user'] or 'unknown'} in project {line['project'] or '(none)'}"


def _why(line: Mapping[str, Any], settings: Mapping[str, str]) -> str:
    if line["event"] == "delete_orphan":
        return f"it is older than CLEANUP_SWEEP_GRACE_DAYS={settings['CLEANUP_SWEEP_GRACE_DAYS']}"
    if line["event"] == "delete_project":
        return "it is empty, and CLEANUP_DELETE_EMPTY_PROJECTS=true"
    return f"it {'; '.join(line['why'])}"


def _path(path: Mapping[str, Any]) -> str:
    if "file" in path:
        return f"{path['store']}/{path['file']}"
    kept = f" except {', '.join(path['except'])}" if path.get("except") else ""
    return f"{path['store']}/{path['folder']}/{kept}"
