"""To whom a Lease belongs that a pass creates; what calls that fail mean is in test_lease.py."""

from typing import Any

import pytest

from cleanup_job.cluster import lease_api
from cleanup_job.cluster.connection import CallError
from cleanup_job.cluster.lease_api import KubernetesLeases, LeaseChangedError
from cleanup_job.cluster.lease_record import LeaseRecord
from cleanup_job.errors import UnreachableError
from tests.unit.cluster.kubernetes_fake import FakeCluster

FREE = LeaseRecord("", None, None, 60)
HELM = {"meta.helm.sh/release-name": "nightly", "meta.helm.sh/release-namespace": "ml"}
LABELS = {
    "app.kubernetes.io/name": "clearml-cleanup",
    "app.kubernetes.io/instance": "nightly",
    "app.kubernetes.io/managed-by": "Helm",
}
CRONJOB = {
    "metadata": {
        "uid": "u-1",
        "labels": LABELS | {"helm.sh/chart": "x"},
        "annotations": HELM | {"argocd.argoproj.io/tracking-id": "x"},
    }
}


def created(monkeypatch: pytest.MonkeyPatch, cronjob: Any, answer: Any = None) -> dict[str, Any]:
    """The Lease that is created beside this CronJob."""
    cluster = FakeCluster(read_namespaced_cron_job=cronjob, create_namespaced_lease=answer)
    monkeypatch.setattr(lease_api, "connect", lambda _: cluster)
    KubernetesLeases(1).create("ml", "nightly", FREE)
    (namespace, body) = cluster.asked[-1][1]
    assert (namespace, cluster.asked[0][1]) == ("ml", ("nightly", "ml"))
    return dict(body["metadata"])


def test_it_is_deleted_with_the_cronjob_of_the_same_name_and_helm_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u-1"}
    expected = {"name": "nightly", "labels": LABELS, "annotations": HELM, "ownerReferences": [owner]}
    assert created(monkeypatch, CRONJOB) == expected


@pytest.mark.parametrize("status", [401, 403, 404])
def test_without_one_that_may_be_read_it_belongs_to_no_one(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    metadata = created(monkeypatch, CallError(status, "no"))
    assert "ownerReferences" not in metadata
    assert metadata["labels"] == {"app.kubernetes.io/name": "clearml-cleanup"}


def test_without_an_answer_it_is_not_created(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableError):
        created(monkeypatch, CallError(0, "no route"))


def test_one_that_exists_is_not_created_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LeaseChangedError):
        created(monkeypatch, CRONJOB, CallError(409, "exists"))
