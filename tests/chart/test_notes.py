"""What a user reads after the install."""

import pytest

from tests.chart.charts import ENOUGH, SANDBOX, files, nested

SAYS = [
    ({}, 'runs on the schedule "0 3 * * *"'),
    ({}, "archived drafts older than 30 days"),
    ({}, "helm test clearml-cleanup --namespace ml"),
    ({}, "kubectl create job --namespace ml --from=cronjob/clearml-cleanup clearml-cleanup-manual"),
    ({"timeZone": "Europe/Berlin"}, '"0 3 * * *" (Europe/Berlin)'),
    ({"suspend": True}, "suspended"),
    (nested("cleanup.forceDelete", value=True), "deletes archived tasks older than 30 days"),
    (nested("cleanup.dryRun", value=True), "Nothing is deleted"),
    (SANDBOX, "1000 made-up tasks"),
]


@pytest.mark.parametrize(("values", "text"), SAYS)
def test_the_notes_say(values: dict[str, object], text: str) -> None:
    assert text in files(ENOUGH, values)["NOTES.txt"]
    if values:
        assert text not in files(ENOUGH)["NOTES.txt"]


def test_no_blank_is_left_in_front() -> None:
    assert files(ENOUGH)["NOTES.txt"].strip().startswith("ClearML Cleanup runs on")
