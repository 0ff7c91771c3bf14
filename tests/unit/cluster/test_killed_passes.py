"""What a pass tells of those before it that were killed: each end once, and never at the cost of the pass."""

from copy import deepcopy
from typing import Any

import pytest

from cleanup_job.cluster import k8s_events, killed_passes
from cleanup_job.cluster.connection import CallError, NoClusterError
from cleanup_job.cluster.killed_passes import UntoldError, tell, untold
from tests.unit.cluster.documents import owned, recorded
from tests.unit.cluster.kubernetes_fake import FakeCluster, refused

OOM, STORAGE, DEADLINE = (recorded(name) for name in ("oom", "storage", "deadline"))
JOB, INDEX = "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"


def a_pass(job: str, started: str, *, shard: int | None = None, host: str = "") -> dict[str, Any]:
    """A pod that runs since this time of the day."""
    pod = deepcopy(recorded("api-evicted")["pods"][1])
    pod["metadata"] |= {"name": host or f"{job}-zzzzz", "uid": f"{job} {shard}", "creationTimestamp": f"2026-11-28T{started}Z"}
    pod["metadata"]["labels"] = {JOB: job} | ({} if shard is None else {INDEX: str(shard)})
    pod["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": f"2026-11-28T{started}Z"}}
    return pod


def a_job(name: str, **status: Any) -> dict[str, Any]:
    job = owned(recorded("api-evicted")["job"])
    job["metadata"] |= {"name": name, "uid": f"uid of {name}"}
    job["status"] = status
    return job


def told(found: list[dict[str, Any]], *, own: str = "now", shard: int = 0, pods: Any = (), jobs: Any = ()) -> list[str]:
    """The uids that a pod tells which starts at 10:00."""
    own_shard = None if shard == 0 else shard
    me = a_pass(own, "10:00:00", host="me", shard=own_shard)
    every_job = [*(owned(one["job"]) for one in found), *jobs]
    if own not in {job["metadata"]["name"] for job in every_job}:
        every_job.append(a_job(own, active=1))
    every_pod = [*(pod for one in found for pod in one["pods"]), *pods, me]
    return [entry.uid for entry in untold(every_job, every_pod, "me", shard)]


def uids(found: dict[str, Any]) -> list[str]:
    return [pod["metadata"]["uid"] for pod in found["pods"]]


def test_the_last_try_is_told_by_the_next_pass_and_the_one_before_by_that_try() -> None:
    assert told([OOM]) == uids(OOM)[1:]


def test_an_eviction_is_told() -> None:
    assert told([STORAGE]) == uids(STORAGE)


def test_a_time_limit_is_told_where_the_pods_are_gone() -> None:
    assert told([DEADLINE | {"pods": []}]) == [DEADLINE["job"]["metadata"]["uid"]]


def test_a_job_that_failed_and_has_no_pods_is_told() -> None:
    (found,) = told([OOM | {"pods": []}])
    assert found == OOM["job"]["metadata"]["uid"]


def test_one_that_failed_by_its_exit_code_said_so_itself() -> None:
    job = deepcopy(OOM["job"])
    for condition in job["status"]["conditions"]:
        condition["reason"] = "PodFailurePolicy"
    assert told([{"job": job, "pods": []}]) == []


def test_what_another_pass_has_told_is_not_told_again() -> None:
    assert told([OOM], jobs=[a_job("later")], pods=[a_pass("later", "09:00:00")]) == []
    assert told([OOM], jobs=[a_job("earlier")], pods=[a_pass("earlier", "08:00:00")]) == uids(OOM)[1:]


def test_nor_where_only_the_job_of_that_pass_is_left() -> None:
    assert told([OOM], jobs=[a_job("later", succeeded=1, startTime="2026-11-28T09:00:00Z")]) == []
    assert told([OOM], jobs=[a_job("later", failed=1, startTime="2026-11-28T09:00:00Z")]) == uids(OOM)[1:]


def test_a_retry_tells_of_the_try_before_it() -> None:
    first = OOM | {"pods": OOM["pods"][:1]}
    assert told([first], own="oom") == uids(OOM)[:1]


def test_only_the_first_shard_tells_of_other_passes_and_each_shard_of_its_own() -> None:
    assert told([OOM], shard=1) == []
    assert told([OOM], jobs=[a_job("later")], pods=[a_pass("later", "09:00:00", shard=1)]) == uids(OOM)[1:]
    of_shard = deepcopy(STORAGE)
    of_shard["pods"][0]["metadata"]["labels"][INDEX] = "1"
    of_shard["pods"][0]["spec"]["hostname"] = "me"  # each try of a shard has the same
    assert told([of_shard], own="storage", shard=1) == uids(STORAGE)
    assert told([of_shard], own="storage", shard=0) == []


def test_others_passes_are_not_its_own() -> None:
    jobs = [OOM["job"], a_job("now")]
    assert untold(jobs[1:], OOM["pods"], "me", 0) == []


# -- against Kubernetes
@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    found = FakeCluster(
        list_namespaced_job={"items": [owned(STORAGE["job"]), OOM["job"], a_job("now")]},
        list_namespaced_pod={"items": [*STORAGE["pods"], *OOM["pods"], a_pass("now", "10:00:00", host="me")]},
        read_namespaced_cron_job={"metadata": {"uid": "u1"}},
        create_namespaced_event={},
    )
    for module in (killed_passes, k8s_events):
        monkeypatch.setattr(module, "connect", lambda _: found)
    return found


TEXT = (
    "pod storage-k59rb of a pass before was evicted: Pod ephemeral local storage usage exceeds the total limit of containers "
    "20Mi; raise resources.limits.ephemeral-storage. It ended at 2026-11-28 08:49:02 UTC."
)


def test_it_is_an_event_and_a_text(cluster: FakeCluster) -> None:
    assert tell("nightly", None, "me", 0) == [TEXT]
    (event,) = [arguments[1] for method, arguments, _ in cluster.asked if method == "create_namespaced_event"]
    assert (event["type"], event["reason"], event["involvedObject"]["uid"]) == ("Warning", "PassKilled", "u1")
    assert event["message"] == f"{TEXT} (pod me)"
    assert event["metadata"]["name"] == f"nightly.{uids(STORAGE)[0]}"


def test_with_nothing_to_tell_it_takes_two_calls(cluster: FakeCluster) -> None:
    cluster.answers["list_namespaced_pod"] = {"items": []}
    cluster.answers["list_namespaced_job"] = {"items": [a_job("now")]}
    assert tell("nightly", None, "me", 0) == []
    assert [method for method, *_ in cluster.asked] == ["list_namespaced_job", "list_namespaced_pod"]


def test_what_has_an_event_was_told(cluster: FakeCluster) -> None:
    cluster.answers["create_namespaced_event"] = CallError(409, "exists")
    assert tell("nightly", None, "me", 0) == []


def test_without_the_right_to_create_events_the_log_has_it(cluster: FakeCluster) -> None:
    cluster.answers["create_namespaced_event"] = refused("create")
    assert tell("nightly", None, "me", 0) == [TEXT]


@pytest.mark.parametrize(
    "answer", [refused("list"), CallError(0, "no answer"), {"items": [{}]}, {"items": [{"metadata": None}]}]
)
def test_what_cannot_be_read_ends_no_pass(cluster: FakeCluster, answer: Any) -> None:
    cluster.answers["list_namespaced_job"] = answer
    with pytest.raises(UntoldError, match="how the passes before this one ended"):
        tell("nightly", None, "me", 0)


def test_nor_does_a_missing_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: float) -> None:
        raise NoClusterError("no token")

    monkeypatch.setattr(killed_passes, "connect", none)
    with pytest.raises(UntoldError, match="no token"):
        tell("nightly", None, "me", 0)
