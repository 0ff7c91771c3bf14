"""The soak's parts, without a cluster."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clearml_sandbox.server import Request
from tests.soak import host
from tests.soak.checks import Measured, wrong_ends, wrong_in
from tests.soak.line import Line
from tests.soak.seen import GONE, Passes, Pod, Span, deletes, together
from tests.soak.timeline import WEIGHTS, timeline
from tests.soak.troubles import Troubles


# -- the timeline
def test_the_timeline_follows_from_the_seed_alone() -> None:
    assert timeline(7, 3600) == timeline(7, 3600)
    assert timeline(7, 3600) != timeline(8, 3600)


@pytest.mark.parametrize("seed", range(20))
def test_each_kind_of_trouble_comes_within_ten_minutes(seed: int) -> None:
    assert {trouble.kind for trouble in timeline(seed, 600)} == WEIGHTS.keys()


def test_a_soak_without_a_kind_is_the_same_one_otherwise() -> None:
    kinds = WEIGHTS.keys() - {"upgrade"}
    assert timeline(7, 3600, kinds) == [trouble for trouble in timeline(7, 3600) if trouble.kind != "upgrade"]


def test_a_shorter_soak_begins_as_a_longer_one() -> None:
    short = timeline(7, 600)
    assert timeline(7, 3600)[: len(short)] == short


@pytest.mark.parametrize("kind", WEIGHTS)
def test_each_kind_can_be_made(kind: str) -> None:
    assert callable(getattr(Troubles, f"_{kind}"))


# -- two passes at once
def pod(name: str, address: str, job: str, index: int = 0, **seen: Any) -> Pod:
    return Pod(name, f"uid of {name}", job, index, 1, address, **seen)


@pytest.mark.parametrize(
    ("second", "job", "index", "told"),
    [
        (Span(3, 4), "b", 0, False),
        (Span(1.5, 4), "b", 0, True),
        (Span(1.2, 1.8), "b", 0, True),
        (Span(1.5, 4), "a", 1, False),
        (Span(1.5, 4), "a", 0, True),
    ],
    ids=["one after the other", "two Jobs", "one within the other", "two indexes of a Job", "two pods of an index"],
)
def test_passes_that_delete_at_once_are_seen(second: Span, job: str, index: int, *, told: bool) -> None:
    pods = [pod("one", "10.0.0.1", "a"), pod("two", "10.0.0.2", job, index)]
    found = list(together(pods, {"10.0.0.1": Span(1, 2), "10.0.0.2": second}))
    assert bool(found) is told
    assert all("one and two deleted at the same time" in line for line in found)


def test_a_pass_that_nobody_saw_is_told_by_its_address() -> None:
    assert "10.0.0.9" in next(together([pod("one", "10.0.0.1", "a")], {"10.0.0.1": Span(1, 5), "10.0.0.9": Span(2, 3)}))


@pytest.mark.parametrize(
    ("request_", "is_one"),
    [
        (Request(1, "api", "POST", "tasks.delete_many"), True),
        (Request(1, "files", "POST", "/delete_many"), True),
        (Request(1, "files", "DELETE", "/lab/x"), True),
        (Request(1, "files", "GET", "/lab/x"), False),
        (Request(1, "api", "POST", "tasks.get_all_ex"), False),
    ],
)
def test_what_deletes(request_: Request, *, is_one: bool) -> None:
    assert deletes(request_) is is_one


# -- how pods end
def listed(name: str, phase: str, terminated: Any = None) -> Any:
    """A pod as the Kubernetes client gives it."""
    metadata = SimpleNamespace(name=name, uid=f"uid of {name}", labels={}, deletion_timestamp=None)
    container = SimpleNamespace(env=[SimpleNamespace(name="CLEANUP_SHARDS", value="2")])
    statuses = [SimpleNamespace(state=SimpleNamespace(terminated=terminated))]
    status = SimpleNamespace(phase=phase, pod_ip="10.0.0.1", container_statuses=statuses, reason=None)
    return SimpleNamespace(metadata=metadata, spec=SimpleNamespace(containers=[container]), status=status)


def ended(code: int, message: str) -> Any:
    return SimpleNamespace(exit_code=code, reason="Error", message=message)


def test_the_end_of_a_pod_is_told_once_with_what_it_did(tmp_path: Path) -> None:
    said: list[str] = []
    passes = Passes(tmp_path, said.append)
    passes.look([listed("a", "Running")], str)
    assert [one.name for one in passes.running()] == ["a"]
    for _ in range(2):
        passes.look([listed("a", "Failed", ended(6, '{"deleted": 5, "seconds": 2.5}'))], lambda name: f"log of {name}")
    assert [line.split(":")[1] for line in said] == [" 6, deleted 5 tasks in 2.5 s"]
    assert passes.running() == []
    assert (tmp_path / "a.log").read_text() == "log of a"


def test_a_pod_that_was_deleted_is_gone_and_a_message_may_be_any_text(tmp_path: Path) -> None:
    said: list[str] = []
    passes = Passes(tmp_path, said.append)
    passes.look([listed("a", "Running"), listed("b", "Failed", ended(2, "error: no Lease"))], str)
    passes.look([], str)
    assert passes.codes() == Counter({"2": 1, GONE: 1})
    assert "error: no Lease" in said[0]


# -- growth
def measured(peaks: list[int], **changed: Any) -> Measured:
    pods = [pod(f"pod {n}", f"10.0.0.{n}", "a", code=0, peak=peak) for n, peak in enumerate(peaks)]
    return Measured(**({"pods": pods, "events": len(pods), "jobs": 6, "leases": 1} | changed))


def test_what_does_not_grow_is_not_told() -> None:
    assert list(wrong_in(measured([100, 110, 95, 105] * 6))) == []


@pytest.mark.parametrize(
    ("grown", "told"),
    [
        (measured([100 + 5 * n for n in range(24)]), "peak RSS"),
        (measured([100] * 24, events=49), "events"),
        (measured([100] * 24, jobs=7), "Jobs"),
        (measured([100] * 24, leases=4), "Leases"),
        (measured([100] * 24, early=frozenset(), series=frozenset()), "no series"),
        (measured([100] * 24, early=frozenset(), series=frozenset({("tasks", frozenset({("task", "1")}))})), "at the end only"),
    ],
)
def test_what_grows_is_told(grown: Measured, told: str) -> None:
    (line,) = wrong_in(grown)
    assert told in line


@pytest.mark.parametrize(("ended", "told"), [(99.0, 1), (101.0, 0), (140.0, 0), (150.0, 1)])
def test_exit_code_2_is_excused_while_there_is_no_lease(ended: float, told: int) -> None:
    pods = [pod("a", "10.0.0.1", "a", code=2, ended=ended), pod("b", "10.0.0.2", "b", code=137, ended=ended)]
    assert len(list(wrong_ends(pods, [Span(100, 130)]))) == told


def test_an_unexpected_error_is_never_excused() -> None:
    (line,) = wrong_ends([pod("a", "10.0.0.1", "a", code=1, ended=110.0)], [Span(100, 130)])
    assert "an unexpected error" in line


# -- the line
@pytest.fixture
def line() -> Iterator[Line]:
    """To a server that answers each byte with the same one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = Line("127.0.0.1")
        made.carry_to(server.getsockname()[1])
        echo = (
            "import socket, sys\n"
            "server = socket.socket(fileno=int(sys.argv[1]))\n"
            "while True:\n"
            "    near, (_, port) = server.accept()\n"
            "    while data := near.recv(1):\n"
            "        near.sendall(data + str(port).encode() + b'\\n')\n"
        )
        words = [sys.executable, "-c", echo, str(server.fileno())]
        with subprocess.Popen(words, pass_fds=[server.fileno()]) as process:
            yield made
            made.close()
            process.kill()


@pytest.fixture
def connect(line: Line) -> Callable[[], socket.socket]:
    address, _, port = line.url.removeprefix("http://").partition(":")
    return lambda: socket.create_connection((address, int(port)), timeout=30)


def test_the_line_carries_and_knows_whose_connection_it_is(line: Line, connect: Callable[[], socket.socket]) -> None:
    with connect() as near, near.makefile("rb") as answers:
        near.sendall(b"a")
        port = int(answers.readline()[1:])
    assert line.client(port) == "127.0.0.1"
    assert not line.client(1)


def test_a_cut_line_ends_connections_and_takes_none_until_it_is_mended(
    line: Line, connect: Callable[[], socket.socket]
) -> None:
    with connect() as before:
        before.sendall(b"a")
        assert before.recv(1) == b"a"
        line.cut()
        while before.recv(100):
            pass
    with connect() as refused:
        assert not _answered(refused)
    line.mend()
    with connect() as after:
        assert _answered(after)


def test_a_line_that_hangs_carries_later(line: Line, connect: Callable[[], socket.socket]) -> None:
    line.hang()
    with connect() as near:
        near.sendall(b"a")
        near.settimeout(0.2)
        with pytest.raises(TimeoutError):
            near.recv(1)
        line.mend()
        near.settimeout(30)
        assert near.recv(1) == b"a"


def _answered(near: socket.socket) -> bool:
    try:
        near.sendall(b"a")
        return near.recv(1) == b"a"
    except ConnectionError:
        return False


# -- the host
def test_the_memory_of_no_pod_is_not_known() -> None:
    assert host.peak("00000000-0000-0000-0000-000000000000") == 0
    assert not host.kill("00000000-0000-0000-0000-000000000000")


def test_only_an_api_server_of_cluster_sh_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_STATE", str(tmp_path))
    kubeconfig = tmp_path / "admin.kubeconfig"
    assert host.ApiServer.of(kubeconfig) is None
    kubeconfig.touch()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert host.ApiServer.of(kubeconfig) is None
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert host.ApiServer.of(kubeconfig) is not None
    assert host.ApiServer.of(tmp_path / "another") is None


def test_it_is_started_again_with_the_words_that_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid, log = (tmp_path / kind / f"{host.API_SERVER}{end}" for kind, end in (("pid", ""), ("log", ".log")))
    pid.parent.mkdir()
    log.parent.mkdir()
    (tmp_path / host.API_SERVER).write_text("echo started >&2; sleep 60; :\n")
    monkeypatch.chdir(tmp_path)  # where bash finds what stands in for it
    words = ["bash", host.API_SERVER, "and", "more words"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as first:
        pid.write_text(str(first.pid))
        while words_of(first.pid) != words:
            time.sleep(0.01)
        host.ApiServer(tmp_path).restart(0, lambda: log.read_text() == "started\n")
        assert first.wait() == -signal.SIGKILL
    second = int(pid.read_text())
    assert words_of(second) == words
    os.kill(second, signal.SIGKILL)
    os.waitpid(second, 0)


def words_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")[:-1]
