"""A mail server that keeps what it gets, on loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Mailbox:
    got: list[EmailMessage] = field(default_factory=list)
    refuses: str = ""
    """What it says instead of taking a message."""
    port: int = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.refuses:
            return self.refuses
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.got.append(message)
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        made.port = free.getsockname()[1]  # the controller connects to the port that it was given, which can't be 0
    controller = Controller(made, hostname="127.0.0.1", port=made.port)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()
