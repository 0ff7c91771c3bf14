"""Which buckets are known: no URI in a record makes the job contact a host that the operator did not name."""

import socket
from typing import Any
from uuid import uuid4

import pytest
import requests

from cleanup_job.planning.outputs import UnknownStore, address_of, classify
from cleanup_job.planning.paths import OwnedPath, TaskFolder, TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage.buckets import Buckets, NoAccessError
from cleanup_job.storage.object_stores import ObjectStores
from tests.stores.servers import Certificate, azure_container

TASK = TaskId("a" * 32)
PATH = f"lab/exp.{TASK}/models/w.pt"
KEYS = {"key": "k", "secret": "s"}
GENERAL = {"aws.s3": KEYS, "google.storage": {"project": "p"}}
MINIO = {"aws.s3": {"credentials": [{"host": "minio.lan:9000", **KEYS}, {"host": "s3.lan", **KEYS}]}}
AZURE = {"azure.storage": {"containers": [{"account_name": "account", "account_key": "c2VjcmV0"}]}}
ALL = {**GENERAL, **AZURE, "aws.s3": {**KEYS, **MINIO["aws.s3"]}}
FULL: dict[str, str] = {
    "AZURE_TENANT_ID": "t",
    "AZURE_CLIENT_ID": "c",
    "AZURE_FEDERATED_TOKEN_FILE": "/token",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
}


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_STORAGE_ACCOUNT",
    ):
        monkeypatch.delenv(name, raising=False)


def locate(uri: str, conf: dict[str, Any], **environ: str) -> str | None:
    place = Buckets(conf, environ=environ).locate(uri)
    return place and place.store


@pytest.mark.parametrize(
    ("uri", "store", "path"),
    [
        ("s3://bucket/a/b%20c#d?e", "s3://bucket", "a/b%20c#d?e"),
        ("S3://bucket/a", "s3://bucket", "a"),
        ("s3://minio.lan:9000/bucket/a/b", "s3://minio.lan:9000/bucket", "a/b"),
        ("s3://MinIO.lan:9000/bucket/a", "s3://minio.lan:9000/bucket", "a"),
        ("s3://S3.lan/bucket/a", "s3://s3.lan/bucket", "a"),
        ("s3://bucket//a", "s3://bucket", "/a"),
        ("gs://bucket/a/b", "gs://bucket", "a/b"),
        ("azure://Account.blob.core.windows.net/cont/a/b", "azure://account.blob.core.windows.net/cont", "a/b"),
        ("s3:///a", None, None),
        ("s3://minio.lan:9000", None, None),
        ("http://bucket/a", None, None),
        ("/mnt/a", None, None),
        ("uploading_file", None, None),
    ],
)
def test_where_a_uri_is(uri: str, store: str | None, path: str | None) -> None:
    place = Buckets(ALL).locate(uri)
    assert (place and place.store, place and place.path) == (store, path)


HOSTILE = [
    "s3://evil.example:9000/bucket",
    "s3://minio.lan:9001/bucket",
    "s3://minio.lan:9000.evil.example/bucket",
    "s3://minio.lan.:9000/bucket",
    "s3://minio.lan:09000/bucket",
    "s3://user@minio.lan:9000/bucket",
    "s3://user@evil:9000/bucket",
    "s3://minio.lan:9000@evil.example/bucket",
    "s3://evil.example:9000@minio.lan/bucket",
    "s3://evil.example:9000\\@minio.lan:9000/bucket",
    "s3://minio.lan:9000\\.evil.example/bucket",
    "s3://minio.lan:9000#.evil.example/bucket",
    "s3://minio%2elan:9000/bucket",
    "s3://minio.lan%3a9000/bucket",
    "s3://\uff4dinio.lan:9000/bucket",
    "s3://minio.lan\u3002:9000/bucket",
    "s3://s3.lan:443/bucket",
    "s3://[::1]:9000/bucket",
    "s3://127.0.0.1:80/bucket",
    "s3://evil.example?x",
    "s3://evil.example#x",
    "s3://bucket@evil.example",
    "s3://.evil.example",
    "s3://..",
    "s3://minio.lan:9000/../bucket",
    "s3://minio.lan:9000/@evil",
    "s3://bu cket",
    "gs://evil.example:443",
    "gs://user@evil.example",
    "gs://bucket%2f",
    "gs://bücket",
    "azure://evil.example/container",
    "azure://account.evil.example/container",
    "azure://account.blob.core.windows.net.evil.example/container",
    "azure://account.blob.core.windows.net./container",
    "azure://account.blob.core.windows.net:444/container",
    "azure://account.blob.core.windows.net:443/container",
    "azure://x@account.blob.core.windows.net/container",
    "azure://account@evil.blob.core.windows.net/container",
    "azure://evil.blob.core.windows.net/container",
    "azure://account.blob.core.chinacloudapi.cn/container",
    "azure://account.blob.core.windows.net\\.evil.example/container",
    "azure://account.blob.core.windows.net%2eevil.example/container",
    "azure://account%2eblob.core.windows.net/container",
    "azure://aCCount\u212a.blob.core.windows.net/container",
    "azure://evil.example/account.blob.core.windows.net/container",
    "azure://evil.example#account.blob.core.windows.net/container",
    "azure://account.blob.core.windows.net/con@tainer",
    "azure://169.254.169.254/container",
]


@pytest.mark.parametrize("base", HOSTILE)
def test_a_host_that_nobody_named_is_an_unknown_store_with_whatever_credentials(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def caught(*given: object, **_: object) -> None:
        pytest.fail(f"asks for {given}")

    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, caught)
    monkeypatch.setattr(requests, "head", caught)
    found = Buckets(ALL, environ=FULL)
    assert found.locate(f"{base}/{PATH}") is None
    assert isinstance(classify(f"{base}/{PATH}", TASK, found.locate), UnknownStore)
    assert "@" not in address_of(f"{base}/{PATH}")


def test_without_any_credentials_no_bucket_is_known() -> None:
    for uri in ("s3://bucket", "gs://bucket", "azure://account.blob.core.windows.net/container", "s3://host:9000/bucket"):
        assert locate(f"{uri}/{PATH}", {}) is None


# -- S3
def test_keys_of_a_bucket_open_this_bucket_alone() -> None:
    conf = {"aws.s3": {"credentials": [{"bucket": "data", **KEYS}]}}
    assert locate("s3://data/x", conf) == "s3://data"
    for other in ("data2", "dat", "other", "Data"):
        assert locate(f"s3://{other}/x", conf) is None


def test_keys_of_a_bucket_at_a_host_open_no_other_bucket_there() -> None:
    conf = {"aws.s3": {"credentials": [{"bucket": "data", "host": "minio.lan:9000", **KEYS}]}}
    assert locate("s3://minio.lan:9000/data/x", conf) == "s3://minio.lan:9000/data"
    assert locate("s3://minio.lan:9000/data2/x", conf) is None
    assert locate("s3://minio.lan:9000/data2/x", conf, AWS_WEB_IDENTITY_TOKEN_FILE="/token") is None
    assert locate("s3://data/x", conf) is None


def test_general_keys_open_every_bucket_at_aws_and_no_host() -> None:
    assert locate("s3://any-bucket/x", GENERAL) == "s3://any-bucket"
    assert locate("s3://minio.lan:9000/bucket/x", GENERAL) is None


@pytest.mark.parametrize(
    "name", ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
)
def test_an_identity_that_the_platform_gives_to_the_pod_opens_buckets_at_aws(name: str) -> None:
    assert locate("s3://bucket/x", {}, **{name: "x"}) == "s3://bucket"


def test_the_role_of_a_machine_opens_buckets_where_clearml_conf_says_so() -> None:
    assert locate("s3://bucket/x", {"aws.s3": {"use_credentials_chain": True}}) == "s3://bucket"


def test_the_endpoint_of_the_environment_is_a_host_that_the_operator_named() -> None:
    endpoint = {"AWS_ENDPOINT_URL": "http://Ceph.lan:7480"}
    assert locate("s3://bucket/x", {}, **endpoint) == "s3://bucket"
    assert locate("s3://ceph.lan:7480/bucket/x", {}, **endpoint) == "s3://ceph.lan:7480/bucket"
    assert locate("s3://ceph.lan:7481/bucket/x", {}, **endpoint) is None


def test_an_entry_that_fits_better_wins(s3: str) -> None:
    entries = [
        {"host": s3, "key": "of the host", "secret": "s"},
        {"host": s3, "bucket": "data", "key": "of the bucket", "secret": "s"},
    ]
    found = Buckets({"aws.s3": {"credentials": entries}})
    for bucket, key in (("data", "of the bucket"), ("data2", "of the host")):
        client: Any = found.open(f"s3://{s3}/{bucket}", retries=False)
        assert client.credential_provider()["access_key_id"] == key


# -- Google
def test_what_opens_buckets_at_google() -> None:
    assert locate("gs://bucket/x", {"google.storage": {"credentials": [{"bucket": "bucket"}]}}) == "gs://bucket"
    assert locate("gs://bucket2/x", {"google.storage": {"credentials": [{"bucket": "bucket"}]}}) is None
    assert locate("gs://bucket/x", {"google.storage": {"project": ""}}) is None
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        assert locate("gs://bucket/x", {}, **{name: "x"}) == "gs://bucket"


# -- Azure
def test_what_opens_containers_of_azure() -> None:
    uri = "azure://account.blob.core.windows.net/container/x"
    one = {"azure.storage": {"containers": [{"account_name": "account", "container_name": "container"}]}}
    assert locate(uri, one) == "azure://account.blob.core.windows.net/container"
    assert locate(uri.replace("container", "container2"), one) is None
    assert locate(uri.replace("account", "account2"), one) is None
    for name in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"):
        assert locate(uri, {}, **{name: "account"}) == "azure://account.blob.core.windows.net/container"
        assert locate(uri, {}, **{name: "other"}) is None
    assert locate(uri, {}, **FULL) is None


@pytest.mark.parametrize(
    ("authority", "domain"),
    [
        ("https://login.microsoftonline.us/", "blob.core.usgovcloudapi.net"),
        ("https://login.chinacloudapi.cn", "blob.core.chinacloudapi.cn"),
        ("https://login.microsoftonline.com", "blob.core.windows.net"),
    ],
)
def test_an_account_has_its_host_in_the_cloud_that_the_job_signs_in_to(authority: str, domain: str) -> None:
    clouds = ("blob.core.windows.net", "blob.core.usgovcloudapi.net", "blob.core.chinacloudapi.cn")
    known = [one for one in clouds if locate(f"azure://account.{one}/container/x", AZURE, AZURE_AUTHORITY_HOST=authority)]
    assert known == [domain]


def test_an_endpoint_of_the_environment_is_the_accounts_host() -> None:
    endpoint = {"AZURE_STORAGE_ENDPOINT": "https://blobs.example.org", "AZURE_STORAGE_ACCOUNT_NAME": "account"}
    assert locate("azure://blobs.example.org/container/x", {}, **endpoint) == "azure://blobs.example.org/container"
    assert locate("azure://account.blob.core.windows.net/container/x", {}, **endpoint) is not None
    assert locate("azure://blobs.example.org:444/container/x", {}, **endpoint) is None


@pytest.mark.parametrize(
    ("secret", "value"),
    [("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0"), ("AZURE_STORAGE_SAS_KEY", "sig=x"), ("AZURE_STORAGE_TOKEN", "token")],
)
def test_secrets_of_one_account_are_not_sent_to_another(secret: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = {"azure.storage": {"containers": [{"account_name": "other", "use_default_credential": True}]}}
    environ = {"AZURE_STORAGE_ACCOUNT_NAME": "account", secret: value}
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    found = Buckets(conf, environ=environ)
    with pytest.raises(NoAccessError, match=secret):
        found.open("azure://other.blob.core.windows.net/container", retries=False)
    assert found.open("azure://account.blob.core.windows.net/container", retries=False)


def test_an_accounts_own_key_is_the_only_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "of somebody else")
    client: Any = Buckets(AZURE).open("azure://account.blob.core.windows.net/container", retries=False)
    assert client.credential_provider() == {"access_key": "c2VjcmV0", "expires_at": None}


# -- what the operator names elsewhere, as a sweep does
@pytest.mark.parametrize(
    "url", ["s3://bucket/below", "s3://minio.lan:9000/bucket", "gs://bucket", "azure://account.blob.core.windows.net/bucket"]
)
def test_a_bucket_that_a_setting_names_is_open_and_no_other(url: str) -> None:
    found = Buckets({}, named=[url], environ={})
    assert found.locate(f"{url}/x") is not None
    assert found.locate(f"{url.replace('bucket', 'other')}/x") is None
    assert (
        found.locate(f"{url.replace('minio.lan', 'evil.example').replace('account', 'evil').replace('bucket', 'b2')}/x") is None
    )


def test_a_container_with_the_accounts_key_is_emptied(azure: int, tls: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = azure_container(azure, f"bkt-{uuid4().hex[:12]}", tls)
    for name, value in (bucket.environ | {"AZURE_STORAGE_TOKEN": "of somebody else"}).items():
        monkeypatch.setenv(name, value)
    found = ObjectStores(Buckets(bucket.conf, verify=bucket.verify, timeout=20, retry=Retry(2, wait=0)), retry=Retry(2, wait=0))
    place = found.locate(f"{bucket.uri}/lab/exp.{TASK}")
    assert place is not None
    top: OwnedPath = TaskFolder(place.store, place.path, TASK)
    bucket.put(f"{place.path}/models/w.pt", b"1")
    assert found.delete([top]).failed == {}
    assert bucket.keys() == set()
