"""Buckets and containers: which one a URI is in, and how to open it with the credentials that ClearML's users have.

ClearML's SDK keeps credentials in clearml.conf (``sdk.aws.s3``, ``sdk.google.storage``, ``sdk.azure.storage``) or in its
environment variables. Its own classes read them here, so that what could be written can be deleted. If the operator says so,
the platform is asked: web identity (IRSA), pod and instance roles, Workload Identity, managed identities. An object's key is
the text of its URI after the bucket, literally: the SDK quotes names before they become keys. SDK 1.11 quoted addresses on
Google Cloud once more.
"""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
import urllib3
from obstore.store import AzureStore, GCSStore, S3Store

from cleanup_job.planning.paths import Location, read_as
from cleanup_job.retry import Retry, time_limits
from cleanup_job.storage.allowed_buckets import AllowedBuckets

AWS = "https://s3.amazonaws.com"
AWS_REGION = "us-east-1"
"""The region of a bucket if nothing else is known. Servers other than AWS accept it, too."""
AZURE_ACCOUNTS_SECRETS = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
)
"""Variables that obstore uses for any account, although their values belong to a single one."""
NOT_OPEN = "it is not open to the job: name it in clearml.conf, with its credentials. See docs/stores.md"
_REGION = re.compile(r"[a-z0-9-]{1,40}")

Client = S3Store | GCSStore | AzureStore


class NoAccessError(Exception):
    """A bucket can't be opened; ``str()`` says why, and the way out."""


class Buckets:
    """All buckets that the operator has opened. Only the URIs show which of them are used."""

    def __init__(  # noqa: PLR0913 -- all of them say how to reach the buckets
        self,
        conf: Mapping[str, Mapping[str, Any]],
        *,
        verify: bool | str = True,
        timeout: float = 120.0,
        retry: Retry | None = None,
        environ: Mapping[str, str] = os.environ,
        named: Iterable[str] = (),
    ) -> None:
        """Nothing is sent yet.

        Args:
            conf: The parts of ``sdk`` in clearml.conf about buckets. Missing ones are empty.
            verify: Whether to verify certificates, or the path of a CA bundle; the ``verify`` of an S3 entry takes precedence.
            timeout: Seconds for each request.
            retry: How often a request that only reads is tried.
            environ: The environment.
            named: URLs of buckets that the operator named in another setting, which opens them, too.

        Raises:
            SettingsError: an entry of clearml.conf can't be read.
        """
        first = AllowedBuckets(conf, environ)
        named_parts = [parts for url in named if (parts := _parts(url, first)) is not None]
        self._opened = AllowedBuckets(conf, environ, [parts[:3] for parts in named_parts]) if named_parts else first
        self._verify, self._timeout, self._environ = verify, timeout, environ
        self._retry = retry or Retry()
        self._is_open = lru_cache(1024)(self._find_out)  # needed for each output

    def locate(self, uri: str) -> Location | None:
        """The bucket and key of an ``s3://``, ``gs://`` or ``azure://`` URI; None otherwise, and for buckets that are not open.

        ``s3://host:port/bucket/key`` names a server other than AWS, and so does a host without a port if clearml.conf has it.
        """
        parts = _parts(uri, self._opened)
        if parts is None:
            return None
        scheme, host, bucket, key = parts
        if not self._is_open(scheme, host, bucket):
            return None
        name = f"{scheme}://{host}/{bucket}" if host else f"{scheme}://{bucket}"
        return read_as(name, key, quoted=False, doubted=scheme == "gs")

    def _find_out(self, scheme: str, host: str, bucket: str) -> bool:
        if scheme == "s3":
            return self._opened.s3(host, bucket) is not None
        if scheme == "gs":
            return self._opened.google(bucket) is not None
        return self._opened.azure(host, bucket) is not None

    def open(self, name: str, *, retries: bool) -> Client:
        """A client for the bucket with this name. With ``retries``, it retries by itself.

        Raises:
            NoAccessError: there are no usable credentials.
        """
        wait = timedelta(seconds=max(self._retry.wait, 0.001))  # obstore panics at 0
        common: dict[str, Any] = {
            "retry_config": {
                "max_retries": self._retry.attempts - 1 if retries else 0,
                "retry_timeout": timedelta(seconds=self._timeout * self._retry.attempts),
                "backoff": {"init_backoff": wait, "max_backoff": wait * 60, "base": 2},
            }
        }
        scheme, _, rest = name.partition("://")
        host, _, bucket = rest.rpartition("/")
        try:
            if scheme == "s3":
                return self._open_s3(host, bucket, common)
            return self._open_gs(bucket, common) if scheme == "gs" else self._open_azure(host, bucket, common)
        except (OSError, ValueError) as error:
            raise NoAccessError(f"no usable credentials: {error}") from error

    def _open_s3(self, host: str, bucket: str, common: dict[str, Any]) -> Client:
        place = self._opened.s3(host, bucket)
        if place is None:
            raise NoAccessError(NOT_OPEN)
        entry, endpoint = place.credentials, place.endpoint
        config: Any = {"region": entry.region or AWS_REGION}
        if endpoint:
            config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
        else:
            config["region"] = region_of(bucket, timeout=self._timeout) or entry.region or AWS_REGION
        if not entry.use_credentials_chain and entry.key and entry.secret:
            keys = {"access_key_id": entry.key, "secret_access_key": entry.secret}
            # As a provider, since otherwise a token in the environment, which belongs to other keys, would be sent along.
            found = {**keys, "token": entry.token or None, "expires_at": None}
            common["credential_provider"] = lambda: found
        elif entry.profile:
            raise NoAccessError(
                f"AWS profile {entry.profile!r}: profiles are not supported. Set key and secret in sdk.aws.s3 of "
                "clearml.conf, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role."
            )
        verify = self._verify if entry.verify is None else entry.verify
        self._refuse_redirects(endpoint, bucket, verify)
        return S3Store(bucket, config=config, client_options=self._client(endpoint, verify), **common)

    def _open_gs(self, bucket: str, common: dict[str, Any]) -> Client:
        entry = self._opened.google(bucket)
        if entry is None:
            raise NoAccessError(NOT_OPEN)
        credentials = entry.credentials_json
        config: Any = {}
        if isinstance(credentials, str) and credentials.lstrip().startswith("{"):
            config["service_account_key"] = credentials
        elif credentials:
            config["application_credentials"] = str(Path(str(credentials)).expanduser())
        emulator = self._environ.get("STORAGE_EMULATOR_HOST", "")
        if emulator:
            # A token, since obstore ignores skip_signature for deletion.
            config = {"base_url": emulator if "://" in emulator else f"http://{emulator}", "bearer_token": "emulator"}
        self._refuse_redirects(config.get("base_url", ""), bucket, self._verify)
        return GCSStore(bucket, config=config, client_options=self._client(emulator, self._verify), **common)

    def _open_azure(self, host: str, container: str, common: dict[str, Any]) -> Client:
        place = self._opened.azure(host, container)
        if place is None:
            raise NoAccessError(NOT_OPEN)
        config: Any = {"account_name": place.account, "endpoint": place.endpoint}
        if place.key:
            # As a provider, since obstore prefers other secrets in the environment, which may belong to another account.
            found = {"access_key": place.key, "expires_at": None}
            common["credential_provider"] = lambda: found
        elif not place.is_of_environment:
            for secret in AZURE_ACCOUNTS_SECRETS:
                if self._environ.get(secret):
                    raise NoAccessError(
                        f"{secret} is set, but nothing says that it belongs to account {place.account}, to which it would be "
                        "sent. Name its account in AZURE_STORAGE_ACCOUNT_NAME, and give this one an account_key."
                    )
        self._refuse_redirects(place.endpoint, container, self._verify)
        return AzureStore(container, config=config, client_options=self._client(place.endpoint, self._verify), **common)

    def _refuse_redirects(self, endpoint: str, bucket: str, verify: bool | str) -> None:
        """Ask for the bucket without credentials first: obstore would follow a redirect, and send a session token along."""
        if not endpoint:
            return
        address = f"{endpoint.rstrip('/')}/{bucket}"
        if verify is False:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the operator knows
        try:
            answer = requests.head(address, timeout=time_limits(self._timeout), verify=verify, allow_redirects=False)
        except requests.RequestException:
            return  # obstore's error is clearer
        if answer.is_redirect and urlsplit(answer.headers["Location"]).netloc not in {"", urlsplit(address).netloc}:
            host = urlsplit(answer.headers["Location"]).netloc.rpartition("@")[2]
            raise NoAccessError(
                f"{endpoint} redirects to another server, {host}, and redirects are not followed. Correct the address."
            )

    def _client(self, endpoint: str, verify: bool | str) -> Any:
        connect, whole = time_limits(self._timeout)
        options: dict[str, Any] = {
            "connect_timeout": timedelta(seconds=connect),
            "timeout": timedelta(seconds=whole),
            "allow_http": bool(endpoint) and not endpoint.startswith("https://"),
        }
        # In addition to the system's: without any, obstore creates no client at all, and slim images have none.
        authorities = Path(certifi.where()).read_bytes()
        if verify is False:
            options["allow_invalid_certificates"] = True
        elif verify is not True:
            authorities += b"\n" + Path(str(verify)).read_bytes()
        return options | {"root_certificate": authorities}


def _parts(uri: str, opened: AllowedBuckets) -> tuple[str, str, str, str] | None:
    """Scheme, host, bucket and key; the host is empty for a provider's own address. None for everything else."""
    scheme, mark, rest = uri.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in {"s3", "gs", "azure"}:
        return None
    network, _, path = rest.partition("/")
    if not network.isascii():
        return None  # some letters turn into others in lower case
    host = network.lower()
    if scheme == "azure" or (scheme == "s3" and opened.is_s3_host(host)):
        bucket, _, key = path.partition("/")
        return (scheme, host, bucket, key) if host and bucket else None
    return (scheme, "", network, path) if network else None


def region_of(bucket: str, address: str = AWS, timeout: float = 10.0) -> str:
    """The AWS region of a bucket, which S3 returns even without credentials; empty if it can't be found out."""
    try:
        answer = requests.head(f"{address}/{bucket}", timeout=time_limits(timeout), allow_redirects=False)
    except requests.RequestException:
        return ""
    region = answer.headers.get("x-amz-bucket-region", "")
    return region if _REGION.fullmatch(region) else ""
