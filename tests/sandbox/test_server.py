"""The sandbox's own promises: its log, its faults, its command."""

import argparse
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

import pytest
import requests

from cleanup_job.cli import sandbox as command
from clearml_sandbox.server import Fault, ListenError, Request, Sandbox


def token(sandbox: Sandbox) -> str:
    answer = requests.post(f"{sandbox.api_url}/auth.login", auth=(sandbox.key, sandbox.secret), timeout=10)
    return str(answer.json()["data"]["token"])


def test_the_log_holds_every_request_but_the_sandboxs_own(sandbox: Sandbox) -> None:
    requests.get(f"{sandbox.api_url}/_sandbox/state", timeout=10)
    requests.post(f"{sandbox.api_url}/v2.31/auth.login", json={}, auth=(sandbox.key, sandbox.secret), timeout=10)
    requests.get(f"{sandbox.files_url}/a/b", timeout=10)
    assert [(r.service, r.method, r.call) for r in sandbox.requests] == [
        ("api", "POST", "auth.login"),
        ("files", "GET", "/a/b"),
    ]


def test_a_fault_answers_or_drops_before_or_after_the_request_is_carried_out(sandbox: Sandbox) -> None:
    sandbox.load({"files": [{"path": "a/b", "size": 1}]})
    head = {"Authorization": f"Bearer {token(sandbox)}"}
    sandbox.fault = lambda _: Fault(status=503, subcode=7)
    answer = requests.delete(f"{sandbox.files_url}/a/b", headers=head, timeout=10)
    assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (503, 7)
    assert sandbox.state()["files"] == ["a/b"]
    sandbox.fault = lambda _: Fault(after=True)
    with pytest.raises(requests.ConnectionError):
        requests.delete(f"{sandbox.files_url}/a/b", headers=head, timeout=10)
    assert sandbox.state()["files"] == []


def test_a_server_at_work_takes_its_time_on_so_many_requests_at_once() -> None:
    at_work: list[int] = [0]
    most = 0
    told: list[tuple[str, bool]] = []
    lock = threading.Lock()

    def work(request: Request, answer: bytes) -> float:
        nonlocal most
        with lock:
            at_work[0] += 1
            most = max(most, at_work[0])
            told.append((request.call, b"token" in answer))
        time.sleep(0.02)
        with lock:
            at_work[0] -= 1
        return 0.0

    with Sandbox(work=work, at_once=2) as sandbox, ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda _: token(sandbox), range(12)))
    assert most == 2
    assert told == [("auth.login", True)] * 12


def test_a_world_is_loaded_and_the_state_read_over_http(sandbox: Sandbox) -> None:
    world = {"files": [{"path": "x/y", "size": 3}], "tasks": [], "credentials": {"key": "{KEY}", "secret": "{SECRET}"}}
    requests.put(f"{sandbox.api_url}/_sandbox/world", json=world, timeout=10).raise_for_status()
    state = requests.get(f"{sandbox.api_url}/_sandbox/state", timeout=10).json()
    assert state == {"tasks": [], "models": [], "files": ["x/y"], "queues": [], "projects": []}
    token(sandbox)
    chunks = iter([json.dumps(world | {"files": []}).encode()])  # as a proxy sends it
    requests.put(f"{sandbox.api_url}/_sandbox/world", data=chunks, timeout=10).raise_for_status()
    assert sandbox.state()["files"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_when_it_is_ready_and_ends_with_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "cleanup_job", "sandbox", "--api-port", "0", "--files-port", "0", "--tasks", "80"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert len(requests.get(f"{ready[2]}/_sandbox/state", timeout=10).json()["tasks"]) == 80
        process.send_signal(number)
        assert process.wait(30) == 0


def test_in_a_cluster_it_listens_everywhere_and_goes_by_the_names_it_is_given() -> None:
    command = [sys.executable, "-m", "cleanup_job", "sandbox", "--api-port=0", "--files-port=0", "--tasks=80"]
    names = ["--host=0.0.0.0", "--api-url=http://sandbox:8008/", "--files-url=http://sandbox:8081"]
    with subprocess.Popen(command + names, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        process.terminate()
    assert "API http://sandbox:8008 files http://sandbox:8081 " in ready
    with Sandbox({"models": [{"id": "m", "uri": "{FILES}/a"}]}, host="127.0.0.2", files_url="http://sandbox:8081") as sandbox:
        assert sandbox.store.models["m"]["uri"] == "http://sandbox:8081/a"
        assert sandbox.api_url.startswith("http://127.0.0.2:")


def test_both_servers_say_that_they_are_ready_without_a_token_and_without_an_entry_in_the_log(sandbox: Sandbox) -> None:
    for url in (sandbox.api_url, sandbox.files_url):
        answer = requests.get(f"{url}/_sandbox/ready", timeout=10)
        assert (answer.status_code, answer.json()) == (200, {"ready": True})
    assert sandbox.requests == []


def test_a_busy_port_is_an_error_not_a_traceback(sandbox: Sandbox) -> None:
    port = sandbox.api_url.rpartition(":")[2]
    command = [sys.executable, "-m", "cleanup_job", "sandbox", "--api-port", port, "--files-port", "0", "--tasks", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert port in done.stderr


# -- connections
def test_a_connection_stays_open_as_the_answers_say(sandbox: Sandbox) -> None:
    """With and without a body, on both servers, also after refusals and missing files."""
    for address in (sandbox.api_url, sandbox.files_url):
        connection = HTTPConnection(address.removeprefix("http://"), timeout=30)
        connection.connect()
        first = connection.sock
        for method, path, body in (
            ("POST", "/auth.login", b"{}"),
            ("GET", "/no/such", b"a body that nobody asked for"),
            ("HEAD", "/no/such", None),
            ("POST", "/no/such", b"x" * 100_000),
            ("PUT", "/v2.31/auth.login", None),
        ):
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
            assert answer.headers.get_all("Connection") == ["keep-alive"]
        assert connection.sock is first
        connection.close()


def test_a_connection_ends_where_the_client_asks_for_that_and_after_the_sandboxs_own_paths(sandbox: Sandbox) -> None:
    connection = HTTPConnection(sandbox.api_url.removeprefix("http://"), timeout=30)
    for path, headers in (("/no/such", {"Connection": "close"}), ("/_sandbox/ready", {})):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.headers["Connection"] == "close"
        assert answer.read()
        assert connection.sock is None


def test_a_server_that_stops_ends_its_connections() -> None:
    with Sandbox() as sandbox:
        connection = HTTPConnection(sandbox.api_url.removeprefix("http://"), timeout=30)
        connection.request("GET", "/no/such")
        connection.getresponse().read()
    with suppress(ConnectionError):
        connection.request("GET", "/no/such")
    with pytest.raises((ConnectionError, HTTPException)):
        connection.getresponse()


def test_a_new_server_has_the_queues_of_one_that_was_just_installed() -> None:
    with Sandbox() as sandbox:
        assert [queue["name"] for queue in sandbox.store.queues.values()] == ["default", "services"]


def test_a_port_that_accepts_a_client_once_never_refuses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the port sends its request at the first connection: one that was only tried, and freed, would refuse it."""
    listening: list[int] = []
    real = socket.socket.listen

    def listen(one: socket.socket, *backlog: int) -> None:
        real(one, *backlog)
        listening.append(one.getsockname()[1])

    monkeypatch.setattr(socket.socket, "listen", listen)
    sandbox = command._listening(_options("--api-port", "0", "--files-port", "0"))
    assert sorted(listening) == sorted(sandbox.ports)
    early = HTTPConnection("127.0.0.1", sandbox.ports[0], timeout=30)
    early.connect()
    with sandbox:
        early.request("GET", "/_sandbox/ready")
        assert json.loads(early.getresponse().read()) == {"ready": True}
    early.close()


def test_no_port_is_kept_by_a_sandbox_that_could_not_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        with pytest.raises(ListenError, match="the api server can't listen: Address already in use"):
            Sandbox(files_port=port, api_port=busy.getsockname()[1])
        socket.create_server(("127.0.0.1", port)).close()


def _options(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(flags)
