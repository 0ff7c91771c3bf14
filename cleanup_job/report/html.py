"""The report of a pass as one self-contained page.

Everything is in the page's text, so that it reads without scripts too (CI systems show reports that way); the script only adds
search, filter and sorting. The content security policy knows style and script by their hashes: were a name from the server ever
to break out of its text, it could neither run nor load anything.
"""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from importlib import resources
from string import Template
from typing import Any

from cleanup_job.exit_codes import DID_WELL
from cleanup_job.report.json_lines import dumps
from cleanup_job.report.words import counted, duration, left_over, moment, plain, size

Document = dict[str, Any]


def render(document: Document) -> str:
    """The page of ``document.as_document``."""
    summary = document["summary"]
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        policy=(
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        title="Dry run · ClearML Cleanup" if summary["dry_run"] else "ClearML Cleanup",
        state=_state(summary),
        headline=_text(document["headline"]),
        about=_about(document, summary),
        cards=_cards(summary),
        notes=_notes(document, summary),
        projects=_projects(document["projects"], document["projects_count"], "to delete" if summary["dry_run"] else "deleted"),
        tasks=_tasks(document["reasons"], summary),
        files=_files("Files in use elsewhere, which stay", summary["protected_files"], document["protected_files"])
        + _files("Files outside the task folders, only linked to", summary["external_files"], document["external_files"]),
        version=_text(document["version"]),
        data=_data(document),
    )


def _asset(name: str) -> str:
    return resources.files("cleanup_job.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(value: object) -> str:
    return escape(plain(value))


def _data(document: Document) -> str:
    """The JSON report, for programs that are given the page; nothing in it can end its element."""
    return dumps(document).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _state(summary: Document) -> str:
    code = summary["exit_code"]
    kind, words = ("good", "done") if code == 0 else ("part", "done in part") if code in DID_WELL else ("bad", "failed")
    return f'<span class="state {kind}">{"dry run, " if summary["dry_run"] else ""}{words}</span>'


def _about(document: Document, summary: Document) -> str:
    facts = {
        "server": document["server"],
        "started": moment(document["started"]),
        "took": f"{duration(summary['seconds'])}, {counted(summary['requests'], 'request')}",
        "selected": f"{counted(summary['selected'], 'task')} from before {moment(document['cutoff'])}",
        "exit code": f"{summary['exit_code']}: {document['meaning']}",
    }
    return "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items() if value)


def _cards(summary: Document) -> str:
    cards = [
        ("deleted", "tasks to delete" if summary["dry_run"] else "tasks deleted", f"{summary['deleted']:,}"),
        ("", "models", f"{summary['models']:,}"),
        ("", "files", f"{summary['files']:,}"),
        ("", "bytes known", size(summary["bytes"])),
        ("kept", "to keep" if summary["dry_run"] else "kept", f"{summary['kept']:,}"),
        ("failed", "failed", f"{summary['failed']:,}"),
        ("not_ours", "not ours", f"{summary['not_ours']:,}"),
    ]
    return "".join(f'<li class="card {kind}"><b>{value}</b> <span>{name}</span></li>' for kind, name, value in cards)


def _notes(document: Document, summary: Document) -> str:
    notes = [_note("bad", "Error", _text(summary["error"]))] if summary["error"] else []
    notes += [_note("", "Left", _text(left_over(summary["left"], summary["stopped_by"])) + ".")] if summary["left"] else []
    for store in summary["unknown_stores"]:
        text = f"{counted(store['files'], 'file')} on <b>{_text(store['address'])}</b>; {_text(store['hint'])}:"
        notes.append(_note("", "Unknown store", f"{text} <code>{_text(store['setting'])}</code>"))
    notes += _more(summary["unknown_stores_count"] - len(summary["unknown_stores"]), "Unknown stores")
    if summary["rules"]:
        taken = ", ".join(f"<code>{_text(rule)}</code> {counted(count, 'task')}" for rule, count in summary["rules"].items())
        more = summary["rules_count"] - len(summary["rules"])
        notes.append(_note("", "By a threshold of the project", f"{taken} and {more:,} more" if more else taken))
    if document["emptied_projects"]:
        doing = "would be deleted" if summary["dry_run"] else "were deleted"
        names = ", ".join(_text(name) for name in document["emptied_projects"])
        count, more = summary["emptied_projects"], summary["emptied_projects"] - len(document["emptied_projects"])
        names = f"{names} and {more:,} more" if more else names
        notes.append(_note("", "Emptied projects", f"{counted(count, 'project')} {doing}: {names}"))
    notes += [_note("", "Warning", _text(warning)) for warning in document["warnings"]]
    notes += _more(summary["warnings"] - len(document["warnings"]), "Warnings")
    return f'<section aria-label="Notes">{"".join(notes)}</section>' if notes else ""


def _more(number: int, name: str) -> list[str]:
    return [_note("", name, f"and {number:,} more.")] if number > 0 else []


def _note(kind: str, name: str, inner: str) -> str:
    return f'<p class="note {kind}"><strong>{name}.</strong> {inner}</p>'


def _projects(projects: list[Document], count: int, gone: str) -> str:
    rows = sorted(projects, key=lambda row: (-_tasks_of(row), row["name"]))
    if not rows:
        return _heading("Projects") + '<p class="empty">No task was selected.</p>'
    kinds = (("deleted", gone), ("kept", "kept"), ("failed", "failed"))
    legend = "".join(f'<span class="{kind}">{name}</span>' for kind, name in kinds)
    numbers = (gone, "models", "files", "bytes known", "kept", "failed")
    most = max(1, *(_tasks_of(row) for row in rows))
    body = "".join(_project(row, most, numbers) for row in rows)
    head = _head(("project", ""), *((name, "n") for name in numbers))
    more = f'<p class="soft">and {count - len(rows):,} projects more</p>' if count > len(rows) else ""
    return _heading("Projects", f'<p class="legend">{legend}</p>') + _table("projects", "Projects", head, body) + more


def _tasks_of(row: Document) -> int:
    return int(row["tasks"] + row["kept"] + row["failed"])


def _heading(title: str, legend: str = "") -> str:
    return f'<div class="heading"><h2>{title}</h2>{legend}</div>'


def _project(row: Document, most: int, names: Iterable[str]) -> str:
    name = _text(row["name"] or "(no project)")
    keys = ("tasks", "models", "files", "bytes", "kept", "failed")
    cells = "".join(_cell(key, label, row[key]) for key, label in zip(keys, names, strict=True))
    return f'<tr role="row"><th role="rowheader" scope="row">{name}{_bar(row, most)}</th>{cells}</tr>'


def _cell(key: str, label: str, value: int) -> str:
    kind = f"n {key}" if value and key in ("kept", "failed") else "n"
    shown = size(value) if key == "bytes" else f"{value:,}"
    return f'<td role="cell" class="{kind}" data-label="{label}" data-value="{value}">{shown}</td>'


def _bar(row: Document, most: int) -> str:
    # SVG, because its widths are attributes: the policy forbids inline styles.
    parts, start = "", 0.0
    for kind, key in (("deleted", "tasks"), ("kept", "kept"), ("failed", "failed")):
        width = 100 * row[key] / most
        parts += f'<rect class="{kind}" x="{start:.3f}%" width="{width:.3f}%" height="100%"/>' if width else ""
        start += width
    # Its numbers stand in the row's cells: nothing to read out.
    return f'<svg class="bar" aria-hidden="true">{parts}</svg>'


def _tasks(reasons: list[Document], summary: Document) -> str:
    if not reasons:
        return '<p class="empty">None.</p>'
    tasks = [(task, entry["text"]) for entry in reasons for task in entry["examples"]]
    stay = sum(entry["count"] for entry in reasons)
    more = f'<p class="soft">{len(tasks):,} of {stay:,} are listed here; the log names every one.</p>'
    body = "".join(_task(task, why) for task, why in tasks)
    table = _table("tasks", "Tasks that stay", _head(("task", ""), ("project", ""), ("state", ""), ("why", "")), body)
    return _tools(reasons, summary) + table + (more if stay > len(tasks) else "")


def _tools(reasons: list[Document], summary: Document) -> str:
    """Search and filters; hidden until the script is there to serve them."""
    states = "".join(
        f'<option value="{state}">{_words(state)} ({summary[state]:,})</option>'
        for state in ("failed", "kept", "not_ours")
        if summary[state]
    )
    whys = "".join(f'<option value="{e["reason"]}">{_text(e["text"])} ({e["count"]:,})</option>' for e in reasons)
    return (
        '<div class="tools" id="tools" hidden>'
        '<label class="wide"><span>Search</span><input id="search" type="search" autocomplete="off" '
        'placeholder="name, id, project or reason"></label>'
        f'<label><span>State</span><select id="state"><option value="">all</option>{states}</select></label>'
        f'<label><span>Why</span><select id="reason"><option value="">any reason</option>{whys}</select></label>'
        '<p id="count" role="status"></p></div>'
    )


def _words(state: str) -> str:
    return state.replace("_", " ")


def _task(task: Document, why: str) -> str:
    name, state = _text(task["name"] or task["task"]), task["verdict"]
    shown = f'<a href="{escape(task["link"])}" rel="noreferrer">{name}</a>' if task["link"] else name
    detail = f'<span class="detail">{_text(task["detail"])}</span>' if task["detail"] else ""
    cells = (
        f"{shown}<code>{_text(task['task'])}</code>",
        _text(task["project"]),
        f'<span class="tag {state}">{_words(state)}</span>',
        f"{_text(why)}{detail}",
    )
    inner = "".join(f'<td role="cell">{cell}</td>' for cell in cells)
    return f'<tr role="row" data-state="{state}" data-reason="{task["reason"]}">{inner}</tr>'


def _files(title: str, count: int, files: list[Document]) -> str:
    if not count:
        return ""
    items = "".join(f"<li><code>{_text(file['uri'])}</code></li>" for file in files)
    more = f'<p class="soft">and {count - len(files):,} more</p>' if count > len(files) else ""
    return f"<details><summary>{title} <b>{count:,}</b></summary><ul>{items}</ul>{more}</details>"


def _head(*columns: tuple[str, str]) -> Iterable[str]:
    return [f'<th role="columnheader" scope="col" class="{kind}">{name}</th>' for name, kind in columns]


def _table(key: str, label: str, head: Iterable[str], body: str) -> str:
    # The roles hold where narrow screens lay the table out as blocks, which else would take its meaning from it.
    return (
        f'<div class="panel" role="region" aria-label="{label}" tabindex="0">'
        f'<table id="{key}" role="table" aria-label="{label}">'
        f'<thead role="rowgroup"><tr role="row">{"".join(head)}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )
