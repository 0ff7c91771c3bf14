"""Why a server can't be reached, in plain words; and how often it is asked again."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError
from cleanup_job.retry import Retry
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.transport.connection_errors import VERIFY, failure_reason

Serve = Callable[..., str]
API, FILES = "CLEARML_API_HOST", "CLEARML_FILES_HOST"
PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def certificate(folder: Path, *, name: str = "localhost", days: float = 2) -> ssl.SSLContext:
    """A TLS server's context with a certificate that is signed by itself, good until some days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    of = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(of)
        .issuer_name(of)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(made.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts servers that answer whatever they are sent with the same bytes, over TLS where they have a context."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.certs.where())  # the setting wins over it

    with ExitStack() as stack:

        def start(answer: bytes = PLAIN, tls: ssl.SSLContext | None = None) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer_all() -> None:
                while True:
                    try:
                        client, _ = listener.accept()
                    except OSError:
                        return
                    with suppress(OSError), client:
                        client.settimeout(5)
                        with tls.wrap_socket(client, server_side=True) if tls else client as channel:
                            channel.recv(65536)
                            channel.sendall(answer)

            threading.Thread(target=answer_all, daemon=True).start()
            return f"localhost:{listener.getsockname()[1]}"

        yield start


def connect(setting: str, address: str, verify: bool | str, retry: Retry) -> None:
    if setting == API:
        ApiClient(ServerAccess(address, "key", "secret", verify=verify, timeout=5, retry=retry))
    else:
        FileServer(address, [], lambda: "token", verify=verify, timeout=5, retry=retry).prepare()


def failures(address: str, verify: bool | str = True, attempts: int = 3) -> list[tuple[str, CleanupError, list[str]]]:
    """How both servers' clients fail at an address, each with its setting and what it said meanwhile."""
    found = []
    for setting in (API, FILES):
        said: list[str] = []
        retry = Retry(attempts, wait=0, on_retry=said.append)
        with pytest.raises(CleanupError) as caught:
            connect(setting, address, verify, retry)
        assert f"{setting}={address}" in str(caught.value)
        assert not any(
            word in str([caught.value, *said]) for word in ("Max retries", "HTTPConnection", "object at 0x", "Errno")
        )
        found.append((setting, caught.value, said))
    return found


def ends_at_once(address: str, text: str, **options: Any) -> None:
    for setting, error, said in failures(address, **options):
        assert isinstance(error, SettingsError)
        assert text.replace("SETTING", setting) in str(error)
        assert said == []


def is_tried_again(address: str, text: str) -> None:
    for _, error, said in failures(address):
        assert isinstance(error, UnreachableError)
        assert f"in 3 tries; the last: {text}" in str(error)
        assert [text in line for line in said] == [True, True]


@pytest.mark.parametrize("proxy", ["", "http://localhost:9"])
def test_https_to_a_plain_port_ends_at_once(serve: Serve, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)  # which is for http alone
    host = serve()
    ends_at_once(f"https://{host}", f"SETTING=https://{host} answers plain http: write http://{host}")


def test_http_to_a_port_for_tls_ends_at_once(serve: Serve, tmp_path: Path) -> None:
    host = serve(tls=certificate(tmp_path))
    ends_at_once(f"http://{host}", f"SETTING=http://{host} answers https (TLS): write https://{host}")


@pytest.mark.parametrize(
    "body",
    [
        b"<center>The plain HTTP request was sent to HTTPS port</center>",
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.",
        b"Bad Request\r\nThis combination of host and port requires TLS.\r\n",
    ],
)
def test_servers_that_say_that_they_want_tls_are_understood(serve: Serve, body: bytes) -> None:
    host = serve(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
    ends_at_once(f"http://{host}/x", f"SETTING=http://{host}/x answers https (TLS): write https://{host}/x")


def test_an_untrusted_certificate_names_the_setting_that_trusts_it(serve: Serve, tmp_path: Path) -> None:
    host = serve(tls=certificate(tmp_path))
    told = "its certificate is not trusted: it is self-signed. Set"
    ends_at_once(f"https://{host}", f"{told} {VERIFY} (clearml.verifyCertificate in the Helm chart)")


@pytest.mark.parametrize("verify", [True, False])
def test_a_certificate_is_trusted_if_the_setting_says_so(serve: Serve, tmp_path: Path, verify: bool) -> None:
    host = serve(tls=certificate(tmp_path))
    trusted = str(tmp_path / "localhost.pem") if verify else False
    for _, error, _ in failures(f"https://{host}", verify=trusted):
        assert "certificate" not in str(error)  # but that was no ClearML Server


def test_an_expired_certificate_is_said_to_be(serve: Serve, tmp_path: Path) -> None:
    host = serve(tls=certificate(tmp_path, days=-1))
    ends_at_once(f"https://{host}", "it has expired. Renew it", verify=str(tmp_path / "localhost.pem"))


def test_a_certificate_for_another_name_is_said_to_be(serve: Serve, tmp_path: Path) -> None:
    host = serve(tls=certificate(tmp_path, name="elsewhere.example"))
    ends_at_once(f"https://{host}", "its certificate is for another name", verify=str(tmp_path / "elsewhere.example.pem"))


def test_where_nothing_listens_is_tried_again(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
    for scheme in ("http", "https"):
        is_tried_again(f"{scheme}://{address}", "nothing listens there (connection refused)")


def test_an_unknown_name_is_tried_again(serve: Serve) -> None:
    is_tried_again("http://nosuch.invalid:8008", "its name is unknown (DNS): is it spelled right?")


@pytest.mark.parametrize(("scheme", "text"), [("http", "the answer is not HTTP"), ("https", "TLS failed")])
def test_a_server_of_another_kind_is_tried_again(serve: Serve, scheme: str, text: str) -> None:
    host = serve(b"220 mail.example ESMTP\r\n")
    is_tried_again(f"{scheme}://{host}", text)


def test_an_answer_that_breaks_off_is_tried_again(serve: Serve) -> None:
    host = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    is_tried_again(f"http://{host}", "the answer broke off")


@pytest.mark.parametrize(("attempts", "times"), [(1, "1 try"), (2, "2 tries")])
def test_trying_again_is_said_once_less_than_there_are_tries(serve: Serve, attempts: int, times: str) -> None:
    for _, error, said in failures(f"http://{serve(b'')}", attempts=attempts):
        assert f"in {times}; the last: the connection was closed" in str(error)
        assert [line.startswith("trying again: ") for line in said] == [True] * (attempts - 1)


def test_what_breaks_once_a_server_has_answered_is_tried_again(serve: Serve) -> None:
    host = serve()
    said: list[str] = []
    files = FileServer(f"http://{host}", [], lambda: "token", timeout=5, retry=Retry(2, wait=0, on_retry=said.append))
    assert "does not answer like ClearML's fileserver" in files.check()
    files._client.host = f"https://{host}"
    with pytest.raises(UnreachableError, match="TLS failed"):
        files.check()
    assert len(said) == 1


def test_beside_a_proxy_nobody_is_greeted(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://localhost:{server.getsockname()[1]}")
    for _, error, _ in failures(f"https://{serve()}"):
        assert isinstance(error, UnreachableError)
        assert "the proxy that HTTP_PROXY or HTTPS_PROXY names can't be used" in str(error)


def test_an_error_of_no_known_kind_is_told_by_its_type() -> None:
    assert failure_reason(requests.ConnectionError("HTTPConnectionPool(host='x', port=1)")) == "no connection (ConnectionError)"
