"""From settings to the parts of a pass."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

from cleanup_job import redaction
from cleanup_job.clearml_api import clearml_conf
from cleanup_job.concurrency_limit import ConcurrencyLimit
from cleanup_job.errors import CleanupError, SettingsError
from cleanup_job.passes.ports import Server
from cleanup_job.planning.paths import Location
from cleanup_job.retry import Retry
from cleanup_job.service_task.ports import Uploads
from cleanup_job.settings.clearml_conf import DERIVED, ClearMLConf, DerivedAddresses, find
from cleanup_job.settings.model import Settings
from cleanup_job.settings.sources import load
from cleanup_job.settings.text import folder
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.fileserver_client import NAME as FILESERVER
from cleanup_job.storage.interface import Store
from cleanup_job.storage.mounted_folders import SCHEME, MountedFolders
from cleanup_job.storage.stores import Stores

_KEPT = "tasks with files on a fileserver are kept, and the others are deleted"
LOOKS = 2
"""Tries to reach a fileserver at a derived address."""


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
    settings, origins = load(flags, environ, (ClearMLConf(clearml_conf.parse), DerivedAddresses()), parameters)
    redaction.hide_password(settings.metrics.pushgateway)
    redaction.hide(*(url.get_secret_value() for url in settings.notify.notify))
    keys = settings.connection
    redaction.hide_login(keys.access_key.get_secret_value(), keys.secret_key.get_secret_value())
    return settings, origins


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pass works on."""

    server: Server
    stores: Stores
    requests: Callable[[], Counter[str]]
    """Returns how many requests were sent so far, by server."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login to ClearML Server, with how requests are tried again and how many may be in flight to each of its two servers."""

    transport: Any
    retry: Retry
    api: ConcurrencyLimit
    files: ConcurrencyLimit
    retries: Callable[[], Counter[str]]
    """Returns how many requests were tried again so far, by server."""


class _Retries:
    """Counts requests that are tried again, by server. Safe to use from many threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, name: str) -> None:
        """Count one. Its name is a bucket's URL, the fileserver's, or that of a call to the API server."""
        scheme, is_bucket, _ = name.partition("://")
        with self._lock:
            self._counts[scheme if is_bucket else "files" if name == FILESERVER else "api"] += 1

    def so_far(self) -> Counter[str]:
        """The counts up to now."""
        with self._lock:
            return Counter(self._counts)


def log_in(settings: Settings, warn: Callable[[str], None]) -> Login:
    """Log in to ClearML Server. ``warn`` is called from any thread, about requests tried again and servers that slow down.

    Raises:
        SettingsError: wrong credentials or addresses.
        UnreachableError: no answer.
    """
    # Imported late: clearml takes a second to import, and `--help` or a wrong setting should not wait for it.
    from cleanup_job.clearml_api import api_client, session  # noqa: PLC0415 -- see above

    retries = _Retries()
    retry = Retry(settings.run.attempts, on_retry=warn, retried=retries.count)
    api, files = (
        ConcurrencyLimit(settings.run.max_requests_in_flight, name, warn) for name in ("ClearML Server", "ClearML's fileserver")
    )
    transport = api_client.ApiClient(
        session.ServerAccess(
            settings.connection.api_host,
            settings.connection.access_key.get_secret_value(),
            settings.connection.secret_key.get_secret_value(),
            verify=settings.connection.verify_certificate,
            timeout=settings.run.request_timeout_seconds,
            retry=retry,
            in_flight=api,
        )
    )
    return Login(transport, retry, api, files, retries.so_far)


def connect(settings: Settings, connection: Login, before_deletion: Callable[[], None]) -> Parts:
    """The server and its stores. If ``before_deletion`` raises, the deletion is not sent.

    Raises:
        SettingsError: the stores' settings are wrong.
    """
    transport = connection.transport
    for in_flight in (connection.api, connection.files):
        in_flight.allow(settings.run.max_requests_in_flight)  # the task in ClearML, read since the login, may have changed it
    places = stores(settings, connection, before_deletion)
    return Parts(_server(settings, transport, before_deletion), places, lambda: Counter(api=transport.sent) + places.sent)


def _server(settings: Settings, transport: Any, before_deletion: Callable[[], None]) -> Any:
    from cleanup_job.clearml_api.clearml_server import ClearMLServer  # noqa: PLC0415 -- clearml is slow to import

    return ClearMLServer(transport, settings.run.page_size, before_deletion=before_deletion)


def service_tasks(settings: Settings, connection: Login) -> Any:
    """Access to the job's own tasks in ClearML."""
    from cleanup_job.clearml_api.service_tasks import OWN_VERSION, ServiceTasks  # noqa: PLC0415 -- clearml is slow to import

    requirement = settings.service_task.task_requirement or OWN_VERSION + version("clearml-cleanup")
    return ServiceTasks(connection.transport, settings.service_task.task_project, settings.service_task.task_name, requirement)


def with_fileserver(settings: Settings, origins: Mapping[str, str], connection: Login) -> tuple[Settings, str]:
    """The settings without a derived address at which no fileserver answers, and a warning if there is no fileserver.

    Only an address that the operator set has to be right. Files at one that is left out are in an unknown store, so tasks with
    such files are kept, and none of these files counts as gone.
    """
    if settings.connection.fileserver is None:
        if settings.connection.files_host:
            return settings, ""
        return settings, f"CLEARML_FILES_HOST is not set, and can't be derived: {_KEPT}"
    if origins["files_host"] != DERIVED:
        return settings, ""
    try:
        problem = _fileserver(settings, connection, lambda: None, Retry(min(LOOKS, settings.run.attempts))).check()
    except CleanupError as error:
        problem = str(error)
    if not problem:
        return settings, ""
    without = settings.replaced(files_host=None, files_url_prefixes=())
    return without, (
        f"CLEARML_FILES_HOST is not set, and at {settings.connection.files_host}, {DERIVED}, no fileserver answers: "
        f"{_KEPT}. Set the address, or the bucket that is used instead. ({problem})"
    )


def uploads(settings: Settings, connection: Login) -> Uploads | None:
    """What writes files to the fileserver; None if there is no fileserver."""
    if not settings.connection.fileserver:
        return None
    return _fileserver(settings, connection, lambda: None)


def stores(settings: Settings, connection: Login, before_deletion: Callable[[], None]) -> Stores:
    """All stores that the settings give access to.

    Raises:
        SettingsError: the credentials of stores in clearml.conf can't be read.
    """
    found: list[Store] = []
    if settings.connection.fileserver:
        found.append(_fileserver(settings, connection, before_deletion))
    elif settings.files.files_url_prefixes:
        message = (
            f"CLEANUP_FILES_URL_PREFIXES={','.join(settings.files.files_url_prefixes)}, but CLEARML_FILES_HOST does not name "
            "the address at which the job reaches the fileserver. Set it, or unset CLEANUP_FILES_URL_PREFIXES if there is no "
            "fileserver any more."
        )
        raise SettingsError(message)
    if settings.files.mounted_folders:
        found.append(MountedFolders(settings.files.mounted_folders, before_deletion=before_deletion))
    found.append(object_stores(settings, connection.retry, before_deletion))
    return Stores(tuple(found))


def mounted_places(settings: Settings) -> list[tuple[MountedFolders, Location]]:
    """The mounted folders that are there, each with what looks for the folders of tasks in it. Nothing is deleted by it."""
    found: list[tuple[MountedFolders, Location]] = []
    for root in settings.files.mounted_folders:
        mounted = MountedFolders([root], before_deletion=_refuse_deletion)
        if not mounted.check():
            found.append((mounted, Location(SCHEME + root, "")))
    return found


def _refuse_deletion() -> None:
    message = "a folder was mounted to be read only, and something was about to be deleted in it"
    raise RuntimeError(message)


def _fileserver(
    settings: Settings, connection: Login, before_deletion: Callable[[], None], retry: Retry | None = None
) -> FileServer:
    return FileServer(
        settings.connection.fileserver or "",
        settings.files.files_url_prefixes,
        connection.transport.token,
        verify=settings.connection.verify_certificate,
        timeout=settings.run.request_timeout_seconds,
        retry=retry or connection.retry,
        in_flight=connection.files,
        before_deletion=before_deletion,
    )


def object_stores(settings: Settings, retry: Retry, before_deletion: Callable[[], None], named: Iterable[str] = ()) -> Any:
    """The buckets for which clearml.conf and the environment have credentials, and those that a sweep names."""
    from cleanup_job.storage.object_stores import ObjectStores  # noqa: PLC0415 -- clearml is slow to import

    return ObjectStores(buckets(settings, retry, named), retry=retry, before_deletion=before_deletion)


def buckets(settings: Settings, retry: Retry, named: Iterable[str]) -> Any:
    """What opens buckets: those of clearml.conf and the environment, and those that another setting names."""
    from cleanup_job.storage.buckets import Buckets  # noqa: PLC0415 -- clearml is slow to import

    file = find(settings.connection.config_file)
    credentials = clearml_conf.stores(file) if file else {}
    redaction.hide_all(credentials)
    return Buckets(
        credentials,
        verify=settings.files.stores_verify_certificate,
        timeout=settings.run.request_timeout_seconds,
        retry=retry,
        named=named,
    )


def destination(settings: Settings, address: str, setting: str) -> Any:
    """The file or object at an address that a setting names, to be written by the run itself.

    Its bucket is opened for this alone: it does not become a store in which the run deletes.

    Raises:
        SettingsError: its bucket can't be opened, or there are no credentials for it.
    """
    from cleanup_job.storage import destinations  # noqa: PLC0415 -- clearml is slow to import

    if not destinations.is_bucket(address):
        return destinations.FileDestination(Path(address))
    opened = buckets(settings, Retry(settings.run.attempts), [address])
    return destinations.BucketDestination(*destinations.open_bucket(opened, address, setting))


def sweep_places(
    settings: Settings, connection: Login, before_deletion: Callable[[], None]
) -> tuple[Any, list[tuple[Any, Location]]]:
    """The server, and the places to sweep, each with its store.

    Raises:
        SettingsError: a place that can't be listed.
    """
    retry = connection.retry
    places: list[tuple[Any, Location]] = []
    objects = object_stores(settings, retry, before_deletion, named=settings.sweep.sweep_stores)
    for address in settings.sweep.sweep_stores:
        place = objects.locate(address)
        if place is not None:
            places.append((objects, Location(place.store, place.path.strip("/"))))
            continue
        try:
            path = folder(address.removeprefix("file://"))
        except ValueError:
            message = (
                f"--store {address}: write s3://bucket, gs://bucket, azure://account.blob.core.windows.net/container or the "
                "absolute path of a mounted folder. A fileserver can't be listed at its address: mount its volume."
            )
            raise SettingsError(message) from None
        mounted = MountedFolders([path], setting="--store", before_deletion=before_deletion)
        if problem := mounted.check():
            raise SettingsError(problem)
        places.append((mounted, Location(SCHEME + path, "")))
    return _server(settings, connection.transport, before_deletion), places
