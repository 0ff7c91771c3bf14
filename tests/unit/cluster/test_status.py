"""What `clearml-cleanup status` knows, with all rights, with some, and with none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cleanup_job.cli.status_text import result
from cleanup_job.cluster.connection import CallError
from cleanup_job.cluster.lease_status import LeaseStatus
from cleanup_job.cluster.pass_result import PassResult
from cleanup_job.cluster.status import Status, read
from tests.unit.cluster.kubernetes_fake import FakeCluster, refused

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENV = [{"name": "CLEANUP_LEASE", "value": "clearml-cleanup"}]
TEMPLATE = {"spec": {"containers": [{"name": "clearml-cleanup", "env": ENV}]}}
CRONJOB: dict[str, Any] = {
    "metadata": {"name": "clearml-cleanup", "uid": "u1"},
    "spec": {"schedule": "0 3 * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": {"template": TEMPLATE}}},
    "status": {"lastScheduleTime": "2026-11-23T02:00:00Z", "lastSuccessfulTime": "2026-11-23T02:01:00Z"},
}
LEASE = {"spec": {"holderIdentity": "pod-1_1_ab", "acquireTime": "2026-11-23T11:00:00.000000Z", "renewTime": None}}
DID = "archived 30 tasks, slimmed 12 tasks (1.0 MiB), gave notice to 1 task"
WOULD = "archive 30 tasks, slim 12 tasks (1.0 MiB), give notice to 1 task"
POLICIES = {"archived": 30, "slimmed": 12, "slimmed_bytes": 1 << 20, "noticed": 1}
SUMMARY = {"dry_run": False, "deleted": 1200, "files": 3, "kept": 2, "failed": 1, "left": 0, "error": None}


def job(
    name: str, *, created: str, owner: str = "u1", condition: str = "", manual: bool = False, reason: str = ""
) -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True", "reason": reason}] if condition else []
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "ownerReferences": [{"uid": owner}],
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"} if manual else None,
        },
        "spec": {"template": TEMPLATE},
        "status": {"startTime": "2026-11-23T02:00:00Z", "conditions": conditions},
    }


def pod(of: str, *, code: int | None = None, message: str = "", created: str = "1", index: str = "") -> dict[str, Any]:
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code, "message": message}}
    labels = {"batch.kubernetes.io/job-name": of} | ({"batch.kubernetes.io/job-completion-index": index} if index else {})
    return {
        "metadata": {"name": f"{of}-{created}", "creationTimestamp": created, "labels": labels},
        "spec": TEMPLATE["spec"],
        "status": {"containerStatuses": [{"name": "clearml-cleanup", "state": state}]},
    }


def status(cronjob: dict[str, Any] = CRONJOB, **answers: Any) -> Status:
    nothing = {"items": []}
    everything = {"read_namespaced_lease": LEASE, "list_namespaced_job": nothing, "list_namespaced_pod": nothing}
    everything["list_namespaced_event"] = nothing
    cluster: Any = FakeCluster(**everything | answers)
    return read(cluster, "ml", cronjob, NOW)


def test_schedule_lease_and_times() -> None:
    found = status()
    assert (found.schedule, found.time_zone, found.suspended) == ("0 3 * * *", "Europe/Berlin", False)
    assert found.next_run == "2026-11-24T03:00:00+01:00"
    assert (found.last_schedule, found.last_success) == ("2026-11-23T02:00:00Z", "2026-11-23T02:01:00Z")
    assert found.leases[0] == LeaseStatus("clearml-cleanup", "ml", "held", "pod-1_1_ab", "2026-11-23T11:00:00+00:00")
    assert found.missing == []


def test_suspended_it_has_no_next_run() -> None:
    found = status({**CRONJOB, "spec": {**CRONJOB["spec"], "suspend": True}})
    assert (found.suspended, found.next_run) == (True, None)


@pytest.mark.parametrize(
    ("lease", "state"),
    [
        ({"spec": {}}, "free"),
        ({"metadata": {"name": "clearml-cleanup"}}, "free"),
        (CallError(404, "no"), "absent"),
        ({"spec": LEASE["spec"] | {"renewTime": "2026-11-23T11:59:00.000000Z", "leaseDurationSeconds": 61}}, "held"),
        ({"spec": LEASE["spec"] | {"renewTime": "2026-11-23T11:59:00.000000Z", "leaseDurationSeconds": 59}}, "expired"),
    ],
)
def test_what_a_lease_can_be(lease: Any, state: str) -> None:
    found = status(read_namespaced_lease=lease)
    assert found.leases
    assert (found.leases[0].state, found.missing) == (state, [])


def test_a_lease_that_may_not_be_read_is_not_called_free() -> None:
    found = status(read_namespaced_lease=refused("get"))
    assert found.leases
    assert (found.leases[0].state, len(found.missing)) == ("unknown", 1)


def test_without_a_lease_none_is_looked_for() -> None:
    bare = {"spec": {"containers": [{"name": "clearml-cleanup"}]}}
    found = status({**CRONJOB, "spec": {**CRONJOB["spec"], "jobTemplate": {"spec": {"template": bare}}}})
    assert found.leases == []


def test_passes_are_its_own_newest_first_with_what_they_said() -> None:
    jobs = [
        job("old", created="1", condition="Complete"),
        job("others", created="2", owner="u2"),
        job("new", created="3", condition="Failed", manual=True, reason="PodFailurePolicy"),
    ]
    pods = [
        pod("old", code=0, message=json.dumps(SUMMARY)),
        pod("new", code=4, message="error: first", created="1"),
        pod("new", code=2, message="error: wrong key", created="2"),
    ]
    found = status(list_namespaced_job={"items": jobs}, list_namespaced_pod={"items": pods})
    assert [(entry.job, entry.state, entry.manual, entry.exit_code) for entry in found.passes] == [
        ("new", "failed", True, 2),
        ("old", "complete", False, 0),
    ]
    assert found.passes[0].said == "error: wrong key"
    assert found.passes[1].summary == SUMMARY


def test_a_pass_whose_pod_is_gone_is_what_its_job_says() -> None:
    jobs = [job("a", created="1", condition="Failed", reason="BackoffLimitExceeded"), job("b", created="2")]
    found = status(list_namespaced_job={"items": jobs})
    assert [(entry.state, entry.reason, entry.exit_code) for entry in found.passes] == [
        ("waiting", "", None),
        ("failed", "BackoffLimitExceeded", None),
    ]


def test_a_pass_that_runs() -> None:
    found = status(list_namespaced_job={"items": [job("a", created="1")]}, list_namespaced_pod={"items": [pod("a")]})
    assert found.passes[0].state == "running"
    assert found.active == ["a"]


def test_active_are_those_that_have_not_ended_however_many_came_after() -> None:
    jobs = [job(f"done-{number}", created=str(number), condition="Complete") for number in range(2, 9)]
    jobs += [job(f"new-{number}", created=f"9{number}", condition="Failed") for number in range(9)]
    found = status(list_namespaced_job={"items": [job("long", created="1"), *jobs]})
    assert (found.active, len(found.passes)) == (["long"], 10)


def test_without_the_right_to_list_jobs_the_cronjob_says_which_are_active() -> None:
    found = status({**CRONJOB, "status": {"active": [{"name": "a"}]}}, list_namespaced_job=refused("list"))
    assert (found.active, found.passes) == (["a"], [])
    assert "may not list jobs.batch" in found.missing[0]


@pytest.mark.parametrize("message", ["{}", "[1]", '"done"', '{"deleted": "many"}'])
def test_what_is_no_summary_is_shown_as_it_is(message: str) -> None:
    found = status(
        list_namespaced_job={"items": [job("a", created="1", condition="Failed")]},
        list_namespaced_pod={"items": [pod("a", code=1, message=message)]},
    )
    assert (found.passes[0].summary, found.passes[0].said) == (None, message)
    assert message in result(found.passes[0])


def test_missing_rights_are_named_and_the_rest_is_told() -> None:
    found = status(
        read_namespaced_lease=refused("get"),
        list_namespaced_job={"items": [job("a", created="1")]},
        list_namespaced_pod=refused("list"),
    )
    assert [entry.job for entry in found.passes] == ["a"]
    assert "may not get leases.coordination.k8s.io in namespace ml" in found.missing[0]
    assert "may not list pods in namespace ml" in found.missing[1]
    assert found.next_run


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"exit_code": 0, "summary": SUMMARY}, "done (exit code 0): deleted 1,200 tasks, 3 files, 2 kept, 1 failed"),
        (
            {"exit_code": 0, "summary": {"dry_run": True, "deleted": 1, "files": 0}},
            "done (exit code 0): would delete 1 task, 0 files",
        ),
        (
            {"exit_code": 2, "said": "error: wrong key"},
            "wrong settings or credentials, or refused (exit code 2): error: wrong key",
        ),
        (
            {"exit_code": 0, "summary": SUMMARY | POLICIES},
            f"done (exit code 0): deleted 1,200 tasks, 3 files, {DID}, 2 kept, 1 failed",
        ),
        (
            {"exit_code": 0, "summary": {"dry_run": True, "deleted": 0, "files": 0} | POLICIES},
            f"done (exit code 0): would delete 0 tasks, 0 files, {WOULD}",
        ),
        ({"exit_code": 99}, "unknown (exit code 99)"),
        (
            {"state": "failed", "reason": "BackoffLimitExceeded", "message": "Job has reached it"},
            "failed: BackoffLimitExceeded: Job has reached it; its pods are gone, and what they said",
        ),
        ({"exit_code": 0, "said": "handed over to …", "skipped": "handed_over"}, "handed over to …"),
        (
            {"exit_code": 0, "summary": SUMMARY | {"bytes": 5 << 20}},
            "done (exit code 0): deleted 1,200 tasks, 3 files (5.0 MiB), 2 kept, 1 failed",
        ),
        (
            {
                "exit_code": 143,
                "explanation": "evicted: full",
                "summary": SUMMARY,
                "tries": 2,
                "max_tries": 3,
                "state": "failed",
            },
            "evicted: full; deleted 1,200 tasks, 3 files, 2 kept, 1 failed; 2nd of 3 tries",
        ),
        (
            {"exit_code": 4, "said": "error: x", "tries": 11, "max_tries": 11},
            "server unreachable, or the audit log could not be written (exit code 4): error: x; 11th of 11 tries",
        ),
        ({"state": "suspended"}, "suspended (spec.suspend of the Job): it starts no pod"),
        ({"state": "waiting", "obstacles": ["Job a has no pod: no"]}, "waiting for its pod to start; Job a has no pod: no"),
        ({"state": "running", "tries": 1, "max_tries": 3}, "running"),
        ({"state": "running"}, "running"),
    ],
)
def test_a_pass_in_a_line(entry: dict[str, Any], text: str) -> None:
    nothing: dict[str, Any] = {"state": "complete", "reason": "", "exit_code": None, "summary": None, "said": ""}
    assert result(PassResult(job="a", started=None, finished=None, manual=False, **nothing | entry)) == text


# -- shards
def test_each_shard_has_a_lease() -> None:
    cronjob = json.loads(json.dumps(CRONJOB))
    container = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "CLEANUP_SHARDS", "value": "3"})
    assert [lease.name for lease in status(cronjob).leases] == ["clearml-cleanup"]


def test_the_shards_of_a_pass_are_summed_up_in_one_line() -> None:
    indexed = job("a", created="1", condition="Failed", reason="FailedIndexes")
    indexed["spec"] |= {"completionMode": "Indexed", "completions": 3}
    pods = [
        pod("a", code=0, message=json.dumps(SUMMARY | {"exit_code": 0, "seconds": 3.5}), index="0"),
        pod("a", code=4, message="error: gone", created="1", index="1"),
        pod("a", code=0, message=json.dumps(SUMMARY | {"exit_code": 0, "seconds": 9.5}), created="2", index="1"),  # tried again
        pod("a", code=3, message=json.dumps(SUMMARY | {"exit_code": 3, "error": "x"}), index="2"),
    ]
    (entry,) = status(list_namespaced_job={"items": [indexed]}, list_namespaced_pod={"items": pods}).passes
    assert entry.summary is not None
    assert (entry.exit_code, entry.summary["deleted"], entry.summary["failed"], entry.summary["seconds"]) == (3, 3600, 3, 9.5)
    assert entry.summary["left_at_least"] is False
    assert [(one["shard"], one["exit_code"]) for one in entry.shards or []] == [(0, 0), (1, 0), (2, 3)]
    assert result(entry) == (
        "done in part: the next pass continues with the rest (exit code 3): deleted 3,600 tasks, 9 files, 6 kept, "
        "3 failed; x [3 of 3 shards ended, failed: 2]"
    )


@pytest.mark.parametrize(
    ("left", "text"),
    [
        ([(7, False), (3, False)], "10 left"),
        ([(7, False), (1500, True)], "at least 1,507 left"),
        ([(0, True), (0, False)], "more may be left"),
    ],
)
def test_what_the_shards_left_is_at_least_their_sum_if_one_of_them_did_not_find_all(
    left: list[tuple[int, bool]], text: str
) -> None:
    indexed = job("a", created="1", condition="Complete")
    indexed["spec"] |= {"completionMode": "Indexed", "completions": 2}
    pods = [
        pod("a", code=0, message=json.dumps(SUMMARY | {"left": number, "left_at_least": least}), index=str(shard))
        for shard, (number, least) in enumerate(left)
    ]
    (entry,) = status(list_namespaced_job={"items": [indexed]}, list_namespaced_pod={"items": pods}).passes
    assert result(entry).endswith(f", {text} [2 of 2 shards ended]")


def test_what_policies_did_in_shards_is_added_up_however_each_of_them_says_it() -> None:
    indexed = job("a", created="1", condition="Complete")
    indexed["spec"] |= {"completionMode": "Indexed", "completions": 3}
    summaries = (SUMMARY, SUMMARY | POLICIES | {"stages": [{"stage": "slim"}]}, SUMMARY | POLICIES | {"stages": 70})
    pods = [pod("a", code=0, message=json.dumps(one), index=str(shard)) for shard, one in enumerate(summaries)]
    (entry,) = status(list_namespaced_job={"items": [indexed]}, list_namespaced_pod={"items": pods}).passes
    assert entry.summary is not None
    assert [entry.summary[name] for name in ("archived", "slimmed", "noticed", "stages")] == [60, 24, 2, 71]


def test_a_pass_whose_shards_still_work_has_no_exit_code() -> None:
    indexed = job("a", created="1")
    indexed["spec"] |= {"completionMode": "Indexed", "completions": 2}
    pods = [pod("a", code=0, message=json.dumps(SUMMARY), index="0"), pod("a", index="1")]
    (entry,) = status(list_namespaced_job={"items": [indexed]}, list_namespaced_pod={"items": pods}).passes
    assert (entry.state, entry.exit_code) == ("running", None)
    assert result(entry).startswith("running")


# -- the last week
def test_the_sums_of_the_last_week() -> None:
    times = {"old": "2026-11-16T11:59:59Z", "new": "2026-11-16T12:00:01Z", "dry": "2026-11-20T02:00:00Z"}
    jobs = [job(name, created=name, condition="Complete") for name in (*times, "failed", "agent")]
    jobs[3]["status"]["conditions"][0]["type"] = "Failed"
    for one in jobs[:3]:
        one["status"]["startTime"] = times[one["metadata"]["name"]]
    pods = [
        pod("old", code=0, message=json.dumps(SUMMARY)),
        pod("new", code=0, message=json.dumps(SUMMARY | {"bytes": 1 << 20, "models": 2})),
        pod("dry", code=0, message=json.dumps(SUMMARY | {"dry_run": True})),
        pod("failed", code=3, message=json.dumps(SUMMARY | {"deleted": 7}), created="1"),
        pod("failed", code=137, created="2"),
        pod("agent", code=0, message=json.dumps({"event": "enqueued", "message": "handed over"})),
    ]
    found = status(list_namespaced_job={"items": jobs}, list_namespaced_pod={"items": pods}).week
    assert (found.passes, found.failed, found.dry_runs) == (3, 1, 1)
    assert (found.tasks, found.files, found.models, found.bytes) == (1207, 6, 2, 1 << 20), "earlier tries deleted something too"


def test_a_week_has_what_policies_did_and_says_nothing_of_them_without() -> None:
    one = job("a", created="1", condition="Complete")
    one["status"]["startTime"] = "2026-11-20T02:00:00Z"
    for summary, policies in ((SUMMARY, {}), (SUMMARY | POLICIES, {"archived": 30, "slimmed": 12, "slimmed_bytes": 1 << 20})):
        pods = [pod("a", code=0, message=json.dumps(summary))]
        week = status(list_namespaced_job={"items": [one]}, list_namespaced_pod={"items": pods}).as_document()["week"]
        assert {name: value for name, value in week.items() if name in {"archived", "slimmed", "slimmed_bytes"}} == policies


@pytest.mark.parametrize(("kept", "before", "complete"), [(3, False, False), (2, False, True), (3, True, True)])
def test_a_week_is_complete_unless_jobs_may_have_been_deleted(kept: int, before: bool, complete: bool) -> None:
    jobs = [job(f"a{number}", created=str(number), condition="Complete") for number in range(kept)]
    if before:
        jobs[0]["status"]["startTime"] = "2026-11-01T02:00:00Z"
    assert status(list_namespaced_job={"items": jobs}).week.complete is complete


# -- why there is no pod
def test_why_a_job_has_no_pod_is_asked_only_for_one_that_has_none() -> None:
    refusal = {"involvedObject": {"name": "a"}, "reason": "FailedCreate", "message": "Error creating: exceeded quota: small"}
    answers = {"list_namespaced_job": {"items": [job("a", created="1")]}, "list_namespaced_event": {"items": [refusal]}}
    assert status(**answers).passes[0].obstacles == ["Job a has no pod: exceeded quota: small"]
    assert status(**answers, list_namespaced_pod={"items": [pod("a")]}).passes[0].obstacles == []
    found = status(**answers | {"list_namespaced_event": refused("list")})
    assert (found.passes[0].obstacles, found.missing) == ([], [])


def test_a_lease_whose_holder_ended() -> None:
    held = LEASE["spec"] | {"holderIdentity": "clearml-cleanup-1-abcde_1_0a", "renewTime": "2026-11-23T11:59:50.000000Z"}
    found = status(read_namespaced_lease={"spec": held | {"leaseDurationSeconds": 60}})
    assert found.ended_holders == ["clearml-cleanup-1-abcde_1_0a"]
    assert (found.leases[0].state, found.leases[0].expires) == ("held", "2026-11-23T12:00:50+00:00")


def test_a_missed_run_is_known() -> None:
    late = {**CRONJOB, "status": {"lastScheduleTime": "2026-11-22T02:00:00Z"}}
    found = status(late).missed
    assert found is not None
    assert found.at == "2026-11-23T03:00:00+01:00"
    assert status().missed is None
