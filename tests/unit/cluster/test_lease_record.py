"""What a Lease's document says, and what becomes of what others wrote into it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cleanup_job.cluster.lease_record import SHARD, Claim, Holder, LeaseRecord, Part, as_body, as_record

NOW = datetime(2025, 1, 1, tzinfo=UTC)
OTHERS = {"annotations": {"meta.helm.sh/release-name": "nightly"}, "labels": {"team": "ml"}, "resourceVersion": "7"}


@pytest.mark.parametrize("part", [None, Part("job", 2)])
def test_a_lease_is_written_as_it_was_read_and_what_others_wrote_stays(part: Part | None) -> None:
    lease = Holder("me", part).taken(as_record({"metadata": OTHERS, "spec": {"leaseTransitions": 3}}), NOW, 60)
    body = as_body(lease)
    assert as_record(body) == lease
    assert body["spec"]["leaseTransitions"] == 4
    assert body["metadata"] | {"annotations": None} == OTHERS | {"annotations": None}
    mine = {f"{SHARD}2": "me 2025-01-01T00:00:00.000000Z"} if part else {}
    assert body["metadata"]["annotations"] == OTHERS["annotations"] | mine


@pytest.mark.parametrize(
    "body", [{}, {"metadata": {"name": "x"}}, {"spec": None}, {"spec": {}, "metadata": {"annotations": None}}]
)
def test_an_empty_lease_is_free(body: dict[str, Any]) -> None:
    assert as_record(body).claim is None


@pytest.mark.parametrize("text", ["", "  ", "who", "who never", "who 2025-01-01", "who 2025-01-01T00:00:00Z more"])
def test_an_annotation_that_people_wrote_counts_until_it_is_seen_not_to_change(text: str) -> None:
    lease = as_record(
        {"metadata": {"annotations": {f"{SHARD}0": text}}, "spec": {"holderIdentity": "job", "leaseDurationSeconds": 60}}
    )
    claim = Holder("me", Part("job", 0)).rival(lease)
    assert claim == (Claim("who", None, 60, text) if text.strip() else None)


@pytest.mark.parametrize(("seconds", "alive"), [(0, True), (60, True), (61, False), (-60, True), (-7200, False)])
def test_a_clock_that_is_far_ahead_says_nothing(seconds: float, alive: bool) -> None:
    claim = LeaseRecord("other", NOW, NOW, 60).claim
    assert claim
    assert claim.seems_alive(NOW + timedelta(seconds=seconds)) == alive


@pytest.mark.parametrize("lease", [LeaseRecord("by hand", None, None, 60), LeaseRecord("by hand", None, NOW, 0)])
def test_one_without_a_time_or_a_duration_never_expires(lease: LeaseRecord) -> None:
    assert lease.claim
    assert lease.claim.duration == 0
    assert lease.claim.seems_alive(NOW + timedelta(days=365))
