"""One pass at a time, against a real API server."""

import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from cleanup_job.cluster import lease as lease_module
from cleanup_job.cluster.lease import hold
from cleanup_job.cluster.lease_record import SHARD, Part
from cleanup_job.errors import LeaseHeldError, SettingsError, UnreachableError
from tests.e2e.line import Line
from tests.e2e.release import command

pytestmark = pytest.mark.e2e

HOLDER = Path(__file__).parent / "holder.py"
GROUP = "coordination.k8s.io"


class Holder:
    """Another pass, in a process of its own."""

    def __init__(self, name: str, namespace: str, seconds: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HOLDER), name, namespace, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> tuple[str, str]:
        """The next thing it says: `held`, `refused` or `lost`, and by whom or why."""
        assert self.process.stdout
        what, _, rest = self.process.stdout.readline().strip().partition(" ")
        return what, rest

    def ends(self) -> int:
        with suppress(ValueError):  # its streams are closed already
            self.process.communicate()
        return self.process.wait()


@pytest.fixture
def start(namespace: str) -> Iterator[Callable[..., Holder]]:
    holders: list[Holder] = []

    def make(name: str, seconds: float = 60) -> Holder:
        holders.append(Holder(name, namespace, seconds))
        return holders[-1]

    yield make
    for holder in holders:
        holder.process.kill()
        holder.ends()


@pytest.fixture
def name(namespace: str, leases: client.CoordinationV1Api) -> str:
    """A Lease as the chart creates it."""
    name = f"cleanup-{uuid.uuid4().hex[:8]}"
    leases.create_namespaced_lease(namespace, {"metadata": {"name": name}})
    return name


@pytest.fixture
def leases(cluster: Any) -> client.CoordinationV1Api:
    return client.CoordinationV1Api(cluster)


def holder_of(leases: client.CoordinationV1Api, name: str, namespace: str) -> str | None:
    spec = leases.read_namespaced_lease(name, namespace).spec
    assert spec
    return spec.holder_identity


def take(name: str, namespace: str, **options: Any) -> str:
    """Hold the Lease for a moment, in this process."""
    with hold(name, namespace, on_lost=pytest.fail, **options) as held:
        return held.identity


def test_of_passes_that_start_together_exactly_one_runs(name: str, namespace: str, start: Callable[..., Holder]) -> None:
    holders = [start(name) for _ in range(4)]
    said = [holder.says() for holder in holders]
    assert sorted(what for what, _ in said) == ["held", "refused", "refused", "refused"]
    identity = next(rest for what, rest in said if what == "held")
    assert all(identity in rest for _, rest in said)
    assert sorted(holder.ends() for holder in holders) == [0, 5, 5, 5]


def test_after_a_pass_the_next_one_starts_at_once(
    name: str, namespace: str, start: Callable[..., Holder], leases: client.CoordinationV1Api
) -> None:
    first = start(name)
    assert first.says()[0] == "held"
    with pytest.raises(LeaseHeldError):
        take(name, namespace)
    assert first.ends() == 0
    assert holder_of(leases, name, namespace) is None
    began = time.monotonic()
    take(name, namespace)
    assert time.monotonic() - began < 60 / 2  # no wait for anything to expire
    assert leases.read_namespaced_lease(name, namespace).spec.lease_transitions == 2


def test_after_a_kill_the_next_pass_starts_when_the_lease_has_expired(
    name: str, namespace: str, start: Callable[..., Holder]
) -> None:
    killed = start(name, seconds=3)
    what, identity = killed.says()
    assert what == "held"
    killed.process.kill()
    killed.ends()
    with pytest.raises(LeaseHeldError, match=identity):
        take(name, namespace)
    assert take(name, namespace, duration=3, wait=60)


def taken_within(seconds: float, name: str, namespace: str) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(LeaseHeldError):
            return bool(take(name, namespace))
        time.sleep(0.5)
    return False


def test_renewals_keep_a_pass_safe_far_beyond_one_duration(name: str, namespace: str, start: Callable[..., Holder]) -> None:
    holder = start(name, seconds=3)
    assert holder.says()[0] == "held"
    assert not taken_within(9, name, namespace)
    assert holder.ends() == 0


def test_a_pass_notices_that_its_lease_was_deleted(
    name: str, namespace: str, start: Callable[..., Holder], leases: client.CoordinationV1Api
) -> None:
    holder = start(name, seconds=3)
    assert holder.says()[0] == "held"
    leases.delete_namespaced_lease(name, namespace)
    what, reason = holder.says()
    assert what == "lost"
    assert "was deleted" in reason
    with hold(name, namespace, duration=1, on_lost=pytest.fail) as held:
        assert holder.ends() == 0
        assert holder_of(leases, name, namespace) == held.identity


def test_a_pass_notices_that_its_right_was_taken_away(
    name: str, namespace: str, account: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, cluster: Any
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account(role(name))))
    lost: list[str] = []
    told = threading.Event()

    def note(reason: str) -> None:
        lost.append(reason)
        told.set()

    with hold(name, namespace, duration=12, on_lost=note) as held:  # so that it can't have expired
        client.RbacAuthorizationV1Api(cluster).delete_collection_namespaced_role_binding(namespace)
        assert told.wait(60)
        assert held.is_safe() is False
    assert "The right to the Lease" in lost[0]
    assert "cannot get resource" in lost[0]


def test_pods_of_one_job_hold_it_together_and_labels_and_annotations_of_others_stay(
    name: str, namespace: str, leases: client.CoordinationV1Api
) -> None:
    with (
        hold(name, namespace, duration=3, part=Part("job", 0), on_lost=pytest.fail),
        hold(name, namespace, duration=3, part=Part("job", 1), on_lost=pytest.fail) as second,
    ):
        leases.patch_namespaced_lease(name, namespace, {"metadata": {"annotations": {"team": "ml"}}})
        with pytest.raises(LeaseHeldError, match="Another pass, job, holds"):
            take(name, namespace)
        with pytest.raises(LeaseHeldError, match=f"Another pod of this shard, {second.identity}, holds"):
            take(name, namespace, part=Part("job", 1))
        before = annotations_of(leases, name, namespace)
        assert set(before) == {"team", f"{SHARD}0", f"{SHARD}1"}
        until_renewed = time.monotonic() + 60
        while any(before[key] == annotations_of(leases, name, namespace)[key] for key in before if key != "team"):
            assert time.monotonic() < until_renewed
            time.sleep(0.1)
    assert holder_of(leases, name, namespace) is None
    assert annotations_of(leases, name, namespace) == {"team": "ml"}


def annotations_of(leases: client.CoordinationV1Api, name: str, namespace: str) -> dict[str, str]:
    metadata = leases.read_namespaced_lease(name, namespace).metadata
    assert metadata
    return dict(metadata.annotations or {})


def test_a_pass_notices_that_its_lease_was_taken_and_leaves_it_to_the_taker(
    name: str, namespace: str, start: Callable[..., Holder], leases: client.CoordinationV1Api
) -> None:
    holder = start(name, seconds=3)
    assert holder.says()[0] == "held"
    leases.patch_namespaced_lease(name, namespace, {"spec": {"holderIdentity": "thief"}})
    what, reason = holder.says()
    assert what == "lost"
    assert "is held by thief" in reason
    assert holder.ends() == 0
    assert holder_of(leases, name, namespace) == "thief"


def test_labels_that_others_put_on_the_lease_stay_and_disturb_nothing(
    name: str, namespace: str, leases: client.CoordinationV1Api
) -> None:
    with hold(name, namespace, duration=3, on_lost=pytest.fail):
        leases.patch_namespaced_lease(name, namespace, {"metadata": {"labels": {"team": "ml"}}})
        renewed = leases.read_namespaced_lease(name, namespace).spec.renew_time
        while leases.read_namespaced_lease(name, namespace).spec.renew_time == renewed:
            time.sleep(0.1)
    lease = leases.read_namespaced_lease(name, namespace)
    assert lease.metadata
    assert lease.metadata.labels == {"team": "ml"}
    assert holder_of(leases, name, namespace) is None


def test_the_command_line_is_refused_too_before_it_asks_clearml_for_anything(name: str, namespace: str) -> None:
    nobody = {"CLEARML_API_HOST": "http://127.0.0.1:1", "CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}
    lease = {"CLEANUP_LEASE": name, "CLEANUP_LEASE_NAMESPACE": namespace, "CLEANUP_LEASE_WAIT_SECONDS": "1"}
    with hold(name, namespace, on_lost=pytest.fail) as held:
        words = [sys.executable, "-m", "cleanup_job", "run"]
        refused = subprocess.run(
            words, env=os.environ | nobody | lease, capture_output=True, text=True, timeout=120, check=False
        )
    assert refused.returncode == LeaseHeldError.exit_code, refused.stderr
    assert held.identity in refused.stdout + refused.stderr


def test_the_way_out_that_a_refusal_names_frees_the_lease(name: str, namespace: str, start: Callable[..., Holder]) -> None:
    dead = start(name, seconds=600)
    assert dead.says()[0] == "held"
    dead.process.kill()
    dead.ends()
    with pytest.raises(LeaseHeldError) as refused:
        take(name, namespace)
    way_out = re.search(r"kubectl patch .*", str(refused.value))
    assert way_out
    command("bash", "-c", way_out[0])
    assert take(name, namespace)


# -- rights
def role(name: str) -> list[dict[str, Any]]:
    """What the chart grants."""
    return [{"apiGroups": [GROUP], "resources": ["leases"], "resourceNames": [name], "verbs": ["get", "update"]}]


def test_the_role_of_the_chart_is_enough(
    name: str, account: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, leases: client.CoordinationV1Api, namespace: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account(role(name))))
    for _ in range(2):  # the namespace is the context's
        with hold(name, on_lost=pytest.fail) as held:
            assert holder_of(leases, name, namespace) == held.identity
    assert holder_of(leases, name, namespace) is None


@pytest.mark.parametrize(("granted", "missing"), [([], "get"), (["get"], "update")])
def test_a_missing_right_is_an_error_that_names_it(
    granted: list[str], missing: str, name: str, account: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"apiGroups": [GROUP], "resources": ["leases"], "verbs": granted}] if granted else []
    monkeypatch.setenv("KUBECONFIG", str(account(rules)))
    monkeypatch.setattr(lease_module, "_ACQUIRE_PAUSES", ())
    with (
        pytest.raises(SettingsError, match=rf"not allow this account to {missing} .*cannot {missing} resource") as refused,
        hold(name, on_lost=pytest.fail),  # in the namespace of the kubeconfig's context
    ):
        pass
    assert "CLEANUP_LEASE" in str(refused.value)


def test_a_lease_that_is_not_there_and_may_not_be_created_says_what_to_do(
    name: str, namespace: str, account: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, leases: client.CoordinationV1Api
) -> None:
    leases.delete_namespaced_lease(name, namespace)
    with monkeypatch.context() as patch:
        patch.setenv("KUBECONFIG", str(account(role(name))))
        patch.setattr(lease_module, "_ACQUIRE_PAUSES", ())
        with pytest.raises(SettingsError, match="cannot create resource") as refused:
            take(name, namespace)
    assert "lease.create=true" in str(refused.value)
    way_out = re.search(r"kubectl create .*", str(refused.value))
    assert way_out
    command("bash", "-c", way_out[0])
    assert take(name, namespace)


def test_a_namespace_that_is_not_there_is_an_error_that_names_the_setting(kubeconfig: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="CLEANUP_LEASE_NAMESPACE"):
        take(name, "no-such-namespace")


# -- the network
@pytest.fixture
def line(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line(kubeconfig, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(line.kubeconfig))
    yield line
    line.cut()


def test_a_pass_that_loses_the_network_is_told_before_the_next_one_can_start(
    name: str, namespace: str, line: Line, kubeconfig: Path
) -> None:
    lost = threading.Event()
    with hold(name, namespace, duration=6, on_lost=lambda _: lost.set()) as held:
        line.cut()
        assert lost.wait(60)
        os.environ["KUBECONFIG"] = str(kubeconfig)
        with pytest.raises(LeaseHeldError, match=held.identity):
            take(name, namespace)


def test_without_an_api_server_the_pass_does_not_start(
    name: str, namespace: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_ACQUIRE_PAUSES", ())
    line.cut()
    with pytest.raises(UnreachableError, match="Kubernetes API gave no usable answer"):
        take(name, namespace)
