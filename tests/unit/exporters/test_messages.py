"""Messages through apprise: what a webhook and a mail server get, and how a failure reads, without a secret."""

import json
import logging
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from apprise.plugins.mqtt import NotifyMQTT

from cleanup_job.exporters.messages import Address, MessageError, check, send, without_secrets
from cleanup_job.report.message import Message
from tests.stores.servers import Certificate
from tests.unit.exporters.mailbox import Mailbox, mailbox
from tests.unit.exporters.receiver import Receiver, receiver

MESSAGE = Message(
    "ClearML Cleanup: done",
    "**Deleted 3 tasks.**\n\n- [run\\_1](<https://web/projects/p/experiments/t>): disk is full",
    "Deleted 3 tasks.\n- run_1 (https://web/projects/p/experiments/t): disk is full",
    "failure",
)
CLOSED = "127.0.0.1:1"

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


@pytest.fixture
def post() -> Iterator[Mailbox]:
    with mailbox() as there:
        yield there


def complaint(url: str, number: int = 1) -> str:
    with pytest.raises(MessageError) as caught:
        send(Address(url, number), MESSAGE)
    return str(caught.value)


def test_a_webhook_gets_markdown_and_what_kind_of_message_it_is(hook: Receiver) -> None:
    send(Address(f"json://user:secret-word@127.0.0.1:{hook.port}/hook/t0ken", 1), MESSAGE)
    (got,) = hook.got
    assert got.path == "/hook/t0ken"
    assert got.headers["Authorization"].startswith("Basic ")
    body = json.loads(got.body)
    assert (body["title"], body["message"], body["type"]) == (MESSAGE.title, MESSAGE.markdown, "failure")


def test_a_mail_is_a_page_with_links(post: Mailbox) -> None:
    send(Address(f"mailto://127.0.0.1:{post.port}?from=cleanup@example.com&to=ops@example.com", 1), MESSAGE)
    (got,) = post.got
    assert (got["Subject"], got["To"]) == (MESSAGE.title, "ops@example.com")
    assert "cleanup@example.com" in got["From"]
    page = got.get_body(("html",))
    assert page is not None
    assert '<a href="https://web/projects/p/experiments/t">run_1</a>' in page.get_content()
    assert "<li>" in page.get_content()


def test_a_service_that_shows_no_markdown_gets_plain_text(hook: Receiver) -> None:
    send(Address(f"ntfy://127.0.0.1:{hook.port}/topic", 1), MESSAGE)
    (got,) = hook.got
    assert json.loads(got.body)["message"] == MESSAGE.text


def test_no_message_makes_a_chat_load_pictures_from_elsewhere(hook: Receiver) -> None:
    send(Address(f"mmost://127.0.0.1:{hook.port}/{'a' * 26}?image=yes", 1), MESSAGE)
    assert "icon_url" not in json.loads(hook.got[0].body)
    assert "github" not in hook.got[0].body.decode()


# -- what can't be sent
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("slak://TokenA/TokenB", "(slak://…): apprise knows no such service; correct its scheme"),
        (
            "https://hooks.example.com/s3cret",
            "(https://…): apprise knows no such service; a webhook is json://host or jsons://",
        ),
        ("slack://TokenA", "(slack://…): apprise can't read it: a part is missing or malformed"),
    ],
)
def test_a_url_that_apprise_does_not_know(url: str, says: str) -> None:
    with pytest.raises(MessageError) as caught:
        check(Address(url, 2))
    assert f"CLEANUP_NOTIFY, URL 2 {says}" in str(caught.value)
    assert not [part for part in ("TokenA", "s3cret") if part in str(caught.value)]


def test_a_service_that_needs_a_package_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifyMQTT, "enabled", False)
    with pytest.raises(MessageError, match=r"\(mqtt://…\): apprise needs a package for it that is not installed"):
        check(Address("mqtt://host/topic", 1))


def test_the_address_that_a_service_gives_is_known_too() -> None:
    service = check(Address("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", 1))
    assert service.schema == "slack"


def test_a_failure_says_why_and_has_no_secret(hook: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    logged: list[logging.LogRecord] = []
    root = logging.Handler()
    root.emit = logged.append
    logging.getLogger().addHandler(root)
    url = "json://user:secret-word@{}/hook/t0ken%20part?token=qu3ry&+X-Key=h3ader"
    said = complaint(url.format(CLOSED))
    assert said.startswith("CLEANUP_NOTIFY, URL 1 (json://…): the message was not taken: A Connection error occurred")
    assert "Connection refused" in said
    hook.answers = [(403, {}, b"no")]
    refused = complaint(url.format(f"127.0.0.1:{hook.port}"), 2)
    assert "error=403" in refused
    logging.getLogger().removeHandler(root)
    assert not [record for record in logged if record.name == "apprise"]
    for secret in ("secret-word", "t0ken", "part", "qu3ry", "h3ader"):
        assert secret not in said + refused + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("json://hooks.example.com:8443/T0ken", ["hooks.example.com"]),
        ("slack://TokenA/TokenB/TokenC/%23general", []),
        ("tgram://123456789:abcdefg_hij/12315544/", []),
        ("sendgrid://SG.key.word:ops@example.com/a@example.org", ["example.com"]),
        ("mailto://user%40home:secret-word@10.0.0.1?to=ops@example.org", ["10.0.0.1"]),
    ],
)
def test_all_of_a_url_but_its_host_may_be_a_secret(url: str, shown: list[str]) -> None:
    """The tokens of some services are where others have their host."""
    masked = without_secrets(Address(url, 1), [url.replace("/", " "), unquote(url)])
    parts = [
        part for part in re.split(r"[/:@?=&]+", url.partition("://")[2]) if len(part) >= 4 and part not in {"8443", *shown}
    ]
    assert parts
    for part in parts:
        assert part not in masked
        assert unquote(part) not in masked
    for part in shown:
        assert part in masked


def test_a_mail_server_that_refuses_it(post: Mailbox) -> None:
    post.refuses = "554 no thanks"
    said = complaint(f"mailto://127.0.0.1:{post.port}?from=cleanup@example.com&to=ops@example.com")
    assert "554" in said
    assert "secret-word" not in said


def test_redirects_are_followed_only_if_the_url_says_so(hook: Receiver) -> None:
    with receiver() as other:
        moved = (307, {"Location": f"http://127.0.0.1:{other.port}/"}, b"")
        hook.answers = [moved, moved]
        assert "error=307" in complaint(f"json://127.0.0.1:{hook.port}/?+X-Key=h3ader")
        assert other.got == []
        send(Address(f"json://127.0.0.1:{hook.port}/?redirect=yes", 1), MESSAGE)
        assert len(other.got) == 1


def test_failures_of_two_messages_at_once_are_not_mixed_up(hook: Receiver) -> None:
    hook.answers = [(500, {}, b"")]
    said: dict[int, str] = {}
    urls = {1: f"json://127.0.0.1:{hook.port}", 2: f"xml://{CLOSED}"}
    threads = [threading.Thread(target=lambda n=n: said.setdefault(n, complaint(urls[n], n))) for n in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "error=500" in said[1]
    assert "Connection error" not in said[1]
    assert "error=500" not in said[2]


def test_certificates_are_verified_with_what_requests_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Certificate.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with receiver(context) as secure:
        url = f"jsons://127.0.0.1:{secure.port}"
        assert "certificate verify failed" in complaint(url)
        send(Address(f"{url}?verify=no", 1), MESSAGE)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
        send(Address(url, 1), MESSAGE)
        assert len(secure.got) == 2


def test_a_proxy_is_used_where_the_environment_names_one(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{hook.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    send(Address("json://webhook.example.com/path", 1), MESSAGE)
    assert hook.got[0].path == "http://webhook.example.com/path"
