"""What is known of a pass by its Job and its pods, as a real cluster gave them."""

import json
from copy import deepcopy
from typing import Any

import pytest

from cleanup_job.cli.status_text import result
from cleanup_job.cluster.pass_result import PassResult, pass_result
from cleanup_job.report import json_lines
from tests.unit.cluster.documents import recorded

LIMIT = "ended by the Job's time limit of 8 s (DeadlineExceeded), retries included: raise activeDeadlineSeconds"
OOM = "out of memory (OOMKilled): its limit is 64Mi; raise resources.limits.memory"
LIMITED = "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi"
LIMITED = "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi"
STORAGE = f"evicted: {LIMITED}; raise resources.limits.ephemeral-storage"


def known(name: str, **change: Any) -> PassResult:
    found = recorded(name) | change
    return pass_result(found["job"], found["pods"], found["events"])


@pytest.mark.parametrize(
    ("name", "state", "text"),
    [
        ("oom", "failed", f"{OOM}; 2nd of 2 tries"),
        ("storage", "failed", STORAGE),
        ("storage-ignored", "failed", STORAGE),
        ("deadline", "failed", LIMIT),
        ("quota", "waiting", "waiting for its pod to start; Job quota has no pod: exceeded quota: small, requested"),
        ("limit", "waiting", "waiting for its pod to start; Job limit has no pod: maximum memory usage per Container"),
        ("bad-image", "waiting", "waiting for its pod to start; pod bad-image-… does not start: its image localhost/none:0"),
        ("unschedulable", "waiting", "waiting for its pod to start; pod unschedulable-… can't be scheduled"),
        ("suspended", "suspended", "suspended (spec.suspend of the Job): it starts no pod"),
        ("api-evicted-counted", "running", "running, 2nd of 3 tries; the try before: evicted through Kubernetes' API"),
        ("api-evicted", "running", "running"),
    ],
)
def test_how_it_is(name: str, state: str, text: str) -> None:
    found = known(name)
    assert found.state == state
    assert result(found).startswith(text)


def test_a_time_limit_whose_pods_were_deleted_is_known_by_the_job() -> None:
    assert result(known("deadline", pods=[])) == LIMIT


def test_while_a_pod_is_being_evicted_it_still_runs_and_that_is_said() -> None:
    pods = recorded("api-evicted")["pods"][:1]
    found = known("api-evicted", pods=pods)
    assert (found.state, found.exit_code, found.cause) == ("running", None, "")
    assert result(found) == "running; its pod is being evicted through Kubernetes' API, as a drain of its node does"


def still_trying(name: str) -> dict[str, Any]:
    """The Job as it was between two tries."""
    job: dict[str, Any] = deepcopy(recorded(name)["job"])
    job["status"] = {"startTime": job["status"]["startTime"], "failed": 1, "active": 0}
    return job


def test_a_job_that_will_try_again_has_not_ended_with_its_pod() -> None:
    found = known("oom", job=still_trying("oom"), pods=recorded("oom")["pods"][:1])
    assert (found.live, found.exit_code, found.cause, found.tries, found.max_tries) == (True, None, "", 1, 2)
    assert result(found) == f"waiting for its next try: 1 of 2 ended; the try before: {OOM}"
    assert [(one["pod"], one["cause"], one["exit_code"]) for one in found.tries_before] == [("oom-bqv4v", "OOMKilled", 137)]


def test_what_its_tries_said_is_kept_for_programs() -> None:
    found = known("oom")
    assert (found.cause, found.explanation, found.exit_code) == ("OOMKilled", OOM, 137)
    assert [one["pod"] for one in found.tries_before] == ["oom-bqv4v"]
    assert (found.pod, found.reason, found.message) == (
        "oom-4qd75",
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    )


def ended_with(message: str, code: int) -> PassResult:
    pod = deepcopy(recorded("code137")["pods"][0])
    pod["status"]["containerStatuses"][0]["state"] = {"terminated": {"exitCode": code, "message": message}}
    pod["status"]["phase"] = "Failed" if code else "Succeeded"
    job = deepcopy(recorded("code137")["job"])
    condition = {"type": "Failed" if code else "Complete", "status": "True"}
    job["status"] = {"conditions": [condition], "succeeded": int(not code)}
    return pass_result(job, [pod], [])


ENQUEUED = json_lines.enqueued("handed over to a ClearML Agent: task 1 waits in queue 'services'", "1", "services", 1)


@pytest.mark.parametrize(
    ("line", "skipped"),
    [(ENQUEUED, "handed_over"), (json_lines.not_due("not due: the last completed pass began yesterday"), "not_due")],
)
def test_a_job_that_ran_no_pass_says_so(line: dict[str, Any], skipped: str) -> None:
    found = ended_with(json.dumps(line), 0)
    assert (found.skipped, found.said, found.exit_code) == (skipped, line["message"], 0)
    assert result(found) == line["message"]


def test_a_run_on_an_agent_that_was_not_done_comes_first() -> None:
    before = {"run": "0", "status": "failed", "reason": "no such package", "link": None}
    found = ended_with(json.dumps(json_lines.after_run(ENQUEUED, before, 7)), 7)
    assert (found.skipped, found.state, found.exit_code, found.run_before) == ("handed_over", "failed", 7, before)
    assert result(found) == (
        "the run that an agent was given before did not do its whole pass: 0 is failed in ClearML: no such package; "
        "handed over to a ClearML Agent: task 1 waits in queue 'services'"
    )


def test_other_words_are_the_passes_own() -> None:
    assert result(ended_with("something else", 0)) == "done (exit code 0): something else"


def test_tries_of_shards_are_those_of_the_shard_with_most() -> None:
    job = still_trying("oom")
    job["spec"] |= {"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 2}
    pods = []
    for shard, failures in ((0, "0"), (1, "1")):
        pod = deepcopy(recorded("api-evicted")["pods"][1])
        pod["metadata"]["name"] = f"a-{shard}-xxxxx"
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = str(shard)
        pod["metadata"]["annotations"] = {"batch.kubernetes.io/job-index-failure-count": failures}
        pods.append(pod)
    found = pass_result(job, pods, [])
    assert (found.tries, found.max_tries) == (2, 3)
    assert json.dumps(found.shards)
