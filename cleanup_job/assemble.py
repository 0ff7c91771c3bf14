"""From settings to the parts of a pass."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cleanup_job.cleanup import Options
from cleanup_job.errors import SettingsError
from cleanup_job.retry import Retry
from cleanup_job.rooms import Server
from cleanup_job.selection import Filters
from cleanup_job.server import conf
from cleanup_job.settings import Settings, load
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.store import Stores


def read_settings(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> tuple[Settings, dict[str, str]]:
    """The settings from flags, environment and clearml.conf, and where each came from.

    Raises:
        SettingsError: something is empty, unknown, malformed or missing.
    """
    lower = {}
    path = environ.get("CLEARML_CONFIG_FILE", "").strip()
    file = Path(path or "~/clearml.conf")
    with suppress(RuntimeError):  # a user without a home has no file there
        file = file.expanduser()
    if file.is_file():
        lower = {name: (value, str(file)) for name, value in conf.read(file).items()}
    elif path:
        message = f"CLEARML_CONFIG_FILE={path}: there is no such file. Correct it, or unset it."
        raise SettingsError(message)
    return load(flags, environ, derived(environ, lower) | lower)


def derived(environ: Mapping[str, str], conf: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Addresses of the fileserver and the web server as ClearML's SDK derives them from the API server's."""
    api = environ.get("CLEARML_API_HOST") or conf.get("api_host", ("", ""))[0]
    try:
        parts = urlsplit(api)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return {}
    found = {}
    for name, own_port, own_name in (("files_host", 8081, "files."), ("web_host", 8080, "app.")):
        if port == 8008:  # noqa: PLR2004 -- ClearML's port of the API server
            found[name] = parts.netloc.rpartition(":")[0] + f":{own_port}"
        elif host.startswith("api."):
            found[name] = own_name + parts.netloc.removeprefix("api.")
    return {name: (f"{parts.scheme}://{network}", "derived from the API server's") for name, network in found.items()}


def options(settings: Settings) -> Options:
    """What the settings say of one pass."""
    return Options(
        filters=Filters(
            threshold=timedelta(days=settings.delete_threshold_days),
            archived_for=timedelta(days=settings.archived_for_days),
            drafts_only=not settings.force_delete,
            projects=settings.projects,
            exclude_projects=settings.exclude_projects,
            tags=settings.tags,
            exclude_tags=settings.exclude_tags,
            types=settings.types,
            statuses=settings.statuses,
            exclude_statuses=settings.exclude_statuses,
            users=settings.users,
            include_hidden=settings.include_hidden,
            include_pipeline_steps=settings.include_pipeline_steps,
        ),
        dry_run=settings.dry_run,
        batch_size=settings.batch_size,
        workers=settings.workers,
        max_tasks=settings.max_tasks,
        refuse_above=settings.refuse_above,
        deadline=settings.deadline_seconds,
        keep_unknown=settings.unknown_stores == "keep_record",
        delete_external=settings.external_files == "delete",
        keep_on_file_error=settings.on_file_error == "keep_record",
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pass works on."""

    server: Server
    stores: Stores
    requests: Callable[[], int]
    """How many requests were sent so far."""


def connect(settings: Settings, on_retry: Callable[[str], None], before_deletion: Callable[[], None]) -> Parts:
    """Log in to ClearML Server, and know its stores. What ``before_deletion`` raises keeps a deletion from being sent.

    Raises:
        SettingsError: wrong credentials or addresses.
        UnreachableError: no answer.
    """
    # Imported here: clearml takes a second to import, and `--help` or a wrong setting should not wait for it.
    from cleanup_job.server.clearml_server import ClearMLServer  # noqa: PLC0415 -- see above
    from cleanup_job.server.session import Connection, Transport  # noqa: PLC0415 -- see above

    assert settings.api_host and settings.access_key and settings.secret_key  # noqa: S101, PT018 -- Settings saw to it
    retry = Retry(settings.attempts, on_retry=on_retry)
    transport = Transport(
        Connection(
            settings.api_host,
            settings.access_key.get_secret_value(),
            settings.secret_key.get_secret_value(),
            verify=settings.verify_certificate,
            timeout=settings.request_timeout_seconds,
            retry=retry,
        )
    )
    files = []
    if settings.files_url_prefixes and not settings.files_host:
        message = (
            "CLEANUP_FILES_URL_PREFIXES is set, but not CLEARML_FILES_HOST: the address at which the job reaches the fileserver"
        )
        raise SettingsError(message)
    if settings.files_host:
        files.append(
            FileServer(
                settings.files_host,
                settings.files_url_prefixes,
                transport.token,
                verify=settings.verify_certificate,
                timeout=settings.request_timeout_seconds,
                retry=retry,
                before_deletion=before_deletion,
            )
        )
    return Parts(
        ClearMLServer(transport, settings.page_size, before_deletion=before_deletion),
        Stores(tuple(files)),
        lambda: transport.sent + sum(server.sent for server in files),
    )
