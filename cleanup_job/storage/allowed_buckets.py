"""Which buckets the operator has opened to the job, and with which credentials.

Anybody who can write a record in ClearML can name any host in it. So a bucket is known only if the operator named its
server, in clearml.conf or in the environment, or if it is at a provider's own address and the operator gave credentials for
it: for this bucket, or for all buckets of the provider. Everything else is an unknown store, and nothing is sent there, not
even a DNS query for its name. The rules are in docs/stores.md. No I/O.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from clearml.backend_config.bucket_config import (
    AzureContainerConfigurations,
    GSBucketConfig,
    GSBucketConfigurations,
    S3BucketConfig,
    S3BucketConfigurations,
)

from cleanup_job.errors import SettingsError

S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
S3_IDENTITIES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_METADATA_ENDPOINT",
)
"""Variables which show that a platform gives this pod an identity. Nothing shows the role of a machine."""
GOOGLE_GENERAL = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_BASE_URL",
    "STORAGE_EMULATOR_HOST",
)
AZURE_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
AZURE_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
AZURE_AUTHORITIES = ("AZURE_STORAGE_AUTHORITY_HOST", "AZURE_AUTHORITY_HOST")
AZURE_CLOUDS = {
    "login.microsoftonline.us": "blob.core.usgovcloudapi.net",
    "login.chinacloudapi.cn": "blob.core.chinacloudapi.cn",
    "login.partner.microsoftonline.cn": "blob.core.chinacloudapi.cn",
}
"""Separate clouds, by the host that signs in to them. The same account name may belong to someone else there."""
AZURE_PUBLIC = "blob.core.windows.net"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
"""Names that can't mean anything else, anywhere in an address."""
_CONTAINER = re.compile(r"\$?[a-z0-9][a-z0-9-]{0,62}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class S3Place:
    """An S3 bucket that is open: the address of its server, empty for AWS, and its credentials."""

    bucket: str
    endpoint: str
    credentials: S3BucketConfig


@dataclass(frozen=True, slots=True)
class AzurePlace:
    """An Azure container that is open; without a key, its account takes what the environment or the platform gives."""

    account: str
    container: str
    endpoint: str
    key: str = ""
    is_of_environment: bool = False
    """Whether the account's secrets in the environment, if there are any, are this account's."""


class AllowedBuckets:
    """The buckets that clearml.conf and the environment open, and those that the operator named in other settings."""

    def __init__(
        self, conf: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str], named: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        """Take in clearml.conf's parts (``aws.s3``, ``google.storage``, ``azure.storage``) and the environment.

        Args:
            conf: The parts of ``sdk`` in clearml.conf. Missing ones are empty.
            environ: The environment.
            named: Scheme, host and bucket of what the operator named in another setting; no host: a provider's own.

        Raises:
            SettingsError: an entry of clearml.conf can't be read.
        """
        self._environ = environ
        self._named = frozenset(named)
        s3, google, azure = (dict(conf.get(section, {})) for section in ("aws.s3", "google.storage", "azure.storage"))
        without: dict[str, Any] = {"credentials": []}
        self._s3 = _read("aws.s3", lambda: S3BucketConfig.from_list(s3.get("credentials", [])))
        self._s3_hosts = _read("aws.s3", lambda: {str(one.get("host") or "").lower() for one in s3.get("credentials", [])}) - {
            ""
        }
        self._s3_general = _read("aws.s3", lambda: S3BucketConfigurations.from_config(s3 | without))
        self._google = _read("google.storage", lambda: [GSBucketConfig(**one) for one in google.get("credentials", [])])
        self._google_general = _read("google.storage", lambda: GSBucketConfigurations.from_config(google and google | without))
        self._google_is_open = bool(google.get("project") or google.get("credentials_json")) or self._is_set(*GOOGLE_GENERAL)
        self._azure = _read("azure.storage", lambda: AzureContainerConfigurations.from_config(azure))

    def is_s3_host(self, network: str) -> bool:
        """Whether this, in lower case, is a server that the operator named, rather than a bucket at AWS."""
        return ":" in network or network in self._s3_hosts

    def s3(self, host: str, bucket: str) -> S3Place | None:
        """A bucket of an S3 server, or of AWS if ``host`` is empty; None if it is not open.

        The keys of an entry open only what the entry names. General keys open the buckets at AWS, or at the endpoint that the
        environment names instead, and those of hosts that an entry names without matching keys.
        """
        if not _BUCKET.fullmatch(bucket):
            return None
        general = self._s3_general.get_config_by_uri("s3://general")
        endpoint = self._first(S3_ENDPOINTS)
        is_endpoint = bool(host) and host == _network(endpoint)
        own = [one for one in self._s3 if one.host.lower() == host and one.bucket.partition("/")[0] in {"", bucket}]
        if own:
            entry = max(own, key=lambda one: bool(one.bucket))
        elif self._opens_s3(general, host, bucket, is_endpoint=is_endpoint):
            entry = general
        else:
            return None
        if host and not is_endpoint:
            endpoint = f"{'https' if entry.secure else 'http'}://{host}"
        return S3Place(bucket, endpoint, entry)

    def _opens_s3(self, general: S3BucketConfig, host: str, bucket: str, *, is_endpoint: bool) -> bool:
        has_keys = bool(general.key and general.secret)
        if ("s3", host, bucket) in self._named:
            return True
        if host and not is_endpoint:
            return host in self._s3_hosts and has_keys
        has_identity = bool(general.use_credentials_chain or general.profile) or self._is_set(*S3_IDENTITIES)
        return has_keys or has_identity or self._is_set(*S3_ENDPOINTS)

    def google(self, bucket: str) -> GSBucketConfig | None:
        """The credentials of a bucket of Google Cloud Storage; None if it is not open."""
        if not _BUCKET.fullmatch(bucket):
            return None
        own = next((one for one in self._google if one.bucket == bucket), None)
        if own is not None:
            return own
        if self._google_is_open or ("gs", "", bucket) in self._named:
            return self._google_general.get_config_by_uri(f"gs://{bucket}")
        return None

    def azure(self, host: str, container: str) -> AzurePlace | None:
        """A container of an Azure account; None if it is not open, or its host is not the account's own.

        The host has to be the account's in the cloud that the job signs in to, or the one that the environment names.
        """
        is_named = ("azure", host, container) in self._named
        ours = {self._environ.get(name, "") for name in AZURE_ACCOUNTS} - {""}
        account = self._azure_account(host, ours, is_named=is_named)
        if not (_ACCOUNT.fullmatch(account) and _CONTAINER.fullmatch(container)):
            return None
        if self._is_azure_endpoint(host):
            ours |= {account}
        key = self._azure_key(account, container)
        if key is None and account not in ours and not is_named:
            return None
        endpoint = self._first(AZURE_ENDPOINTS) if account in ours or not ours else ""
        return AzurePlace(account, container, endpoint or f"https://{host}", key or "", account in ours)

    def _azure_key(self, account: str, container: str) -> str | None:
        """The key in an entry for this container; empty if the entry has none, None if there is no entry."""
        entry = self._azure.get_config(account, container)
        if entry is None:
            return None
        return "" if entry.use_default_credential else entry.account_key or ""

    def _azure_account(self, host: str, ours: set[str], *, is_named: bool) -> str:
        """The account at a host; empty if the host is not that of an account that the job may use.

        Args:
            host: The host in a URI.
            ours: The accounts that the environment names.
            is_named: Whether another setting names this host.
        """
        account, _, domain = host.partition(".")
        if self._is_azure_endpoint(host):
            return min(ours, default="") or urlsplit(self._first(AZURE_ENDPOINTS)).path.strip("/") or account
        return account if domain == self._azure_domain() or is_named else ""

    def _is_azure_endpoint(self, host: str) -> bool:
        """Whether the environment names this host as the endpoint of its account."""
        endpoint = self._first(AZURE_ENDPOINTS)
        return bool(endpoint) and host == _network(endpoint)

    def _azure_domain(self) -> str:
        authority = self._first(AZURE_AUTHORITIES)
        return AZURE_CLOUDS.get(
            urlsplit(authority if "://" in authority else f"https://{authority}").hostname or "", AZURE_PUBLIC
        )

    def _first(self, names: Iterable[str]) -> str:
        return next(filter(None, (self._environ.get(name, "").strip() for name in names)), "")

    def _is_set(self, *names: str) -> bool:
        return bool(self._first(names))


def _network(address: str) -> str:
    """Host and port of an address, in lower case."""
    return urlsplit(address).netloc.lower()


def _read(section: str, read: Callable[[], C]) -> C:
    try:
        return read()
    except (AttributeError, TypeError, ValueError) as error:
        message = f"clearml.conf: sdk.{section} can't be read ({error}). Write it as ClearML's SDK expects it."
        raise SettingsError(message) from error
