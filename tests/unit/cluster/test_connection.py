"""The way to a cluster, against a small server that talks as the Kubernetes API does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cluster import connection
from cleanup_job.cluster.connection import CallError, Cluster, NoClusterError, connect

LINES = ["one", "zwölf", "", "the last has no end"]


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    over = threading.Event()

    def do_GET(self) -> None:
        if "/pods/" not in self.path:
            self._refuse()
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for byte in "\n".join(LINES).encode():  # cut where it hurts most
            self._chunk(bytes([byte]))
        if "/cut/" in self.path:
            self.close_connection = True
            return
        if "/silent/" in self.path and self.over.wait(10):
            return
        self._chunk(b"")

    def _refuse(self) -> None:
        body = json.dumps({"kind": "Status", "message": "leases are forbidden"}).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    Api.over.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        Api.over.set()
        server.shutdown()


def kubeconfig(path: Path, server: str, current: str | None = "first", *contexts: str) -> Path:
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u"} | ({"namespace": name} if name != "bare" else {})}
            for name in contexts or ("first", "second", "bare")
        ],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    if current:
        config["current-context"] = current
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def cluster(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", address)))
    return connect(30)


def lines(cluster: Cluster, pod: str) -> Iterator[str]:
    return cluster.lines("CoreV1Api", "read_namespaced_pod_log", pod, "ml", follow=True)


def test_lines_come_whole_however_they_were_sent(cluster: Cluster) -> None:
    assert list(lines(cluster, "whole")) == LINES


def test_a_line_arrives_before_the_stream_ends(cluster: Cluster) -> None:
    assert next(lines(cluster, "silent")) == "one"


@pytest.mark.parametrize("pod", ["cut", "silent"])
def test_a_stream_without_an_end_is_an_error_that_passes(cluster: Cluster, pod: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SILENCE", 0.2)
    with pytest.raises(CallError) as cut:
        list(lines(cluster, pod))
    assert cut.value.passing


def test_a_refusal_is_in_the_servers_own_words(cluster: Cluster) -> None:
    with pytest.raises(CallError, match="leases are forbidden") as refused:
        cluster.call("CoordinationV1Api", "read_namespaced_lease", "a", "ml")
    assert (refused.value.status, refused.value.refused, refused.value.passing) == (403, True, False)


@pytest.mark.parametrize(("status", "passing"), [(0, True), (400, False), (404, False), (408, True), (429, True), (500, True)])
def test_what_may_go_better_later(status: int, passing: bool) -> None:
    assert CallError(status, "").passing == passing


# -- through a proxy, or not
@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def status_of(cluster: Cluster) -> int:
    """What a call that is not allowed is answered with; 0 without an answer."""
    with pytest.raises(CallError) as answer:
        cluster.call("CoordinationV1Api", "read_namespaced_lease", "a", "ml")
    return answer.value.status


@pytest.mark.usefixtures("dead_proxy")
def test_a_pod_asks_its_own_cluster_without_a_proxy(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(connection, "POD_NAMESPACE", tmp_path / "namespace")
    connection.POD_NAMESPACE.write_text("ml")
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda found: setattr(found, "host", address))
    assert status_of(connect(30)) == 403


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize(("bypasses", "status"), [("", 0), ("127.0.0.1", 403), ("example.com,127.0.0.0/8", 403)])
def test_a_kubeconfigs_cluster_is_asked_through_the_proxy_unless_no_proxy_names_it(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bypasses: str, status: int
) -> None:
    monkeypatch.setenv("NO_PROXY", bypasses)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", address)))
    assert status_of(connect(30)) == status


# -- which cluster, and which namespace
@pytest.mark.parametrize(
    ("current", "context", "namespace"),
    [
        ("first", None, "first"),
        ("first", "second", "second"),
        ("first", "bare", "default"),
        (None, "second", "second"),
    ],
)
def test_the_namespace_is_the_contexts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, current: str | None, context: str | None, namespace: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "http://nowhere", current)))
    assert connect(1, context).namespace == namespace


def test_a_kubeconfig_may_be_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [kubeconfig(tmp_path / name, "http://nowhere", "first", name) for name in ("first", "second")]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    assert connect(1).namespace == "first"
    assert connect(1, "second").namespace == "second"


@pytest.mark.parametrize(("current", "context"), [("first", "none"), (None, None), ("none", None)])
def test_a_context_that_is_not_there_is_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, current: str | None, context: str | None
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "http://nowhere", current)))
    with pytest.raises(NoClusterError):
        connect(1, context)


def test_without_any_kubeconfig_there_is_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(NoClusterError):
        connect(1)
