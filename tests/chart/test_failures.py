"""What Kubernetes does with each of the job's exit codes."""

from cleanup_job.errors import LeaseHeldError, LeaseLostError, SettingsError, UnreachableError
from tests.chart.charts import ENOUGH, at, one, render

JOB = at(one("CronJob", render(ENOUGH)), "spec.jobTemplate.spec")
RULES = JOB["podFailurePolicy"]["rules"]


def action(exit_code: int) -> str:
    """The rule that a pod's exit code meets; what meets none counts towards `backoffLimit`."""
    for rule in RULES:
        codes = rule.get("onExitCodes")
        if codes and codes["operator"] == "In" and exit_code in codes["values"]:
            return str(rule["action"])
    return "Count"


def test_what_trying_again_cannot_help_fails_the_job_at_once() -> None:
    assert action(SettingsError.exit_code) == action(LeaseHeldError.exit_code) == "FailJob"


def test_what_may_pass_is_tried_again() -> None:
    assert [action(code) for code in (1, 3, UnreachableError.exit_code, LeaseLostError.exit_code, 137, 143)] == ["Count"] * 6
    assert JOB["backoffLimit"] > 0


def test_a_disruption_is_not_a_failure_with_any_exit_code() -> None:
    """The first rule that fits decides."""
    assert RULES[0]["action"] == "Ignore"
    assert [condition["type"] for condition in RULES[0]["onPodConditions"]] == ["DisruptionTarget"]


def test_the_policy_looks_at_the_container_of_the_pass() -> None:
    names = {rule["onExitCodes"]["containerName"] for rule in RULES if "onExitCodes" in rule}
    assert names == {container["name"] for container in JOB["template"]["spec"]["containers"]}


def test_a_pod_is_replaced_by_another_and_never_started_again_in_place() -> None:
    assert JOB["template"]["spec"]["restartPolicy"] == "Never"
