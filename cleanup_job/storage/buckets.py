"""Buckets and containers: where a URI lies in one, and how to open it with the credentials that ClearML's users have.

ClearML's SDK keeps credentials in clearml.conf (``sdk.aws.s3``, ``sdk.google.storage``, ``sdk.azure.storage``) or in its
environment variables; its own classes read them here: what could be written can be deleted. Where there are none, the
platform's chain is asked: web identity (IRSA), pod and instance roles, Workload Identity, managed identities. An object's key
is the text of its URI after the bucket, literally: the SDK quotes names before they become keys.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import certifi
import requests
from clearml.backend_config.bucket_config import (
    AzureContainerConfigurations,
    GSBucketConfigurations,
    S3BucketConfigurations,
)
from obstore.store import AzureStore, GCSStore, S3Store

from cleanup_job.errors import SettingsError
from cleanup_job.paths import Location
from cleanup_job.retry import Retry, time_limits

AWS = "https://s3.amazonaws.com"
AWS_REGION = "us-east-1"
"""Where a bucket is if nothing else is known; other makers' servers take it as well."""
SECTIONS = {
    "aws.s3": S3BucketConfigurations,
    "google.storage": GSBucketConfigurations,
    "azure.storage": AzureContainerConfigurations,
}
"""The parts of clearml.conf's ``sdk``, each with the SDK's class that reads it."""

Client = S3Store | GCSStore | AzureStore


class NoAccessError(Exception):
    """A bucket can't be opened; ``str()`` says why, and the way out."""


class Buckets:
    """All buckets that the credentials open; which there are shows in the URIs alone."""

    def __init__(
        self,
        conf: Mapping[str, Mapping[str, Any]],
        *,
        verify: bool | str = True,
        timeout: float = 120.0,
        retry: Retry | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Nothing is sent yet.

        Args:
            conf: The parts of clearml.conf's ``sdk`` that ``SECTIONS`` names; those that are missing are empty.
            verify: Whether to verify certificates, or the path of a CA bundle; an S3 entry's own ``verify`` wins.
            timeout: Seconds for each request.
            retry: How often a reading request is tried.
            environ: The environment.

        Raises:
            SettingsError: an entry of clearml.conf can't be read.
        """
        read = {}
        for section, kind in SECTIONS.items():
            try:
                read[section] = kind.from_config(dict(conf.get(section, {})))
                hosts = [str(entry.get("host") or "").lower() for entry in conf.get(section, {}).get("credentials", ())]
            except (AttributeError, TypeError, ValueError) as error:
                message = (
                    f"clearml.conf: sdk.{section} can't be read ({error}). Correct it: it must be as ClearML's SDK takes it."
                )
                raise SettingsError(message) from error
            if section == "aws.s3":
                self._hosts = frozenset(hosts) - {""}
        self._s3, self._gs, self._azure = read.values()
        self._verify, self._timeout, self._environ = verify, timeout, environ
        self._retry = retry or Retry()

    def locate(self, uri: str) -> Location | None:
        """The bucket and key of an ``s3://``, ``gs://`` or ``azure://`` URI; None for any other.

        ``s3://host:port/bucket/key`` names a server of its own, as does a host without a port that clearml.conf knows.
        """
        scheme, mark, rest = uri.partition("://")
        scheme = scheme.lower()
        if not mark or scheme not in {"s3", "gs", "azure"}:
            return None
        network, _, path = rest.partition("/")
        if scheme == "azure" or (scheme == "s3" and (":" in network or network.lower() in self._hosts)):
            bucket, _, path = path.partition("/")
            network = f"{network.lower()}/{bucket}" if bucket else ""
        return Location(f"{scheme}://{network}", path) if network else None

    def open(self, name: str, *, retries: bool) -> Client:
        """A client for the bucket of this name; with ``retries``, it tries again by itself.

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
        network, _, bucket = rest.partition("/")
        try:
            if scheme == "s3":
                return self._open_s3(name, network if bucket else "", bucket or network, common)
            return self._open_gs(name, network, common) if scheme == "gs" else self._open_azure(name, network, bucket, common)
        except (OSError, ValueError) as error:
            raise NoAccessError(f"no usable credentials: {error}") from error

    def _open_s3(self, name: str, host: str, bucket: str, common: dict[str, Any]) -> Client:
        entry = self._s3.get_config_by_uri(name)
        endpoint = f"{'https' if entry.secure else 'http'}://{host}" if host else ""
        config: Any = {"region": entry.region or AWS_REGION}
        if endpoint:
            config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
        else:
            given = (self._environ.get(variable) for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
            endpoint = next(filter(None, given), "")
            if not endpoint:
                config["region"] = region_of(bucket, timeout=self._timeout) or entry.region or AWS_REGION
        if not entry.use_credentials_chain and entry.key and entry.secret:
            keys = {"access_key_id": entry.key, "secret_access_key": entry.secret}
            # A provider, since a token in the environment would be sent along with keys that are not its own.
            found = {**keys, "token": entry.token or None, "expires_at": None}
            common["credential_provider"] = lambda: found
        elif entry.profile:
            raise NoAccessError(
                f"AWS profile {entry.profile!r}: profiles are not read. Give key and secret in clearml.conf's sdk.aws.s3, "
                "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role."
            )
        verify = self._verify if entry.verify is None else entry.verify
        return S3Store(bucket, config=config, client_options=self._client(endpoint, verify), **common)

    def _open_gs(self, name: str, bucket: str, common: dict[str, Any]) -> Client:
        credentials = self._gs.get_config_by_uri(name).credentials_json
        config: Any = {}
        if isinstance(credentials, str) and credentials.lstrip().startswith("{"):
            config["service_account_key"] = credentials
        elif credentials:
            config["application_credentials"] = str(Path(str(credentials)).expanduser())
        emulator = self._environ.get("STORAGE_EMULATOR_HOST", "")
        if emulator:
            # A token, since obstore's skip_signature does not reach as far as deletion.
            config = {"base_url": emulator if "://" in emulator else f"http://{emulator}", "bearer_token": "emulator"}
        return GCSStore(bucket, config=config, client_options=self._client(emulator, self._verify), **common)

    def _open_azure(self, name: str, network: str, container: str, common: dict[str, Any]) -> Client:
        entry = self._azure.get_config_by_uri(name)
        given = (self._environ.get(variable) for variable in ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"))
        endpoint = next(filter(None, given), f"https://{network}")
        config: Any = {"account_name": network.partition(".")[0], "endpoint": endpoint}
        if entry is not None and entry.account_key and not entry.use_default_credential:
            config["account_key"] = entry.account_key
        return AzureStore(container, config=config, client_options=self._client(endpoint, self._verify), **common)

    def _client(self, endpoint: str, verify: bool | str) -> Any:
        connect, whole = time_limits(self._timeout)
        options: dict[str, Any] = {
            "connect_timeout": timedelta(seconds=connect),
            "timeout": timedelta(seconds=whole),
            "allow_http": bool(endpoint) and not endpoint.startswith("https://"),
        }
        # Beside the system's: without any, obstore makes no client at all, and slim images have none.
        authorities = Path(certifi.where()).read_bytes()
        if verify is False:
            options["allow_invalid_certificates"] = True
        elif verify is not True:
            authorities += b"\n" + Path(str(verify)).read_bytes()
        return options | {"root_certificate": authorities}


def region_of(bucket: str, address: str = AWS, timeout: float = 10.0) -> str:
    """The AWS region of a bucket, which S3 tells everybody, without credentials too; empty where it can't be found out."""
    try:
        answer = requests.head(f"{address}/{bucket}", timeout=time_limits(timeout), allow_redirects=False)
    except requests.RequestException:
        return ""
    return answer.headers.get("x-amz-bucket-region", "")
