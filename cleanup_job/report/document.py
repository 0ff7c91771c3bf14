"""The report of a pass as one document, from which each file format is rendered."""

from dataclasses import asdict
from typing import Any

from cleanup_job.exit_codes import meaning
from cleanup_job.planning.outcome import EXAMPLES, NAMED, NOTICES, REASON_TEXTS, Report, StageSum, TaskOutcome
from cleanup_job.report import stages
from cleanup_job.report.interface import Document
from cleanup_job.report.json_lines import SCHEMA, STAGES_NAMED, stores, summary, time_or_none
from cleanup_job.report.phrases import by_weight, headline, link, verdict_of


def as_document(report: Report) -> Document:
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
        "settings": [{"setting": name, "value": value, "from": where} for name, value, where in report.settings],
        "users": dict(report.users),
        "left_out": [asdict(entry) for entry in report.left_out],
    } | ({"stages": [_stage(row, report) for row in stages.by_policy(report)[:STAGES_NAMED]]} if report.stages else {})


def _stage(row: StageSum, report: Report) -> dict[str, Any]:
    """What a policy did at one stage, with the first tasks of both kinds: notices come in the order of their dates."""
    noticed = sorted((one for one in row.examples if one.verdict in NOTICES), key=lambda one: (one.due is None, one.due))
    done = [one for one in row.examples if one.verdict not in NOTICES]
    found = {"notices": noticed, "examples": done}
    return stages.as_fields(row) | {name: [_task(one, report) for one in some[:NAMED]] for name, some in found.items()}


def _task(outcome: TaskOutcome, report: Report) -> dict[str, Any]:
    fields = asdict(outcome)
    del fields["digest"]  # for plans
    if not outcome.policy and outcome.stage is None:
        for name in ("policy", "stage", "due"):
            del fields[name]
    else:
        fields["due"] = time_or_none(outcome.due)
    return fields | {
        "active": time_or_none(outcome.active),
        "protected": outcome.protected[:NAMED],
        "protected_count": len(outcome.protected),
        "unknown_stores": stores(outcome.unknown_stores),
        "unknown_stores_count": len(outcome.unknown_stores),
        "link": link(report, outcome.task, outcome.project_id) or None,
    }
