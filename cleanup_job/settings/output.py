"""What a run prints and writes."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, field_validator

from cleanup_job.redaction import redacted
from cleanup_job.settings.fields import Group, option
from cleanup_job.settings.scopes import Edit, Scope
from cleanup_job.settings.text import as_list

ENDINGS = (".json", ".html", ".md", ".jsonl", ".csv")
"""The formats of a report, by the endings of their files' names (`report/formats.py`)."""
PLACEHOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "started": "when the pass began, in UTC, such as `20260301T040000Z`",
        "shard": "which part of a pass in several pods it is, from 0",
        "server": "the host name of the API server",
    }
)
"""What the name of a report may have in braces."""
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BUCKET = re.compile(r"(s3|gs|azure)://", re.IGNORECASE)
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


def expanded(address: str, *, started: datetime, shard: int | None, api_host: str) -> str:
    """The address of a report with its placeholders filled in. Each becomes letters, digits, `.` and `-`."""
    values = {
        "started": f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        "shard": str(shard or 0),
        "server": _UNSAFE.sub("-", urlsplit(api_host).hostname or "server"),
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], address)


def _report_address(value: str) -> str:
    """A path in a folder that can be written to, or the URL of an object in a bucket.

    Raises:
        ValueError: it is neither, or has an unknown placeholder or ending.
    """
    mistake = _mistake(value)
    if mistake:
        raise ValueError(f"{redacted(value)}: {mistake}")
    return value


def _mistake(value: str) -> str:
    """What is wrong with the address of a report, and what to write instead; empty if nothing is."""
    unknown = [name for name in _PLACEHOLDER.findall(value) if name not in PLACEHOLDERS]
    if unknown or "{" in _PLACEHOLDER.sub("", value) or "}" in _PLACEHOLDER.sub("", value):
        what = f"{{{unknown[0]}}} is not a placeholder" if unknown else "braces are for placeholders only"
        return f"{what}; use {_either([f'{{{name}}}' for name in PLACEHOLDERS])}"
    if PurePosixPath(value).suffix not in ENDINGS:
        return f"use a file name that ends in {_either(ENDINGS)}"
    return _mistake_in_bucket(value) if "://" in value else _mistake_in_path(Path(value))


def _mistake_in_bucket(value: str) -> str:
    place = "s3://bucket/folder/name.html, gs://… or azure://account.blob.core.windows.net/container/…"
    if not _BUCKET.match(value) or set(value) & set("?#@"):
        return f"use a path, or the URL of an object without user, query or fragment: {place}"
    network, _, key = value.partition("://")[2].partition("/")
    parts = key.split("/")
    if not network or _PLACEHOLDER.search(network) or any(part in {"", ".", ".."} for part in parts):
        return f"use the URL of an object, in which no part is empty, `.` or `..`, and the bucket has no placeholder: {place}"
    return ""


def _mistake_in_path(path: Path) -> str:
    if _PLACEHOLDER.search(str(path.parent)):
        return "use placeholders in the name of the file only, because its folder has to exist"
    if not os.access(path.parent, os.W_OK):
        return "use a folder that exists and can be written to"
    return "use the path of a file; this one is a folder" if path.is_dir() else ""


def _either(words: tuple[str, ...] | list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


Reports = Annotated[tuple[Annotated[str, AfterValidator(_report_address)], ...], BeforeValidator(as_list)]


class OutputSettings(Group):
    """The log, and reports as files."""

    heading: ClassVar = "Output"

    log_format: Literal["auto", "json", "text"] = option(
        "auto",
        "`json`: one object per line. `text`: progress and tables for people. `auto`: text on a terminal, otherwise json.",
        scope=Scope.POD,
        sweeps=True,
    )
    log_level: Literal["debug", "info", "warning", "error"] = option(
        "info", "Least severe log lines to print.", edit=Edit.LISTED, sweeps=True, rare=True
    )
    task_log_level: Literal["info", "debug"] = option(
        "info",
        "Level of the log lines about single tasks, or task folders of a sweep, that did not fail. `debug` leaves them out, so "
        "that the log does not grow with the number of tasks, unless CLEANUP_LOG_LEVEL is `debug` too.",
        edit=Edit.LISTED,
        sweeps=True,
        rare=True,
    )
    report: Reports = option(
        (),
        "Write reports to these files, or objects in buckets (`s3://bucket/reports/{started}.html`). The ending decides the "
        "format: .json, .html, .md, .jsonl or .csv. `{started}`, `{shard}` and `{server}` are replaced.",
        scope=Scope.POD,
        file=True,
    )

    @field_validator("report")
    @classmethod
    def _are_different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = [address for address in value if value.count(address) > 1]
        if twice:
            raise ValueError(f"{redacted(twice[0])} is named twice; name each file once")
        return value
