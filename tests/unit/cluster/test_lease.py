"""The guard against an in-memory API that refuses stale writes, as the real one does; tests/e2e asks the real one."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cleanup_job.cluster import lease_api
from cleanup_job.cluster.connection import CallError
from cleanup_job.cluster.lease import LeaseGuard, hold
from cleanup_job.cluster.lease_api import KubernetesLeases, LeaseChangedError
from cleanup_job.cluster.lease_record import LeaseRecord, Part, as_record
from cleanup_job.errors import CleanupError, LeaseHeldError, SettingsError, UnreachableError

START = datetime(2025, 1, 1, tzinfo=UTC)
DURATION = 60.0
FREE = LeaseRecord("", START, START, DURATION)


class Cluster:
    """One Lease, and a clock that advances only while a guard waits."""

    namespace = "clearml"

    def __init__(self, lease: LeaseRecord | None = None) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self.lease: LeaseRecord | None = None
        self.history: list[LeaseRecord | None] = []
        self.seconds = 0.0
        self.failing = 0
        """So many of the next requests fail, each after `fails_after` seconds, with `failure`."""
        self.fails_after = 0.0
        self.failure: CleanupError = UnreachableError("no route to host")
        self.while_asleep: Callable[[], object] = lambda: None
        if lease:
            self.put(lease)

    def put(self, lease: LeaseRecord | None) -> None:
        self._version += 1
        self.lease = lease and replace(lease, metadata={"resourceVersion": str(self._version)})
        self.history.append(lease)

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
            raise self.failure

    # -- time
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.while_asleep()

    def guard(self, identity: str = "me", now: Callable[[], datetime] | None = None, part: Part | None = None) -> LeaseGuard:
        return LeaseGuard(
            self,
            "cleanup",
            identity=identity,
            part=part,
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
def test_a_lease_that_is_not_there_is_made_and_held_once_a_pass_that_held_a_deleted_one_has_ended() -> None:
    cluster = Cluster()
    (said,) = wait(cluster, 0)
    assert "there was no Lease cleanup in namespace clearml, so it was created; this pass begins in 60 s" in said
    assert cluster.seconds == pytest.approx(DURATION)
    assert cluster.lease
    assert (cluster.lease.holder, cluster.lease.renewed, cluster.lease.duration) == ("me", cluster.now(), DURATION)
    made = cluster.history[0]
    assert made
    assert (made.holder, made.duration) == ("me", 2 * DURATION), "it is held in that time, and may not expire"


def test_a_lease_that_another_one_made_at_the_same_time_is_waited_for_too() -> None:
    cluster = Cluster()

    def faster(namespace: str, name: str, lease: LeaseRecord) -> None:
        cluster.put(FREE)
        raise LeaseChangedError

    cluster.create = faster
    wait(cluster, 0)
    assert cluster.seconds == pytest.approx(DURATION)
    assert cluster.holder == "me"


def test_a_released_lease_is_taken_and_keeps_its_metadata() -> None:
    cluster = Cluster(replace(FREE, transitions=3))
    cluster.guard().wait(0)
    assert cluster.lease
    assert (cluster.lease.holder, cluster.lease.transitions, cluster.seconds) == ("me", 4, 0)


def test_a_held_lease_is_refused_at_once_and_the_message_says_by_whom_and_what_to_do() -> None:
    cluster = Cluster()
    cluster.held_by("other-pod")
    cluster.seconds = 50
    with pytest.raises(LeaseHeldError) as refused:
        cluster.guard().wait(0)
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


@pytest.mark.parametrize("clock", [-7200, -50, 0, 50, 7200])
@pytest.mark.parametrize("seconds", [0, 300])
def test_a_dead_holder_is_waited_for_as_long_as_it_is_seen_to_be_dead_whatever_its_clock_says(
    seconds: float, clock: int
) -> None:
    cluster = Cluster()
    cluster.held_by("killed", renewed=START - timedelta(seconds=DURATION + 1 - clock))
    if seconds == 0 and abs(clock - DURATION - 1) <= DURATION:  # it may be alive, and no one wants to wait
        with pytest.raises(LeaseHeldError):
            wait(cluster, seconds)
        assert cluster.seconds == 0
        return
    wait(cluster, seconds)
    assert cluster.holder == "me"
    assert DURATION <= cluster.seconds < DURATION + 3


def test_one_that_is_told_to_stop_waits_no_longer() -> None:
    cluster = Cluster()
    cluster.held_by("other-pod")
    renewed_by(cluster, "other-pod", until=1000)
    with pytest.raises(LeaseHeldError):
        wait(cluster, 300, stopped=lambda: cluster.seconds > 10)
    assert cluster.seconds < 15


@pytest.mark.parametrize("missing", [False, True])
def test_told_to_stop_while_it_waits_for_a_dead_one_it_leaves_the_lease_at_once(missing: bool) -> None:
    cluster = Cluster()
    if not missing:
        cluster.held_by("killed", renewed=START - timedelta(hours=1))
    with pytest.raises(LeaseHeldError, match="Stopped"):
        wait(cluster, 300, stopped=lambda: cluster.seconds > 5)
    assert cluster.seconds < 6
    assert len(cluster.history) == 1


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
    assert "was not released by killed, which seems to be dead; taking it over in 60 s, unless it is renewed by then" in said
    assert cluster.holder == "me"


def test_a_lease_that_only_has_a_name_is_free() -> None:
    """As the chart makes it."""
    cluster = Cluster(as_record({"metadata": {"name": "cleanup"}, "spec": {}}))
    assert wait(cluster, 0) == []
    assert cluster.holder == "me"


def test_the_lease_of_a_killed_holder_is_taken_over_when_it_has_expired() -> None:
    cluster = Cluster()
    cluster.held_by("killed")
    cluster.seconds = DURATION + 1
    cluster.guard().wait(0)
    assert cluster.lease
    assert (cluster.lease.holder, cluster.lease.acquired) == ("me", cluster.now())


@pytest.mark.parametrize("clock", [-3600, -90, 90, 3600])
@pytest.mark.parametrize("seconds", [0, 300])
def test_a_live_holder_keeps_its_lease_whatever_its_clock_says(seconds: float, clock: int) -> None:
    cluster = Cluster()
    cluster.held_by("")
    holder = cluster.guard("holder", now=lambda: cluster.now() + timedelta(seconds=clock))
    holder.wait(0)

    def renews() -> None:
        if cluster.seconds >= holder._renewed + DURATION / 3:
            holder._renew()

    cluster.while_asleep = renews
    with pytest.raises(LeaseHeldError, match="holder"):
        wait(cluster, seconds)
    assert cluster.seconds <= max(seconds, DURATION / 2), "no longer than it takes to see a renewal"


def test_a_holder_written_by_hand_without_a_time_never_expires() -> None:
    cluster = Cluster()
    cluster.held_by("maintenance", renewed=None)
    cluster.seconds = 1_000_000
    with pytest.raises(LeaseHeldError, match="maintenance"):
        cluster.guard().wait(0)


def test_of_many_that_want_it_at_once_exactly_one_gets_it() -> None:
    """More of that, in any order, in test_lease_any_order.py."""
    cluster = Cluster(FREE)
    barrier = threading.Barrier(8)
    read, results = cluster.get, []

    def read_together(namespace: str, name: str) -> LeaseRecord | None:
        lease = read(namespace, name)
        if lease and not lease.holder:
            barrier.wait()  # all have seen it free before the first writes
        return lease

    cluster.get = read_together

    def contend(identity: str) -> None:
        try:
            LeaseGuard(cluster, "cleanup", identity=identity, duration=DURATION, now=cluster.now, sleep=lambda _: None).wait(0)
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
    cluster = Cluster(FREE)
    write, answers = cluster.replace, iter([False, True])

    def write_without_answer(namespace: str, name: str, lease: LeaseRecord) -> None:
        write(namespace, name, lease)
        if not next(answers):
            raise UnreachableError("timed out")

    cluster.replace = write_without_answer
    cluster.guard().wait(0)
    assert cluster.holder == "me"


def test_without_an_api_server_there_is_no_pass() -> None:
    cluster = Cluster()
    cluster.failing = 99
    with pytest.raises(UnreachableError):
        cluster.guard().wait(0)
    assert cluster.failing == 94


@pytest.mark.parametrize("status", [401, 403])
def test_an_api_server_that_starts_and_refuses_for_a_while_is_asked_again(status: int) -> None:
    cluster = Cluster(FREE)
    cluster.failing, cluster.failure = 4, refusal(status)
    cluster.guard().wait(0)
    assert cluster.holder == "me"
    assert cluster.seconds == pytest.approx(15)


def test_a_right_that_is_missing_is_an_error_after_a_few_tries() -> None:
    cluster = Cluster(FREE)
    cluster.failing, cluster.failure = 99, refusal(403)
    with pytest.raises(SettingsError, match="Role that allows get and update"):
        cluster.guard().wait(0)
    assert cluster.failing == 94


# -- to keep it
def test_renewals_keep_it_for_as_long_as_the_pass_takes() -> None:
    cluster = Cluster(FREE)
    guard = cluster.guard()
    guard.wait(0)
    assert keep(cluster, guard, until=3600) == []
    assert cluster.lease
    assert cluster.lease.acquired == START
    assert cluster.lease.renewed
    assert cluster.now() - cluster.lease.renewed <= timedelta(seconds=DURATION / 3)


def test_a_passing_failure_is_survived() -> None:
    cluster = Cluster(FREE)
    guard = cluster.guard()
    guard.wait(0)

    def fail_for_a_while() -> None:
        if cluster.seconds == 1200:
            cluster.failing = 3

    cluster.while_asleep = fail_for_a_while
    assert keep(cluster, guard, until=3600) == []
    assert cluster.failing == 0


@pytest.mark.parametrize("seconds_a_failure_takes", [0, DURATION / 8, DURATION / 4])
def test_a_holder_that_can_no_longer_renew_says_so_once_before_others_may_take_over(seconds_a_failure_takes: float) -> None:
    cluster = Cluster(FREE)
    guard = cluster.guard()
    guard.wait(0)
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
    cluster = Cluster(FREE)
    guard = cluster.guard()
    guard.wait(0)
    theft(cluster)
    left = cluster.lease
    lost = keep(cluster, guard, until=3600)
    guard.release()
    assert len(lost) == 1
    assert words in lost[0]
    assert cluster.seconds == DURATION / 3
    assert cluster.lease == left


def test_it_is_safe_to_delete_only_while_nobody_else_can_hold_it() -> None:
    cluster = Cluster(FREE)
    guard = cluster.guard()
    assert not guard.is_safe()
    guard.wait(0)
    cluster.seconds = DURATION - 1
    assert guard.is_safe()
    cluster.seconds = DURATION  # frozen: nothing was renewed, and nothing noticed
    assert not guard.is_safe()


def test_it_is_safe_from_when_a_renewal_was_sent_not_from_when_it_was_answered() -> None:
    cluster = Cluster(FREE)
    write = cluster.replace

    def answers_late(namespace: str, name: str, lease: LeaseRecord) -> None:
        write(namespace, name, lease)
        cluster.seconds += 5

    cluster.replace = answers_late
    guard = cluster.guard()
    guard.wait(0)
    cluster.seconds = DURATION
    assert not guard.is_safe()


def test_it_is_not_safe_after_a_loss_that_was_noticed() -> None:
    cluster = Cluster(FREE)
    guard = cluster.guard()
    guard.wait(0)
    cluster.held_by("thief")
    keep(cluster, guard, until=30)
    assert cluster.seconds < DURATION
    assert not guard.is_safe()


def refusal(status: int) -> CleanupError:
    return lease_api._failure(CallError(status, "the server's words"), "get", "clearml", "cleanup")


@pytest.mark.parametrize("status", [403, 401, 422, 429, 500, 0])
def test_a_right_that_was_taken_away_is_a_lost_lease_and_all_else_is_tried_again(status: int) -> None:
    cluster = Cluster(FREE)
    guard = cluster.guard()
    guard.wait(0)
    cluster.failing, cluster.failure = 2, refusal(status)
    lost = keep(cluster, guard, until=3600)
    if status != 403:
        assert lost == []
        return
    assert cluster.seconds == DURATION / 3
    assert "The right to the Lease cleanup in namespace clearml was taken away" in lost[0]
    assert "the server's words" in lost[0]
    assert not guard.is_safe()


# -- several pods
def pod(
    cluster: Cluster, shard: int, job: str = "job_3-shards", identity: str = "", **clock: Callable[[], datetime]
) -> LeaseGuard:
    return cluster.guard(identity or f"{job}-{shard}", part=Part(job, shard), **clock)


def test_the_pods_of_a_pass_hold_it_together_and_the_last_one_frees_it() -> None:
    cluster = Cluster(FREE)
    pods = [pod(cluster, shard) for shard in range(3)]
    for one in pods:
        one.wait(0)
    assert cluster.seconds == 0
    assert all(one.is_safe() for one in pods)
    assert cluster.lease
    assert cluster.lease.holder == "job_3-shards"
    assert cluster.lease.shards["2"] == "job_3-shards-2 2025-01-01T00:00:00.000000Z"
    for one in pods:
        assert cluster.holder == "job_3-shards"
        one.release()
    assert cluster.lease.holder == ""
    assert cluster.lease.shards == {}


@pytest.mark.parametrize("other", ["a whole pass", "job_2-shards", "job_3-shards_another-uid"])
def test_another_pass_waits_for_all_pods_and_they_for_it(other: str) -> None:
    cluster = Cluster(FREE)
    rival = cluster.guard(other) if other == "a whole pass" else pod(cluster, 1, other)
    first, second = pod(cluster, 0), pod(cluster, 2)
    for one in (first, second):
        one.wait(0)
    for one in (first, second):
        with pytest.raises(LeaseHeldError, match="job_3-shards"):
            rival.wait(0)
        one.release()
    rival.wait(0)
    with pytest.raises(LeaseHeldError, match=other):
        first.wait(0)
    assert cluster.lease
    assert list(cluster.lease.shards) == ([] if other == "a whole pass" else ["1"])


def test_a_pod_that_lives_keeps_the_lease_for_those_that_died() -> None:
    cluster = Cluster(FREE)
    dead, live = pod(cluster, 0), pod(cluster, 1)
    for one in (dead, live):
        one.wait(0)

    def renews() -> None:
        if cluster.seconds >= live._renewed + DURATION / 3:
            live._renew()

    cluster.while_asleep = renews
    with pytest.raises(LeaseHeldError, match="job_3-shards"):
        wait(cluster, 300)
    live.release()
    cluster.while_asleep = lambda: None
    began = cluster.seconds
    wait(cluster, 300)
    assert cluster.seconds - began >= DURATION
    assert cluster.lease
    assert cluster.lease.shards == {}, "nothing is left of the pass before"


def test_two_pods_of_one_shard_exclude_each_other() -> None:
    cluster = Cluster(FREE)
    first, again, other = pod(cluster, 0), pod(cluster, 0, identity="again"), pod(cluster, 1)
    first.wait(0)
    other.wait(0)
    with pytest.raises(LeaseHeldError, match="Another pod of this shard, job_3-shards-0, holds"):
        again.wait(0)

    def renews() -> None:
        if cluster.seconds >= other._renewed + DURATION / 3:
            other._renew()

    cluster.while_asleep = renews
    again.wait(300)  # the first one was killed; that the other one lives does not count
    assert DURATION <= cluster.seconds < DURATION + 3
    lost = keep(cluster, first, until=cluster.seconds + 3600)
    assert "is held by again while this pass held it" in lost[0]
    assert other.is_safe()


def test_pods_that_write_at_the_same_time_do_not_lose_the_lease() -> None:
    cluster = Cluster(FREE)
    one, other = pod(cluster, 0), pod(cluster, 1)
    one.wait(0)
    other.wait(0)
    read, times = cluster.get, 1

    def read_before_another_write(namespace: str, name: str) -> LeaseRecord | None:
        nonlocal times
        lease = read(namespace, name)
        if times:
            times -= 1
            other._renew()
        return lease

    cluster.get = read_before_another_write
    assert keep(cluster, one, until=100) == []
    times = 3
    one.release()
    assert cluster.lease
    assert list(cluster.lease.shards) == ["1"]


# -- to let it go
def test_it_is_held_while_the_body_runs_and_free_after_it() -> None:
    cluster = Cluster(FREE)
    with hold("cleanup", api=cluster, on_lost=pytest.fail) as held:
        assert cluster.holder == held.identity
        with pytest.raises(LeaseHeldError, match=held.identity), hold("cleanup", api=cluster, on_lost=pytest.fail):
            pytest.fail("held twice")
    assert cluster.holder == ""


def test_it_is_free_after_a_pass_that_failed() -> None:
    cluster = Cluster(FREE)
    with pytest.raises(KeyError), hold("cleanup", api=cluster, on_lost=pytest.fail):
        raise KeyError
    assert cluster.holder == ""


def test_a_loss_reaches_the_body_from_the_thread() -> None:
    cluster, noticed, reasons = Cluster(FREE), threading.Event(), []

    def on_lost(reason: str) -> None:
        reasons.append(reason)
        noticed.set()

    with hold("cleanup", api=cluster, duration=0.03, on_lost=on_lost):
        cluster.held_by("thief")
        assert noticed.wait(60)
    assert len(reasons) == 1
    assert cluster.holder == "thief"


def test_a_failure_to_release_is_no_failure_of_the_pass() -> None:
    cluster = Cluster(FREE)
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
        (403, "create", SettingsError, "Argo CD leaves Leases out"),
        (403, "create", SettingsError, "lease.create=true"),
        (403, "create", SettingsError, "kubectl create --filename - <<< '{"),
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
    assert isinstance(failure, error)
    assert isinstance(failure, lease_api.ForbiddenError) == (status == 403)
    for expected in (words, verb, "the server's words", "namespace clearml"):
        assert expected in str(failure)
