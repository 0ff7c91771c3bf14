"""The guard against an in-memory API that refuses stale writes, as the real one does; tests/e2e asks the real one."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.cluster import lease_api
from cleanup_job.cluster.connection import CallError
from cleanup_job.cluster.lease import LeaseGuard, hold
from cleanup_job.cluster.lease_api import KubernetesLeases, LeaseChangedError, LeaseRecord
from cleanup_job.errors import LeaseHeldError, SettingsError, UnreachableError

START = datetime(2025, 1, 1, tzinfo=UTC)
DURATION = 60.0


class Cluster:
    """One Lease, and a clock that advances only while a guard waits."""

    namespace = "clearml"

    def __init__(self, lease: LeaseRecord | None = None) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self.lease: LeaseRecord | None = None
        self.seconds = 0.0
        self.failing = 0
        """So many of the next requests fail, each after `fails_after` seconds."""
        self.fails_after = 0.0
        self.while_asleep: Callable[[], object] = lambda: None
        if lease:
            self.put(lease)

    def put(self, lease: LeaseRecord | None) -> None:
        self._version += 1
        self.lease = lease and replace(lease, metadata={"resourceVersion": str(self._version)})

    def held_by(self, holder: str, *, renewed: datetime | None = START) -> None:
        self.put(LeaseRecord(holder, START, renewed, DURATION))

    @property
    def holder(self) -> str | None:
        return self.lease.holder if self.lease else None

    # -- the API
    def get(self, namespace: str, name: str) -> LeaseRecord | None:
        self._answer(namespace, name)
        return self.lease

    def create(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        self._answer(namespace, name)
        with self._lock:
            if self.lease is not None:
                raise LeaseChangedError
            self.put(lease)

    def replace(self, namespace: str, name: str, lease: LeaseRecord) -> None:
        self._answer(namespace, name)
        with self._lock:
            if self.lease is None or self.lease.metadata != lease.metadata:
                raise LeaseChangedError
            self.put(lease)

    def _answer(self, namespace: str, name: str) -> None:
        assert (namespace, name) == ("clearml", "cleanup")
        if self.failing:
            self.failing -= 1
            self.seconds += self.fails_after
            raise UnreachableError("no route to host")

    # -- time
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.while_asleep()

    def guard(self, identity: str = "me", now: Callable[[], datetime] | None = None) -> LeaseGuard:
        return LeaseGuard(
            self,
            "cleanup",
            identity=identity,
            duration=DURATION,
            now=now or self.now,
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
        )


def keep(cluster: Cluster, guard: LeaseGuard, until: float) -> list[str]:
    """Let the guard renew until that second; gives what it said about a loss."""
    lost: list[str] = []

    def stopped(seconds: float) -> bool:
        cluster.sleep(seconds)
        return cluster.seconds >= until

    guard.keep(stopped, lost.append)
    return lost


# -- to get it
def test_a_lease_that_is_not_there_is_made_and_held() -> None:
    cluster = Cluster()
    cluster.guard().acquire()
    assert cluster.lease
    assert (cluster.lease.holder, cluster.lease.renewed, cluster.lease.duration) == ("me", START, DURATION)


def test_a_released_lease_is_taken_and_keeps_its_metadata() -> None:
    cluster = Cluster(LeaseRecord("", START, START, DURATION, transitions=3))
    cluster.guard().acquire()
    assert cluster.lease
    assert (cluster.lease.holder, cluster.lease.transitions, cluster.seconds) == ("me", 4, 0)


def test_a_held_lease_is_refused_at_once_and_the_message_says_by_whom_and_what_to_do() -> None:
    cluster = Cluster()
    cluster.held_by("other-pod")
    cluster.seconds = 50
    with pytest.raises(LeaseHeldError) as refused:
        cluster.guard().acquire()
    assert cluster.seconds == 50
    for words in ("other-pod", "2025-01-01 00:00:00 UTC", "50 s ago", "kubectl patch lease cleanup --namespace clearml"):
        assert words in str(refused.value)
    assert refused.value.exit_code == 5


def wait(cluster: Cluster, seconds: float, stopped: Callable[[], bool] = lambda: False) -> list[str]:
    """Wait for the Lease; gives what was said meanwhile."""
    said: list[str] = []
    cluster.guard().wait(seconds, said.append, stopped)
    return said


def renewed_by(cluster: Cluster, holder: str, until: float) -> None:
    """A live pass that ends at some time."""

    def live() -> None:
        if cluster.seconds < until:
            cluster.held_by(holder, renewed=cluster.now())
        elif cluster.holder == holder:
            cluster.put(LeaseRecord("", None, None, DURATION))

    cluster.while_asleep = live


def test_one_that_waits_says_so_once_and_starts_soon_after_the_other_ended() -> None:
    cluster = Cluster()
    cluster.held_by("other-pod")
    renewed_by(cluster, "other-pod", until=250)
    said = wait(cluster, 300)
    assert cluster.holder == "me"
    assert 250 <= cluster.seconds < 255
    assert len(said) == 1
    assert "waiting up to 300 s (CLEANUP_LEASE_WAIT_SECONDS)" in said[0]
    assert "other-pod" in said[0]


def test_one_that_waited_long_enough_gives_up_and_names_the_holder() -> None:
    cluster = Cluster()
    cluster.held_by("other-pod")
    renewed_by(cluster, "other-pod", until=1000)
    with pytest.raises(LeaseHeldError, match="other-pod"):
        wait(cluster, 300)
    assert cluster.seconds == 300
    assert cluster.holder == "other-pod"


def test_one_that_waits_takes_over_from_a_holder_that_died() -> None:
    cluster = Cluster()
    cluster.held_by("killed")
    wait(cluster, 300)
    assert cluster.holder == "me"
    assert DURATION < cluster.seconds < 2 * DURATION


def test_one_that_is_told_to_stop_waits_no_longer() -> None:
    cluster = Cluster()
    cluster.held_by("other-pod")
    renewed_by(cluster, "other-pod", until=1000)
    with pytest.raises(LeaseHeldError):
        wait(cluster, 300, stopped=lambda: cluster.seconds > 10)
    assert cluster.seconds < 15


def test_told_to_stop_in_the_middle_of_a_second_look_it_leaves_the_lease_at_once() -> None:
    cluster = Cluster()
    cluster.held_by("killed")
    cluster.seconds = DURATION + 1
    before = cluster.lease
    with pytest.raises(LeaseHeldError, match="Stopped"):
        wait(cluster, 300, stopped=lambda: cluster.seconds > DURATION + 5)
    assert cluster.seconds < DURATION + 6
    assert cluster.lease == before


def test_told_to_stop_while_the_api_is_away_it_ends_at_once() -> None:
    cluster = Cluster()
    cluster.failing = 99
    with pytest.raises(LeaseHeldError, match="Stopped"):
        wait(cluster, 300, stopped=lambda: cluster.seconds > 2)
    assert cluster.seconds < 3


@pytest.mark.parametrize("seconds", [0, 300])
def test_taking_over_from_a_dead_holder_takes_time_and_says_so_once(seconds: float) -> None:
    cluster = Cluster()
    cluster.held_by("killed")
    cluster.seconds = DURATION + 1
    (said,) = wait(cluster, seconds)
    assert "expired and was not released by killed; taking it over in 30 s" in said
    assert cluster.holder == "me"


def test_a_lease_that_only_has_a_name_is_free() -> None:
    """As the chart makes it."""
    cluster = Cluster(lease_api.as_record({"metadata": {"name": "cleanup"}, "spec": {}}))
    assert wait(cluster, 0) == []
    assert cluster.holder == "me"


def test_the_lease_of_a_killed_holder_is_taken_over_when_it_has_expired() -> None:
    cluster = Cluster()
    cluster.held_by("killed")
    cluster.seconds = DURATION + 1
    cluster.guard().acquire()
    assert cluster.lease
    assert (cluster.lease.holder, cluster.lease.acquired) == ("me", cluster.now())


def test_a_live_holder_whose_clock_is_an_hour_behind_keeps_its_lease() -> None:
    cluster = Cluster()
    behind = cluster.guard("behind", now=lambda: cluster.now() - timedelta(hours=1))
    behind.acquire()
    cluster.while_asleep = behind._renew
    with pytest.raises(LeaseHeldError, match="behind"):
        cluster.guard().acquire()
    assert cluster.holder == "behind"


def test_a_live_holder_keeps_its_lease_from_one_whose_clock_is_an_hour_ahead() -> None:
    cluster = Cluster()
    holder = cluster.guard("holder")
    holder.acquire()
    cluster.while_asleep = holder._renew
    with pytest.raises(LeaseHeldError, match="holder"):
        cluster.guard(now=lambda: cluster.now() + timedelta(hours=1)).acquire()


def test_a_holder_written_by_hand_without_a_time_never_expires() -> None:
    cluster = Cluster()
    cluster.held_by("maintenance", renewed=None)
    cluster.seconds = 1_000_000
    with pytest.raises(LeaseHeldError, match="maintenance"):
        cluster.guard().acquire()


@pytest.mark.parametrize("before", [None, LeaseRecord("", START, START, DURATION), LeaseRecord("dead", START, START, DURATION)])
def test_of_many_that_want_it_at_once_exactly_one_gets_it(before: LeaseRecord | None) -> None:
    cluster = Cluster(before)
    cluster.seconds = DURATION + 1
    barrier = threading.Barrier(8)
    read, results = cluster.get, []

    def read_together(namespace: str, name: str) -> LeaseRecord | None:
        lease = read(namespace, name)
        if lease == before or (lease and lease.holder in ("", "dead")):
            barrier.wait()  # all have seen it free before the first writes
        return lease

    cluster.get = read_together

    def contend(identity: str) -> None:
        try:
            LeaseGuard(
                cluster, "cleanup", identity=identity, duration=DURATION, now=cluster.now, sleep=lambda _: None
            ).acquire()
            results.append(identity)
        except LeaseHeldError:
            results.append("")

    threads = [threading.Thread(target=contend, args=(f"pass-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results)[:7] == [""] * 7
    assert sorted(results)[7] == cluster.holder


def test_an_answer_that_got_lost_on_the_way_is_no_other_pass() -> None:
    cluster = Cluster()
    write, answers = cluster.replace, iter([False, True])

    def write_without_answer(namespace: str, name: str, lease: LeaseRecord) -> None:
        write(namespace, name, lease)
        if not next(answers):
            raise UnreachableError("timed out")

    cluster.replace = write_without_answer
    cluster.guard().acquire()
    assert cluster.holder == "me"


def test_without_an_api_server_there_is_no_pass() -> None:
    cluster = Cluster()
    cluster.failing = 99
    with pytest.raises(UnreachableError):
        cluster.guard().acquire()
    assert cluster.failing == 95


# -- to keep it
def test_renewals_keep_it_for_as_long_as_the_pass_takes() -> None:
    cluster = Cluster()
    guard = cluster.guard()
    guard.acquire()
    assert keep(cluster, guard, until=3600) == []
    assert cluster.lease
    assert cluster.lease.acquired == START
    assert cluster.lease.renewed
    assert cluster.now() - cluster.lease.renewed <= timedelta(seconds=DURATION / 3)


def test_a_passing_failure_is_survived() -> None:
    cluster = Cluster()
    guard = cluster.guard()
    guard.acquire()

    def fail_for_a_while() -> None:
        if cluster.seconds == 1200:
            cluster.failing = 3

    cluster.while_asleep = fail_for_a_while
    assert keep(cluster, guard, until=3600) == []
    assert cluster.failing == 0


@pytest.mark.parametrize("seconds_a_failure_takes", [0, DURATION / 8, DURATION / 4])
def test_a_holder_that_can_no_longer_renew_says_so_once_before_others_may_take_over(seconds_a_failure_takes: float) -> None:
    cluster = Cluster()
    guard = cluster.guard()
    guard.acquire()
    cluster.failing, cluster.fails_after = 99, seconds_a_failure_takes
    lost = keep(cluster, guard, until=3600)
    assert len(lost) == 1
    assert "no route to host" in lost[0]
    assert DURATION / 2 < cluster.seconds < DURATION


@pytest.mark.parametrize(
    ("theft", "words"),
    [
        (lambda cluster: cluster.put(None), "was deleted"),
        (lambda cluster: cluster.held_by("thief"), "is held by thief"),
        (lambda cluster: cluster.held_by(""), "was released"),
    ],
)
def test_a_lease_taken_away_is_noticed_at_the_next_renewal_and_not_taken_back(
    theft: Callable[[Cluster], None], words: str
) -> None:
    cluster = Cluster()
    guard = cluster.guard()
    guard.acquire()
    theft(cluster)
    left = cluster.lease
    lost = keep(cluster, guard, until=3600)
    guard.release()
    assert len(lost) == 1
    assert words in lost[0]
    assert cluster.seconds == DURATION / 3
    assert cluster.lease == left


def test_it_is_safe_to_delete_only_while_nobody_else_can_hold_it() -> None:
    cluster = Cluster()
    guard = cluster.guard()
    assert not guard.is_safe()
    guard.acquire()
    cluster.seconds = DURATION - 1
    assert guard.is_safe()
    cluster.seconds = DURATION  # frozen: nothing was renewed, and nothing noticed
    assert not guard.is_safe()


def test_it_is_not_safe_after_a_loss_that_was_noticed() -> None:
    cluster = Cluster()
    guard = cluster.guard()
    guard.acquire()
    cluster.held_by("thief")
    keep(cluster, guard, until=30)
    assert cluster.seconds < DURATION
    assert not guard.is_safe()


# -- to let it go
def test_it_is_held_while_the_body_runs_and_free_after_it() -> None:
    cluster = Cluster()
    with hold("cleanup", api=cluster, on_lost=pytest.fail) as held:
        assert cluster.holder == held.identity
        with pytest.raises(LeaseHeldError, match=held.identity), hold("cleanup", api=cluster, on_lost=pytest.fail):
            pytest.fail("held twice")
    assert cluster.holder == ""


def test_it_is_free_after_a_pass_that_failed() -> None:
    cluster = Cluster()
    with pytest.raises(KeyError), hold("cleanup", api=cluster, on_lost=pytest.fail):
        raise KeyError
    assert cluster.holder == ""


def test_a_loss_reaches_the_body_from_the_thread() -> None:
    cluster, noticed, reasons = Cluster(), threading.Event(), []

    def on_lost(reason: str) -> None:
        reasons.append(reason)
        noticed.set()

    with hold("cleanup", api=cluster, duration=0.03, on_lost=on_lost):
        cluster.held_by("thief")
        assert noticed.wait(60)
    assert len(reasons) == 1
    assert cluster.holder == "thief"


def test_a_failure_to_release_is_no_failure_of_the_pass() -> None:
    cluster = Cluster()
    with hold("cleanup", api=cluster, on_lost=pytest.fail):
        cluster.failing = 99


# -- what can be wrong with the set-up; the API's own refusals are in tests/e2e
def test_without_a_cluster_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    with pytest.raises(SettingsError, match=r"CLEANUP_LEASE is set, but no cluster was found.*KUBECONFIG"):
        KubernetesLeases(1)


@pytest.mark.parametrize(
    ("status", "verb", "error", "words"),
    [
        (403, "get", SettingsError, "Role that allows get and update on this lease"),
        (403, "create", SettingsError, "`helm upgrade` creates it"),
        (401, "update", SettingsError, "CLEANUP_LEASE"),
        (404, "create", SettingsError, "CLEANUP_LEASE_NAMESPACE"),
        (422, "create", SettingsError, "Check CLEANUP_LEASE"),
        (429, "get", UnreachableError, "no usable answer"),
        (500, "update", UnreachableError, "no usable answer"),
        (0, "get", UnreachableError, "no usable answer"),
    ],
)
def test_each_refusal_says_which_verb_failed_and_the_way_out(
    status: int, verb: lease_api.Verb, error: type[Exception], words: str
) -> None:
    failure = lease_api._failure(CallError(status, "the server's words"), verb, "clearml", "cleanup")
    assert type(failure) is error
    for expected in (words, verb, "the server's words", "namespace clearml"):
        assert expected in str(failure)
