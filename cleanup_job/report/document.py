"""The report of a pass as a file: JSON, HTML or Markdown, by its ending."""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cleanup_job.report import html, markdown
from cleanup_job.report.json_lines import SCHEMA, dumps, reason_text, summary
from cleanup_job.report.outcome import REASON_TEXTS, Report

TERMINATION_BYTES = 4096
"""What Kubernetes keeps of a termination message."""


def as_document(report: Report) -> dict[str, Any]:
    """Everything that a report knows."""
    return {
        "schema": SCHEMA,
        "version": report.version,
        "server": report.server,
        "web": report.web,
        "started": report.started.isoformat(),
        "finished": report.finished.isoformat() if report.finished else None,
        "cutoff": report.cutoff.isoformat(),
        "summary": summary(report),
        "projects": [{"id": key, **asdict(row)} for key, row in sorted(report.projects.items(), key=lambda p: p[1].name)],
        "reasons": [
            {
                "reason": reason.value,
                "text": REASON_TEXTS[reason],
                "count": entry.count,
                "examples": [
                    {
                        **asdict(outcome),
                        "verdict": outcome.verdict.value,
                        "reason": reason.value,
                        "text": reason_text(outcome),
                        "link": report.task_link(outcome.task, outcome.project_id),
                    }
                    for outcome in entry.examples
                ],
            }
            for reason, entry in report.reasons.items()
        ],
        "external_files": [{"task": task, "uri": uri} for task, uri in report.external_examples],
        "protected_files": [{"task": task, "uri": uri} for task, uri in report.protected_examples],
        "warnings": report.warnings,
    }


def write(report: Report, path: Path) -> None:
    """Write the report; whoever reads the file meets a whole one, or the one before.

    Raises:
        ValueError: the ending is none of .json, .html, .md.
    """
    document = as_document(report)
    if path.suffix == ".json":
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    elif path.suffix == ".html":
        text = html.render(document)
    elif path.suffix == ".md":
        text = markdown.render(document)
    else:
        message = f"{path}: a report ends in .json, .html or .md"
        raise ValueError(message)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(path)


def termination_message(report: Report) -> str:
    """The sum of a pass on one line that Kubernetes keeps whole."""
    text = dumps(summary(report))
    if len(text.encode()) > TERMINATION_BYTES:
        short = summary(report) | {"unknown_stores": len(report.unknown_stores), "error": report.error[:1000] or None}
        text = dumps(short)
    return text.encode()[:TERMINATION_BYTES].decode(errors="ignore")
