"""The message of a run, sent at its end, however it ended. Nothing of it fails a run, or holds it up for long."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, Any

from cleanup_job.errors import CleanupError, SettingsError
from cleanup_job.exit_codes import is_failure
from cleanup_job.job.metrics import NEEDED, group_of
from cleanup_job.settings.model import TABLE, Settings
from cleanup_job.settings.sources import only

if TYPE_CHECKING:  # apprise needs an extra, and is slow to import
    from cleanup_job.exporters.messages import Address
    from cleanup_job.report.message import Message

LONGEST = 20.0
"""Seconds that sending takes at most, at the same time as that of metrics."""
_SETTING = TABLE["notify"].env
_NEEDED = {*NEEDED, "notify", "notify_when", "api_host"} - {"pushgateway", "pushgateway_verify_certificate", "otlp_endpoint"}
"""The settings that decide where messages go, and what they say of who sends them."""


def check(settings: Settings) -> None:
    """Check before a run that messages about it could be sent.

    Raises:
        SettingsError: they can't: the extra is not installed, or apprise doesn't know a URL.
    """
    if not settings.notify.notify:
        return
    if find_spec("apprise") is None:
        raise SettingsError(
            f"{_SETTING} needs `pip install 'clearml-cleanup[notify]'`: apprise is not installed. Install it, or unset this."
        )
    from cleanup_job.exporters import messages  # noqa: PLC0415 -- see above

    wrong = []
    for address in _addresses(settings):
        try:
            messages.check(address)
        except messages.MessageError as error:
            wrong.append(f"{error}. https://appriseit.com/services/ shows how each is written.")
    if wrong:
        raise SettingsError("\n".join(wrong))


def is_wanted(settings: Settings, code: int, *, noticed: bool = False) -> bool:
    """Whether to send a message of a run that ended with this exit code; ``noticed``: it announced, archived or slimmed."""
    when = settings.notify.notify_when
    asked = "always" in when or ("failure" in when and is_failure(code)) or ("notices" in when and noticed)
    return bool(settings.notify.notify) and asked


class Sending:
    """A message on its way to all URLs at once."""

    def __init__(self, settings: Settings, message: Callable[[str], "Message"], warn: Callable[[str], None]) -> None:
        """Begin to send it.

        Args:
            settings: They say where.
            message: Makes it, from the name of its sender.
            warn: Gets what could not be sent.
        """
        self._warn = warn
        self._until = time.monotonic() + LONGEST
        self._problems: dict[Thread, str] = {}
        try:
            made = message(_sender(settings))
            for address in _addresses(settings):
                self._begin(address, made)
        except Exception as error:  # noqa: BLE001 -- a run that is over does not fail by what is said of it
            warn(f"{_SETTING}: no message was made: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Wait for it, within ``LONGEST`` from the beginning. What could not be sent is a warning."""
        for thread in list(self._problems):
            thread.join(max(0.0, self._until - time.monotonic()))
            if problem := self._problems.get(thread):
                self._warn(f"{problem.rstrip('.')}. The run is not affected otherwise.")

    def _begin(self, address: "Address", message: "Message") -> None:
        thread = Thread(target=lambda: self._try(thread, address, message), name=_SETTING, daemon=True)
        self._problems[thread] = f"{address}: the message was not taken within {LONGEST:g} seconds"
        thread.start()

    def _try(self, thread: Thread, address: "Address", message: "Message") -> None:
        from cleanup_job.exporters.messages import send  # noqa: PLC0415 -- see above

        try:
            send(address, message)
        except CleanupError as error:
            self._problems[thread] = str(error)
        except Exception as error:  # noqa: BLE001 -- as above; its text may repeat the URL
            self._problems[thread] = f"{address}: {type(error).__name__}"
        else:
            self._problems[thread] = ""


def begin(
    settings: Settings, code: int, message: Callable[[str], "Message"], warn: Callable[[str], None], *, noticed: bool = False
) -> Callable[[], None]:
    """Begin to send the message of a run, if one is wanted; gives what waits for its end."""
    if not is_wanted(settings, code, noticed=noticed) or find_spec("apprise") is None:
        return lambda: None
    return Sending(settings, message, warn).end


def send_failure(  # noqa: PLR0913 -- as for metrics
    error: str,
    code: int,
    warn: Callable[[str], None],
    *,
    sweep: bool = False,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Tell of a run that did not begin. Its settings may be wrong: only those are read that say where to send it."""
    with suppress(SettingsError):  # wrong itself: the run has said so
        settings = only(_NEEDED, flags or {}, environ)
        server = environ.get(TABLE["api_host"].env, "")
        begin(settings, code, partial(of_failure, error, code, server, sweep=sweep), warn)()


def of_failure(error: str, code: int, server: str, sender: str, *, sweep: bool = False) -> "Message":
    """The message of a run that did not begin."""
    from cleanup_job.report.message import of_error  # noqa: PLC0415 -- jinja2 and rich are slow to import

    return of_error(error, code, server, sender, what="sweep" if sweep else "pass")


def _sender(settings: Settings) -> str:
    group = group_of(settings)
    return f"{group['release']} in namespace {group['namespace']}"


def _addresses(settings: Settings) -> list["Address"]:
    from cleanup_job.exporters.messages import Address  # noqa: PLC0415 -- see above

    return [Address(url.get_secret_value(), number) for number, url in enumerate(settings.notify.notify, 1)]
