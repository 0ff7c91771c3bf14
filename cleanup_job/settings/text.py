"""Settings as people write them: lists, addresses and names, read and checked. An error says what to write instead."""

import json
import re
import ssl
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from cleanup_job.planning.filters import threshold_of

_PATH = re.compile(r"/|~|\\\\|[A-Za-z]:[/\\]")
"""How a path begins that the SDK takes as a place for files, on any system."""
SHORTEST_NAME = 3
"""Characters that ClearML Server requires of each part of a project's name."""
DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""What Kubernetes accepts as the name of most objects."""
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""What it accepts as the name of a namespace."""
TRIMMED = r"^\S(.*\S)?$"
TASK_ID = r"^[0-9a-zA-Z_-]+$"
PATTERNS = {
    DNS_NAME: "use lower-case letters, digits, `-` and `.`, with a letter or digit at both ends",
    DNS_LABEL: "use lower-case letters, digits and `-`, with a letter or digit at both ends",
    TRIMMED: "use a text without blanks at its ends",
    TASK_ID: "use the id of a task: letters, digits, `-` and `_`",
}
"""What to do about a value that doesn't match a pattern."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_JOINED = re.compile(r",$|,[A-Za-z][A-Za-z0-9+.-]*://")
_URLS = "write scheme://…, and blanks or lines between several"
_LIST = 'write a,b or ["a", "b"]'
_HTTP = "use http://host:port or https://host, without user, query or fragment"
_PUSH = (
    "use http://host:port or https://user:password@host, without query or fragment; in the password write %2F for /, %40 for @ "
    "and %3A for :"
)


def as_list(value: object) -> tuple[str, ...]:
    """A list from ``a,b`` or ``["a", "b"]``. An empty item is an error: it could only widen or blur what was meant."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                value = json.loads(text)
            except ValueError:
                message = f"not a JSON list; {_LIST}"
                raise ValueError(message) from None
        else:
            value = text.split(",")
    if not isinstance(value, Iterable):
        message = f"not a list; {_LIST}"
        raise ValueError(message)  # noqa: TRY004 -- pydantic reports ValueError as a validation error
    items = tuple(item.strip() if isinstance(item, str) else item for item in value)
    if not items or any(not isinstance(item, str) or not item for item in items):
        message = f"the list has an empty item; {_LIST}, or unset it"
        raise ValueError(message)
    return items


def urls(value: object) -> tuple[str, ...]:
    """Several URLs, with blanks or lines between them: in one of them a comma may be part of it."""
    if not isinstance(value, str):
        message = f"not a text; {_URLS}"
        raise ValueError(message)  # noqa: TRY004 -- as above
    items = tuple(value.split())
    if any(not _URL.fullmatch(item) for item in items):
        message = f"one of its parts is not a URL; {_URLS}"
        raise ValueError(message)
    if any(_JOINED.search(item) for item in items):
        message = f"two of its URLs are joined by a comma; {_URLS}"
        raise ValueError(message)
    return items


def address(value: str) -> str:
    """An ``http(s)://host[:port][/path]`` without a final slash."""
    text = value.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        ok = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        ok, parts = False, urlsplit("")
    if not ok or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(_HTTP)
    return text


def push_address(value: str) -> str:
    """As ``address``, with or without ``user:password@``: both percent-encoded, as in every URL."""
    text = value.strip().rstrip("/")
    scheme, mark, rest = text.partition("://")
    user, at, host = rest.rpartition("@")
    try:
        address(f"{scheme}{mark}{host}")
    except ValueError:
        raise ValueError(_PUSH) from None
    if at and (not user.partition(":")[0] or set(user) & set("/?#@ ")):
        raise ValueError(_PUSH)
    return text


def files_address(value: str) -> str:
    """Where the SDK keeps files: a fileserver's address, the URL of a bucket or a mounted folder, or a path."""
    text = value.strip()
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() in {"http", "https"}:
        return address(text)
    network, _, path = rest.partition("/")
    is_bucket = scheme.lower() in {"s3", "gs", "azure"} and network and "@" not in network
    is_path = scheme.lower() == "file" and path if mark else _PATH.match(text)
    if not is_bucket and not is_path:
        message = (
            f"{_HTTP}. Where there is no fileserver, use what clearml.conf has as files_server: s3://bucket, gs://bucket, "
            "azure://host/container, a path"
        )
        raise ValueError(message)
    return text.rstrip("/")


def folder(value: str) -> str:
    """An absolute path of a folder, without a final slash; not the root of everything."""
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) == 1:
        message = "use absolute paths of folders, such as /mnt/share"
        raise ValueError(message)
    return str(path)


def project_name(value: str) -> str:
    """A project's name as ClearML Server stores it: without empty parts, and without blanks around a part."""
    parts = [part.strip() for part in value.split("/") if part]
    if not parts or any(len(part) < SHORTEST_NAME for part in parts):
        message = (
            f"use parts of {SHORTEST_NAME} characters or more, as ClearML requires of a project's name, such as DevOps or "
            "DevOps/cleanup"
        )
        raise ValueError(message)
    return "/".join(parts)


def threshold(value: str) -> str:
    """An entry such as ``vision=90`` or ``vision/golden=never``."""
    threshold_of(value)
    return value


def true_or_path(value: object) -> bool | str:
    """A yes or no, or the path of a CA bundle."""
    text = str(value).strip()
    if text.lower() in {"true", "yes", "on", "1"}:
        return True
    if text.lower() in {"false", "no", "off", "0"}:
        return False
    if not Path(text).is_file():
        message = "use true, false, or the path of a file that exists"
        raise ValueError(message)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(text)
    except OSError as error:  # as errors of TLS are
        message = "not a CA bundle (PEM) that can be read; use one, or true or false"
        raise ValueError(message) from error
    return text


def setting_name(text: str) -> str:
    """A setting's name from how it may be written: ``CLEANUP_MAX_TASKS``, ``cleanup.maxTasks`` or ``max_tasks``."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text.strip().rpartition(".")[2]).lower()
    return name.removeprefix("cleanup_") if name != "cleanup_period_in_days" else name
