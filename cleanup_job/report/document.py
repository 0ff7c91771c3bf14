"""The report of a pass as a file, JSON, HTML or Markdown by its ending, and as Kubernetes' termination message."""

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cleanup_job.exit_codes import meaning
from cleanup_job.planning.outcome import EXAMPLES, NAMED, REASON_TEXTS, Report, TaskOutcome
from cleanup_job.redaction import cleaned
from cleanup_job.report import html, markdown
from cleanup_job.report.json_lines import SCHEMA, dumps, stores, summary
from cleanup_job.report.words import by_weight, headline, link, verdict_of

TERMINATION_BYTES = 4096
"""What Kubernetes keeps of a termination message."""
STORES_NAMED = 5
"""Unknown stores in a termination message."""


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
        "headline": headline(report),
        "meaning": meaning(report.exit_code),
        "summary": summary(report),
        "projects": sorted(
            ({"id": key, **asdict(row)} for key, row in report.largest_projects()), key=lambda row: str(row["name"])
        ),
        "projects_count": len(report.projects),
        "total": asdict(report.total()),
        "reasons": [
            {
                "reason": entry.reason.value,
                "text": REASON_TEXTS[entry.reason],
                "verdict": verdict.value if (verdict := verdict_of(entry)) else None,
                "count": entry.count,
                "examples": [_task(outcome, report) for outcome in entry.examples],
            }
            for entry in by_weight(report)
        ],
        "external_files": [{"task": task, "uri": uri} for task, uri in report.external_examples],
        "protected_files": [{"task": task, "uri": uri} for task, uri in report.protected_examples],
        "emptied_projects": report.emptied[:EXAMPLES],
        "warnings": list(report.warnings),
    }


def _task(outcome: TaskOutcome, report: Report) -> dict[str, Any]:
    return asdict(outcome) | {
        "protected": outcome.protected[:NAMED],
        "protected_count": len(outcome.protected),
        "unknown_stores": stores(outcome.unknown_stores),
        "unknown_stores_count": len(outcome.unknown_stores),
        "link": link(report, outcome.task, outcome.project_id) or None,
    }


def write(report: Report, path: Path) -> None:
    """Write the report; whoever reads the file meets a whole one, or the one before.

    Raises:
        ValueError: the ending is none of .json, .html, .md.
    """
    if path.suffix == ".json":
        text = dumps(as_document(report), indent=2) + "\n"
    elif path.suffix == ".html":
        text = html.render(as_document(report))
    elif path.suffix == ".md":
        text = markdown.render(as_document(report))
    else:
        message = f"{path}: a report ends in .json, .html or .md"
        raise ValueError(message)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)  # mkstemp's files are for their owner only; a report is for others to read
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def termination_message(report: Report) -> str:
    """The sum of a pass as JSON on one line, short enough for Kubernetes to keep whole."""
    # Without secrets before it is cut: half of a URL no longer looks like one.
    short = cleaned(summary(report) | {"unknown_stores": stores(report.unknown_stores.most_common(STORES_NAMED))})
    text = dumps(short)
    if _bytes(text) > TERMINATION_BYTES:
        # Only names have no bound of their own: an error's text, the addresses of stores and rules.
        short |= {"unknown_stores": len(report.unknown_stores), "rules": len(report.rules)}
        text = dumps(short)
    for field in ("error", "stopped_by"):
        while short[field] and (more := _bytes(text) - TERMINATION_BYTES) > 0:
            short[field] = short[field][: -max(1, more // 6)]  # no character takes more than 6 bytes here
            text = dumps(short)
    return text


def _bytes(text: str) -> int:
    return len(text.encode())
