"""What a user reads after the install."""

import pytest

from tests.chart.charts import ENOUGH, IN_EARNEST, SANDBOX, files, merged, nested

SAYS = [
    ({}, 'runs on the schedule "0 3 * * *"'),
    ({}, "dryRunFirst is true, so each pass is a dry run"),
    ({}, "helm upgrade clearml-cleanup CHART --namespace ml --reuse-values --set dryRunFirst=false"),
    ({}, "Run a pass now (a dry run):"),
    (IN_EARNEST, "archived drafts older than 30 days"),
    (IN_EARNEST, "See what a pass would delete (a dry run):"),
    (IN_EARNEST, "Run a pass now:"),
    ({}, "helm test clearml-cleanup --namespace ml"),
    ({}, "kubectl create job --namespace ml --from=cronjob/clearml-cleanup clearml-cleanup-manual"),
    ({"timeZone": "Europe/Berlin"}, '"0 3 * * *" (Europe/Berlin)'),
    ({"suspend": True}, "suspended"),
    (merged(IN_EARNEST, nested("cleanup.forceDelete", value=True)), "deletes archived tasks older than 30 days"),
    (merged(IN_EARNEST, nested("cleanup.dryRun", value=True)), "NOTHING IS DELETED: cleanup.dryRun is true"),
    (nested("cleanup.dryRun", value=True), "cleanup.dryRun is true, too: set both to false"),
    ({"namespaceOverride": "other"}, "kubectl create job --namespace other"),
    (SANDBOX, "1000 made-up tasks"),
]


@pytest.mark.parametrize(("values", "text"), SAYS)
def test_the_notes_say(values: dict[str, object], text: str) -> None:
    assert text in files(ENOUGH, values)["NOTES.txt"]
    if values:
        assert text not in files(ENOUGH)["NOTES.txt"]


def test_no_blank_is_left_in_front() -> None:
    assert files(ENOUGH)["NOTES.txt"].strip().startswith("ClearML Cleanup runs on")
