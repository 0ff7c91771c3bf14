"""Sending a message through apprise: to mail, chats, webhooks and so on.

Importing this module needs the extra ``notify``. Of what apprise logs, only the reason of a failure is shown, with every part
of the URL masked that may be a secret: the tokens of many services are in its path, and of some where others have their host.
"""

import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import apprise
import urllib3
from apprise.manager_plugins import NotificationManager

from cleanup_job.errors import CleanupError
from cleanup_job.redaction import MASK, redacted
from cleanup_job.report.formatting import middle
from cleanup_job.report.message import Message

SETTING = "CLEANUP_NOTIFY"
SHOWN = 500
"""Characters of a reason that are shown."""
_SHORTEST = 4
"""Characters of the shortest part of a URL that is taken for a secret."""
_PARTS = re.compile(r"[/?&=:@,;+#]+")
_HOST = re.compile(r"localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|\[[0-9a-f:]+\]")
"""A host's name or address. What has no dot may be a token."""
_TYPES = {
    "failure": apprise.NotifyType.FAILURE,
    "warning": apprise.NotifyType.WARNING,
    "success": apprise.NotifyType.SUCCESS,
    "info": apprise.NotifyType.INFO,
}


class MessageError(CleanupError):
    """A message was not sent, or can't be. ``str()`` says why without a secret."""


@dataclass(frozen=True, slots=True)
class Address:
    """One of the URLs."""

    url: str
    number: int
    """Which one it is, from 1."""

    def __str__(self) -> str:
        """How it is named: its number and its scheme, for the rest may be a secret."""
        return f"{SETTING}, URL {self.number} ({self.url.partition('://')[0].lower()}://…)"


def check(address: Address) -> apprise.NotifyBase:
    """What sends messages to an address.

    Raises:
        MessageError: apprise can't send any there.
    """
    _listen()
    service = apprise.Apprise.instantiate(address.url, asset=_asset())
    if service is not None:
        return service
    scheme = address.url.partition("://")[0].lower()
    known = NotificationManager()  # type: ignore[no-untyped-call]  # apprise has types for what it exports alone
    if scheme not in known:
        hint = "a webhook is json://host or jsons://host" if scheme in {"http", "https"} else "correct its scheme"
        raise MessageError(f"{address}: apprise knows no such service; {hint}")
    if not known[scheme].enabled:
        raise MessageError(f"{address}: apprise needs a package for it that is not installed")
    raise MessageError(f"{address}: apprise can't read it: a part is missing or malformed")


def send(address: Address, message: Message) -> None:
    """Send a message. Redirects are not followed, unless the URL asks for it with ``redirect=yes``.

    Takes as long as the server does: who calls sets the limit, in a thread that may be left alone.

    Raises:
        MessageError: it was not taken.
    """
    service = check(address)
    if not service.verify_certificate:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the operator knows
    plain = service.resolve_format(apprise.NotifyFormat.MARKDOWN) == apprise.NotifyFormat.TEXT
    sender = apprise.Apprise(asset=_asset())
    sender.add(service)
    reasons = _listen().begin()
    sent = sender.notify(
        message.text if plain else message.markdown,
        title=message.title,
        notify_type=_TYPES[message.kind],
        body_format=apprise.NotifyFormat.TEXT if plain else apprise.NotifyFormat.MARKDOWN,
    )
    if not sent:
        why = without_secrets(address, reasons) or "no reason is known"
        raise MessageError(f"{address}: the message was not taken: {why}")


def _asset() -> apprise.AppriseAsset:
    """How messages are sent: from this thread, once, from memory, without pictures that a chat would load from elsewhere."""
    return apprise.AppriseAsset(
        app_id="ClearML Cleanup",
        app_desc="ClearML Cleanup",
        app_url="",
        async_mode=False,
        http_redirects=False,
        image_url_mask="",
        image_url_logo="",
        image_path_mask=False,
        language="en",
        pem_autogen=False,
        pgp_autogen=False,
        service_timeout=0,
        storage_mode="memory",
    )


# -- why one was not taken
class _Reasons(logging.Handler):
    """Keeps what apprise logs of failures, of each thread apart, in place of printing it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._of_threads: dict[int, list[str]] = {}

    def begin(self) -> list[str]:
        """What this thread's log will have from now on."""
        texts: list[str] = []
        self._of_threads[threading.get_ident()] = texts
        return texts

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line if it says why something failed: warnings, and the texts of exceptions, which are details."""
        texts = self._of_threads.get(record.thread or 0)
        if texts is not None and (record.levelno >= logging.WARNING or "Exception:" in str(record.msg)):
            texts.append(record.getMessage())


_reasons = _Reasons()


def _listen() -> _Reasons:
    """Take apprise's log from now on: a thread that is left alone logs later, too."""
    logger = logging.getLogger("apprise")
    if _reasons not in logger.handlers:
        logger.addHandler(_reasons)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    return _reasons


def without_secrets(address: Address, reasons: list[str]) -> str:
    """What apprise said, without what may be a secret of the address."""
    text = redacted("; ".join(" ".join(reason.split()).rstrip(".") for reason in dict.fromkeys(reasons)))
    for secret in sorted(_secrets(address.url), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return middle(text, SHOWN)  # libraries say what they did first, and the cause last


def _secrets(url: str) -> Iterator[str]:
    """The parts of a URL that may be secrets: all of them but its scheme, its port, and what is surely a host."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = re.sub(r":\d+$", "", host)
    for whole in (user, "" if _HOST.fullmatch(name) else name, parts.path, parts.query, parts.fragment):
        for form in {whole, unquote(whole), quote(unquote(whole))}:
            yield from (part for part in (form, *_PARTS.split(form)) if len(part) >= _SHORTEST)
