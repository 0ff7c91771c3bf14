"""The sum of a pass as Kubernetes' termination message."""

from cleanup_job.planning.outcome import Report
from cleanup_job.redaction import cleaned
from cleanup_job.report.json_lines import dumps, stores, summary

MOST_BYTES = 4096
"""How much Kubernetes keeps of a termination message."""
STORES_NAMED = 5
"""Unknown stores in a termination message."""


def of_report(report: Report) -> str:
    """The sum of a pass as JSON on one line, short enough for Kubernetes to keep whole."""
    # Secrets are removed before it is cut: half of a URL no longer looks like one.
    short = cleaned(summary(report) | {"unknown_stores": stores(report.unknown_stores.most_common(STORES_NAMED))})
    del short["left_out"]  # for who reads a dry run: the log has it
    text = dumps(short)
    if _bytes(text) > MOST_BYTES and "stages" in short:
        short |= {"stages": len(report.stages)}
        text = dumps(short)
    if _bytes(text) > MOST_BYTES:
        # Only names have no bound of their own: an error's text, the addresses of stores and rules.
        short |= {"unknown_stores": len(report.unknown_stores), "rules": len(report.rules)}
        text = dumps(short)
    for field in ("error", "stopped_by"):
        while short[field] and (more := _bytes(text) - MOST_BYTES) > 0:
            short[field] = short[field][: -max(1, more // 6)]  # no character takes more than 6 bytes here
            text = dumps(short)
    return text


def _bytes(text: str) -> int:
    return len(text.encode())
