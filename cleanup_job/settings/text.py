"""Settings as people write them: lists and addresses read, mistakes explained. Secrets never leave here."""

import difflib
import json
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from cleanup_job.redaction import MASK, redacted

_PATH = re.compile(r"/|~|\\\\|[A-Za-z]:[/\\]")
"""How a path begins that the SDK takes as a place for files, on whatever system."""
SECRETS = frozenset({"access_key", "secret_key"})
LONGEST = 36_500
"""Days that a threshold can have."""


def as_list(value: object) -> tuple[str, ...]:
    """A list from ``a,b`` or ``["a", "b"]``. An empty item is an error: it could only widen or blur what was meant."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                value = json.loads(text)
            except ValueError:
                message = 'is no JSON list; write a,b or ["a", "b"]'
                raise ValueError(message) from None
        else:
            value = text.split(",")
    if not isinstance(value, Iterable):
        message = 'is no list; write a,b or ["a", "b"]'
        raise ValueError(message)  # noqa: TRY004 -- pydantic reports ValueError as a validation error
    items = tuple(part for item in value for part in ([item] if not isinstance(item, str) else [item.strip()]))
    if not items or any(not isinstance(item, str) or not item for item in items):
        message = "has an empty item; write a,b or unset it"
        raise ValueError(message)
    return items


def http_address(value: str) -> str:
    """An ``http(s)://host[:port][/path]`` without a final slash."""
    text = value.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        ok = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        ok, parts = False, urlsplit("")
    if not ok or parts.username or parts.password or parts.query or parts.fragment:
        message = "is no address; write http://host:port or https://host, without user, query or fragment"
        raise ValueError(message)
    return text


def files_host(value: str) -> str:
    """Where the SDK keeps files: a fileserver's address, the URL of a bucket or a mounted folder, or a path."""
    text = value.strip()
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() in {"http", "https"}:
        return http_address(text)
    network, _, path = rest.partition("/")
    is_bucket = scheme.lower() in {"s3", "gs", "azure"} and network and "@" not in network
    is_path = scheme.lower() == "file" and path if mark else _PATH.match(text)
    if not is_bucket and not is_path:
        message = (
            "is no address; write http://host:port or https://host, without user, query or fragment. Where there is no "
            "fileserver, write what clearml.conf has as files_server: s3://bucket, gs://bucket, azure://host/container, a path"
        )
        raise ValueError(message)
    return text.rstrip("/")


def folder(value: str) -> str:
    """An absolute path of a folder, without a final slash; not the root of everything."""
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) == 1:
        message = "is no folder; write an absolute path, such as /mnt/share"
        raise ValueError(message)
    return str(path)


SHORTEST_NAME = 3
"""Characters of a name that ClearML Server takes, of each part of a project's."""


def project_name(value: str) -> str:
    """A project's name as ClearML Server stores it: without empty parts, and without blanks around a part."""
    parts = [part.strip() for part in value.split("/") if part]
    if not parts or any(len(part) < SHORTEST_NAME for part in parts):
        message = (
            f"has a part of fewer than {SHORTEST_NAME} characters, which ClearML does not take in a project's name; write one "
            "such as DevOps or DevOps/cleanup"
        )
        raise ValueError(message)
    return "/".join(parts)


def threshold(value: str) -> str:
    """An entry such as ``vision=90`` or ``vision/golden=never``."""
    threshold_of(value)
    return value


def threshold_of(value: str) -> tuple[str, float | None]:
    """Its project, and its age in days; None for ``never``."""
    project, _, days = (part.strip() for part in value.rpartition("="))
    try:
        age = None if days == "never" else float(days)
    except ValueError:
        age = -1.0
    if not project or (age is not None and not 0 <= age <= LONGEST):
        message = f"has an entry {value!r}; write PROJECT=DAYS or PROJECT=never, with days from 0 to {LONGEST}"
        raise ValueError(message)
    return project, age


def true_or_path(value: object) -> bool | str:
    """A yes or no, or the path of a bundle of certificates."""
    text = str(value).strip()
    if text.lower() in {"true", "yes", "on", "1"}:
        return True
    if text.lower() in {"false", "no", "off", "0"}:
        return False
    if not Path(text).is_file():
        message = "is neither true nor false nor a file"
        raise ValueError(message)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(text)
    except OSError as error:  # as errors of TLS are
        message = "is not a bundle of certificates (PEM) that can be read"
        raise ValueError(message) from error
    return text


def setting_name(text: str) -> str:
    """A setting's name from how it may be written: ``CLEANUP_MAX_TASKS``, ``cleanup.maxTasks`` or ``max_tasks``."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text.strip().rpartition(".")[2]).lower()
    return name.removeprefix("cleanup_") if name != "cleanup_period_in_days" else name


def unknown_name(name: str, known: Iterable[str]) -> str:
    """What to say of a variable that looks like a setting and is none."""
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {near[0]}?" if near else "see `clearml-cleanup settings` for the names."
    return f"{name} is no setting; {hint} A misspelled filter would delete more than was meant, so nothing was done."


def shown(name: str, value: object) -> str:
    """A setting's value as it may be shown."""
    return MASK if name in SECRETS else redacted(str(value))


def mistakes(
    error: ValidationError, values: Mapping[str, Any], origins: Mapping[str, str], env_name: Callable[[str], str]
) -> str:
    """Every mistake on a line of its own: the setting, the value, what is wrong."""
    lines = []
    for mistake in error.errors(include_url=False, include_context=False, include_input=False):
        text = str(mistake["msg"]).removeprefix("Value error, ").removeprefix("Input ").removeprefix("should ")
        name = str(mistake["loc"][0]) if mistake["loc"] else ""
        if not name:
            lines.append(text)
            continue
        origin = origins.get(name, "default")
        where = env_name(name) if origin == "default" else origin
        verb = "" if text.startswith(("is ", "has ", "must ")) else "should "
        lines.append(f"{where}={shown(name, values.get(name))!r} {verb}{text}.")
    return "\n".join(dict.fromkeys(lines))
