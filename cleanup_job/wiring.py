"""From settings to the parts of a pass."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cleanup_job import redaction
from cleanup_job.clearml_api import clearml_conf
from cleanup_job.concurrency_limit import ConcurrencyLimit
from cleanup_job.errors import CleanupError, SettingsError
from cleanup_job.passes.cleanup import Options
from cleanup_job.passes.ports import Server
from cleanup_job.planning.filters import Filters
from cleanup_job.planning.paths import Location
from cleanup_job.retry import Retry
from cleanup_job.service_task.ports import Uploads
from cleanup_job.settings.model import Settings, load
from cleanup_job.settings.text import folder, threshold_of
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.interface import Store
from cleanup_job.storage.mounted_folders import SCHEME, MountedFolders
from cleanup_job.storage.stores import Stores

DERIVED = "derived from the API server's"
"""The source of an address that nobody named."""
_KEPT = "tasks with files on a fileserver are kept, the others are deleted"
LOOKS = 2
"""Tries to reach a fileserver at such an address."""


def read_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    parameters: Mapping[str, tuple[object, str]] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The settings from flags, a task's parameters, environment and clearml.conf, and where each came from.

    Raises:
        SettingsError: something is empty, unknown, malformed or missing.
    """
    redaction.hide_all(environ)
    lower = {}
    path = environ.get("CLEARML_CONFIG_FILE", "").strip()
    file = config_file(Path(path) if path else None)
    if file is not None:
        lower = {name: (value, str(file)) for name, value in clearml_conf.read(file).items()}
    elif path:
        message = f"CLEARML_CONFIG_FILE={path}: there is no such file. Correct it, or unset it."
        raise SettingsError(message)
    settings, origins = load(flags, environ, derived(environ, lower) | lower, parameters)
    if settings.access_key and settings.secret_key:
        redaction.hide_login(settings.access_key.get_secret_value(), settings.secret_key.get_secret_value())
    return settings, origins


def config_file(given: Path | None) -> Path | None:
    """The clearml.conf to read: the one that is given, else the user's own; None where it does not exist."""
    file = given or Path("~/clearml.conf")
    with suppress(RuntimeError):  # a user without a home has no file there
        file = file.expanduser()
    return file if file.is_file() else None


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
    return {name: (f"{parts.scheme}://{network}", DERIVED) for name, network in found.items()}


def options(settings: Settings, never: frozenset[str] = frozenset(), runs_of: str = "") -> Options:
    """What the settings say of one pass; with the job's own tasks in ClearML, which it must not touch, or may clean."""
    return Options(
        filters=Filters(
            never=never,
            runs_of=runs_of,
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
            exclude_users=settings.exclude_users,
            include_hidden=settings.include_hidden,
            include_pipeline_steps=settings.include_pipeline_steps,
            keep_tags=settings.keep_tags,
            keep_projects=settings.keep_projects,
            thresholds=tuple(map(_threshold, settings.threshold_rules)),
        ),
        dry_run=settings.dry_run,
        batch_size=settings.batch_size,
        workers=settings.workers,
        max_tasks=_share(settings.max_tasks, settings),
        shard=settings.shard or 0,
        shards=settings.shards,
        refuse_above=settings.refuse_above,
        deadline=settings.deadline_seconds,
        tasks_per_second=settings.max_tasks_per_second and settings.max_tasks_per_second / settings.shards,
        keep_unknown=settings.unknown_stores == "keep_record",
        delete_external=settings.external_files == "delete",
        protect_used_datasets=settings.protect_used_datasets,
        protect_linked_artifacts=settings.protect_linked_artifacts,
        keep_model_tags=settings.keep_model_tags,
        delete_empty_projects=settings.delete_empty_projects,
        keep_on_file_error=settings.on_file_error == "keep_record",
        keep_missing=settings.missing_files == "keep_record",
    )


def _share(budget: int | None, settings: Settings) -> int | None:
    """A shard's part of a pass's budget."""
    if budget is None:
        return None
    return budget // settings.shards + ((settings.shard or 0) < budget % settings.shards)


def _threshold(text: str) -> tuple[str, str, timedelta | None]:
    project, days = threshold_of(text)
    return text, project, timedelta(days=days) if days is not None else None


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pass works on."""

    server: Server
    stores: Stores
    requests: Callable[[], int]
    """How many requests were sent so far."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A login at ClearML Server, how requests are tried again, and how many may be in flight at each of its two servers."""

    transport: Any
    retry: Retry
    api: ConcurrencyLimit
    files: ConcurrencyLimit


def log_in(settings: Settings, warn: Callable[[str], None]) -> Connection:
    """Log in to ClearML Server. ``warn`` hears, from any thread, of requests that are tried again and servers that slow down.

    Raises:
        SettingsError: wrong credentials or addresses.
        UnreachableError: no answer.
    """
    # Imported here: clearml takes a second to import, and `--help` or a wrong setting should not wait for it.
    from cleanup_job.clearml_api import api_client, session  # noqa: PLC0415 -- see above

    retry = Retry(settings.attempts, on_retry=warn)
    api, files = (
        ConcurrencyLimit(settings.max_requests_in_flight, name, warn) for name in ("ClearML Server", "ClearML's fileserver")
    )
    assert settings.api_host and settings.access_key and settings.secret_key  # noqa: S101, PT018 -- Settings saw to it
    transport = api_client.ApiClient(
        session.ServerAccess(
            settings.api_host,
            settings.access_key.get_secret_value(),
            settings.secret_key.get_secret_value(),
            verify=settings.verify_certificate,
            timeout=settings.request_timeout_seconds,
            retry=retry,
            in_flight=api,
        )
    )
    return Connection(transport, retry, api, files)


def connect(settings: Settings, connection: Connection, before_deletion: Callable[[], None]) -> Parts:
    """The server and its stores. What ``before_deletion`` raises keeps a deletion from being sent.

    Raises:
        SettingsError: the stores' settings are wrong.
    """
    transport = connection.transport
    for in_flight in (connection.api, connection.files):
        in_flight.allow(settings.max_requests_in_flight)  # a task in ClearML, read since the login, may say otherwise
    places = stores(settings, connection, before_deletion)
    return Parts(_server(settings, transport, before_deletion), places, lambda: transport.sent + places.sent)


def _server(settings: Settings, transport: Any, before_deletion: Callable[[], None]) -> Any:
    from cleanup_job.clearml_api.clearml_server import ClearMLServer  # noqa: PLC0415 -- clearml, likewise

    return ClearMLServer(transport, settings.page_size, before_deletion=before_deletion)


def service_tasks(settings: Settings, connection: Connection) -> Any:
    """The job's own tasks in ClearML."""
    from cleanup_job.clearml_api.service_tasks import OWN_VERSION, ServiceTasks  # noqa: PLC0415 -- clearml, likewise

    requirement = settings.task_requirement or OWN_VERSION + version("clearml-cleanup")
    return ServiceTasks(connection.transport, settings.task_project, settings.task_name, requirement)


def with_fileserver(settings: Settings, origins: Mapping[str, str], connection: Connection) -> tuple[Settings, str]:
    """The settings without a derived address at which no fileserver answers, and a warning where there is no fileserver.

    Only what the operator named has to be there. Files at an address that is left out are on a store that nobody knows, so
    tasks that have some are kept, and none of these files counts as gone.
    """
    if settings.fileserver is None:
        if settings.files_host:
            return settings, ""
        return settings, f"CLEARML_FILES_HOST is not set, and can't be derived: {_KEPT}"
    if origins["files_host"] != DERIVED:
        return settings, ""
    try:
        doubt = _fileserver(settings, connection, lambda: None, Retry(min(LOOKS, settings.attempts))).check()
    except CleanupError as error:
        doubt = str(error)
    if not doubt:
        return settings, ""
    without = settings.model_copy(update={"files_host": None, "files_url_prefixes": ()})
    return without, (
        f"CLEARML_FILES_HOST is not set, and at {settings.files_host}, {DERIVED}, is no fileserver: {_KEPT}. Name the "
        f"address, or the bucket that is used in its place. ({doubt})"
    )


def uploads(settings: Settings, connection: Connection) -> Uploads | None:
    """Writes files to the fileserver; None where there is no fileserver."""
    if not settings.fileserver:
        return None
    return _fileserver(settings, connection, lambda: None)


def stores(settings: Settings, connection: Connection, before_deletion: Callable[[], None]) -> Stores:
    """All stores that the settings give access to.

    Raises:
        SettingsError: the credentials of stores in clearml.conf can't be read.
    """
    found: list[Store] = []
    if settings.fileserver:
        found.append(_fileserver(settings, connection, before_deletion))
    elif settings.files_url_prefixes:
        message = (
            "CLEANUP_FILES_URL_PREFIXES is set, but CLEARML_FILES_HOST does not name the address at which the job reaches the "
            "fileserver. Name it, or unset CLEANUP_FILES_URL_PREFIXES where there is no fileserver any more."
        )
        raise SettingsError(message)
    if settings.mounted_folders:
        found.append(MountedFolders(settings.mounted_folders, before_deletion=before_deletion))
    found.append(object_stores(settings, connection.retry, before_deletion))
    return Stores(tuple(found))


def _fileserver(
    settings: Settings, connection: Connection, before_deletion: Callable[[], None], retry: Retry | None = None
) -> FileServer:
    return FileServer(
        settings.fileserver or "",
        settings.files_url_prefixes,
        connection.transport.token,
        verify=settings.verify_certificate,
        timeout=settings.request_timeout_seconds,
        retry=retry or connection.retry,
        in_flight=connection.files,
        before_deletion=before_deletion,
    )


def object_stores(settings: Settings, retry: Retry, before_deletion: Callable[[], None], named: Iterable[str] = ()) -> Any:
    """The buckets that clearml.conf and the environment open, and those that the operator named elsewhere."""
    from cleanup_job.storage.buckets import Buckets  # noqa: PLC0415 -- clearml, likewise
    from cleanup_job.storage.object_stores import ObjectStores  # noqa: PLC0415 -- likewise

    file = config_file(settings.config_file)
    credentials = clearml_conf.stores(file) if file else {}
    redaction.hide_all(credentials)
    buckets = Buckets(
        credentials,
        verify=settings.stores_verify_certificate,
        timeout=settings.request_timeout_seconds,
        retry=retry,
        named=named,
    )
    return ObjectStores(buckets, retry=retry, before_deletion=before_deletion)


def sweep_places(
    settings: Settings, warn: Callable[[str], None], before_deletion: Callable[[], None]
) -> tuple[Any, list[tuple[Any, Location]]]:
    """The server, and the places to sweep with the stores that they are in.

    Raises:
        SettingsError: wrong credentials or addresses, or a place that can't be listed.
        UnreachableError: no answer.
    """
    connection = log_in(settings, warn)
    retry = connection.retry
    places: list[tuple[Any, Location]] = []
    buckets = object_stores(settings, retry, before_deletion, named=settings.sweep_stores)
    for address in settings.sweep_stores:
        place = buckets.locate(address)
        if place is not None:
            places.append((buckets, Location(place.store, place.path.strip("/"))))
            continue
        try:
            path = folder(address.removeprefix("file://"))
        except ValueError:
            message = (
                f"--store {address}: write s3://bucket, gs://bucket, azure://account.blob.core.windows.net/container or the "
                "absolute path of a mounted folder. A fileserver can't be listed through its address: mount its volume."
            )
            raise SettingsError(message) from None
        mounted = MountedFolders([path], setting="--store", before_deletion=before_deletion)
        if doubt := mounted.check():
            raise SettingsError(doubt)
        places.append((mounted, Location(SCHEME + path, "")))
    return _server(settings, connection.transport, before_deletion), places
