"""The report of a pass in Markdown, as GitHub and GitLab read it."""

import re
from functools import cache
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from cleanup_job.redaction import MASK
from cleanup_job.report.formatting import counted, plain
from cleanup_job.report.interface import Document
from cleanup_job.report.jinja_environment import environment
from cleanup_job.report.phrases import LINK_SAFE, left_over

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!@])")
_STARTS_A_BLOCK = re.compile(r"^(\s*)([-+=:])|^(\s*\d{1,9})([.)])")
_COLUMNS = ("tasks", "models", "files", "bytes", "kept", "failed")


def render(document: Document) -> str:
    """The text of the file."""
    summary, projects = document["summary"], document["projects"]
    text = (
        text_environment()
        .get_template("report.md.j2")
        .render(
            document=document,
            summary=summary,
            left_over=left_over(summary["left"], summary["stopped_by"], at_least=summary["left_at_least"]),
            other_projects=document["projects_count"] - len(projects),
            other_numbers={name: document["total"][name] - sum(row[name] for row in projects) for name in _COLUMNS},
            rules=[f"{rule}: {counted(number, 'task')}" for rule, number in summary["rules"].items()],
            stages=document.get("stages", []),
            settings=[f"{entry['setting']}={entry['value']}" for entry in document["settings"] if entry["value"] != MASK],
            protected_files=[file["uri"] for file in document["protected_files"]],
            external_files=[file["uri"] for file in document["external_files"]],
        )
    )
    return text.rstrip() + "\n"


@cache
def text_environment() -> Environment:
    """The environment of the text: what it prints is escaped as Markdown."""
    return environment(escaped, {"code": code, "first_in_item": first_in_item, "link_target": link_target})


def escaped(value: object) -> Markup:
    """Text in which nothing is markup."""
    return Markup(_SPECIAL.sub(r"\\\1", plain(value)))  # noqa: S704 -- Markdown, escaped here


def first_in_item(value: object) -> Markup:
    """Text at the beginning of a line, where a dash or a number would start a list."""
    text = _STARTS_A_BLOCK.sub(lambda found: f"{found[1] or found[3] or ''}\\{found[2] or found[4]}", escaped(value))
    return Markup(text)  # noqa: S704 -- as above


def link_target(address: str) -> Markup:
    """An address between angle brackets; no character of it can end them."""
    return Markup(f"<{quote(address, safe=LINK_SAFE)}>")  # noqa: S704 -- as above


def code(value: object) -> Markup:
    """Text between more backticks than it has in a row."""
    inner = plain(value)
    fence = "`" * (max((len(run) for run in re.findall("`+", inner)), default=0) + 1)
    space = " " if inner[:1] in ("`", " ") or inner[-1:] in ("`", " ") else ""
    return Markup(f"{fence}{space}{inner}{space}{fence}")  # noqa: S704 -- as above
