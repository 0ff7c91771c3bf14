"""A push: what is sent where, what is tried again, and how a failure reads."""

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from cleanup_job.exporters.pushgateway import PushError, push
from tests.stores.servers import Certificate
from tests.unit.exporters.receiver import Receiver, receiver

GROUP = {"release": "nightly", "namespace": "ml"}
PATH = "/metrics/job/clearml-cleanup/namespace/ml/release/nightly"

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def gateway() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Gauge("clearml_cleanup_last_exit_code", "The exit code.", registry=made).set(3)
    return made


def complaint(registry: CollectorRegistry, address: str) -> str:
    with pytest.raises(PushError) as caught:
        push(registry, address, "clearml-cleanup", GROUP)
    return str(caught.value)


def test_metrics_are_posted_to_the_group(gateway: Receiver, registry: CollectorRegistry) -> None:
    push(registry, f"http://127.0.0.1:{gateway.port}/below", "clearml-cleanup", GROUP)
    (got,) = gateway.got
    assert (got.method, got.path) == ("POST", "/below" + PATH)
    assert b"\nclearml_cleanup_last_exit_code 3.0\n" in got.body
    assert "Authorization" not in got.headers


def test_user_and_password_of_the_address_are_sent_as_basic_authentication(
    gateway: Receiver, registry: CollectorRegistry
) -> None:
    push(registry, f"http://us%40er:pass%2Fwo%3Ard@127.0.0.1:{gateway.port}", "clearml-cleanup", GROUP)
    assert gateway.got[0].headers["Authorization"] == "Basic " + base64.b64encode(b"us@er:pass/wo:rd").decode()


def test_a_failure_that_may_pass_is_tried_once_more(gateway: Receiver, registry: CollectorRegistry) -> None:
    gateway.answers = [(503, {}, b"busy")]
    push(registry, f"http://127.0.0.1:{gateway.port}", "clearml-cleanup", GROUP)
    assert len(gateway.got) == 2
    gateway.answers = [(503, {}, b"busy")] * 5
    said = complaint(registry, f"http://user:secret-word@127.0.0.1:{gateway.port}")
    assert len(gateway.got) == 4
    assert said.startswith(f"CLEANUP_PUSHGATEWAY=http://127.0.0.1:{gateway.port}, ")
    assert "HTTP 503: busy" in said
    assert "secret-word" not in said


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((400, {}, b"pushed metrics are invalid"), "HTTP 400: pushed metrics are invalid"),
        ((401, {}, b"Unauthorized"), "https://user:password@host"),
        ((308, {"Location": "http://elsewhere.example/"}, b""), "Redirects are not followed"),
        ((304, {}, b""), "HTTP 304"),
    ],
)
def test_a_refusal_is_not_tried_again(
    gateway: Receiver, registry: CollectorRegistry, answer: tuple[int, dict[str, str], bytes], says: str
) -> None:
    gateway.answers = [answer]
    assert says in complaint(registry, f"http://127.0.0.1:{gateway.port}")
    assert len(gateway.got) == 1


def test_where_nothing_listens_it_is_said(registry: CollectorRegistry) -> None:
    assert "nothing listens there" in complaint(registry, "http://127.0.0.1:9")


def test_a_certificate_is_verified_and_an_own_authority_can_be_trusted(tmp_path: Path, registry: CollectorRegistry) -> None:
    made = Certificate.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with receiver(context) as there:
        address = f"https://127.0.0.1:{there.port}"
        said = complaint(registry, address)
        assert "CLEANUP_PUSHGATEWAY_VERIFY_CERTIFICATE (metrics.pushgateway.verifyCertificate in the Helm chart)" in said
        assert not there.got
        push(registry, address, "clearml-cleanup", GROUP, verify=str(made.authority))
        push(registry, address, "clearml-cleanup", GROUP, verify=False)
        assert len(there.got) == 2
