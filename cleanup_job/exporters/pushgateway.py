"""Pushing metrics to a Prometheus Pushgateway.

With POST, which replaces metrics of the same name in the group and leaves the others: what a run did not find out stays as the
one before it knew it (https://github.com/prometheus/pushgateway#post-method).
"""

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from prometheus_client import CollectorRegistry, pushadd_to_gateway

from cleanup_job.errors import CleanupError
from cleanup_job.retry import TRANSIENT_STATUSES, Retry, TransientError
from cleanup_job.transport.bounded_http import BoundedAdapter, fix_environment
from cleanup_job.transport.connection_errors import NamedAddress, failure_reason

SETTING = "CLEANUP_PUSHGATEWAY"
TIMES = (3.0, 5.0)
"""Seconds for a connection, and for silence after it; a whole answer may take twice as long as that."""
TRIES = 2
SHOWN = 200
"""Characters of the Pushgateway's own message that are shown."""


_WAY_OUT = "Check the address and what is between"


class PushError(CleanupError):
    """Nothing was pushed. ``str()`` names the setting, the address without its password, and the way out."""


def push(registry: CollectorRegistry, address: str, job: str, group: Mapping[str, str], *, verify: bool | str = True) -> None:
    """Push metrics, and try once more if that may help.

    Args:
        registry: The metrics.
        address: The Pushgateway's address, which may have a user and a password.
        job: The label ``job`` of the group.
        group: The other labels of the group.
        verify: Whether to verify its certificate, as in requests.

    Raises:
        PushError: it was not pushed.
    """
    parts = urlsplit(address)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    http = requests.Session()
    fix_environment(http, plain)
    if verify is False:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the operator knows
    for scheme in ("http://", "https://"):
        http.mount(scheme, BoundedAdapter(verify))
    if parts.username is not None:
        http.auth = (unquote(parts.username), unquote(parts.password or ""))
    place = NamedAddress(SETTING, plain, f"{SETTING}_VERIFY_CERTIFICATE", "metrics.pushgateway.verifyCertificate")

    def handler(
        url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        del timeout  # TIMES says more
        send = partial(http.request, method, url, headers=dict(headers), data=data, timeout=TIMES, allow_redirects=False)
        return partial(_once, place, send)

    try:
        Retry(TRIES).call(
            "pushgateway", lambda: pushadd_to_gateway(plain, job, registry, grouping_key=dict(group), handler=handler)
        )
    except TransientError as error:
        raise PushError(f"{place}, the Pushgateway, gave no usable answer in {TRIES} tries: {error}. {_WAY_OUT}") from error
    finally:
        http.close()


def _once(place: NamedAddress, send: Callable[[], requests.Response]) -> None:
    """Send it once.

    Raises:
        TransientError: another try may help.
        PushError: it can't.
    """
    try:
        answer = send()
    except requests.RequestException as error:
        if problem := place.permanent_problem(error):
            raise PushError(problem) from error
        raise TransientError(failure_reason(error)) from error
    if problem := place.problem_in_answer(answer.status_code, answer.content):
        raise PushError(problem)
    if 200 <= answer.status_code < 300:  # noqa: PLR2004 -- HTTP's successes
        return
    said = f"HTTP {answer.status_code}: {' '.join(answer.text.split())[:SHOWN]}"
    if answer.status_code in TRANSIENT_STATUSES:
        raise TransientError(said)
    raise PushError(f"{place}, the Pushgateway, refused the metrics ({said}). {_hint(answer)}")


def _hint(answer: requests.Response) -> str:
    if 300 <= answer.status_code < 400:  # noqa: PLR2004 -- HTTP's redirects
        return "Redirects are not followed, so that no password goes elsewhere: set the address to which it redirects"
    if answer.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
        return "Write user and password into the address: https://user:password@host"
    return _WAY_OUT
