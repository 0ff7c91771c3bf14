"""The document that all report files are made from."""

import json

from cleanup_job.planning.outcome import EXAMPLES, Reason, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import document
from tests.unit.report.example_report import report


def test_the_json_report_says_everything_and_cuts_only_examples() -> None:
    made = report()
    for n in range(EXAMPLES + 20):
        made.add(TaskOutcome(TaskId(f"c{n:031x}"), "c", "p", "p", Verdict.KEPT, Reason.CHANGED))
    found = json.loads(json.dumps(document.as_document(made)))
    reasons = {entry["reason"]: entry for entry in found["reasons"]}
    assert reasons["changed"]["count"] == EXAMPLES + 20
    assert len(reasons["changed"]["examples"]) == EXAMPLES
    assert reasons["unknown_store"]["examples"][0]["unknown_stores"][1] == {"address": "s3://bucket", "files": 1}
    assert found["summary"]["unknown_stores"][0]["setting"] == "CLEANUP_FILES_URL_PREFIXES=https://old.example"
    assert found["summary"]["kept"] == sum(row["kept"] for row in found["projects"]) == EXAMPLES + 25
    assert (found["schema"], found["headline"][:15], found["meaning"][:12]) == (1, "Deleted 3 tasks", "done in part")
