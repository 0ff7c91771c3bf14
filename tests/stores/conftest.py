"""A server of each kind for all tests here, and a new bucket for each test."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.stores.servers import (
    Bucket,
    Certificate,
    azure_container,
    azure_server,
    google_bucket,
    google_server,
    s3_bucket,
    s3_server,
)

# Of the stores' own clients, at the end of a test.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as host:
        yield host


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory, tls: Certificate) -> Iterator[int]:
    with azure_server(tmp_path_factory.mktemp("azure"), tls) as port:
        yield port


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with google_server(tmp_path_factory.mktemp("google")) as address:
        yield address


@pytest.fixture(params=["s3", "s3-aws", "gs", "azure"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A new, empty bucket of each kind."""
    name = f"bkt-{uuid4().hex[:12]}"
    make: dict[str, Callable[[], Bucket]] = {
        "s3": lambda: s3_bucket(request.getfixturevalue("s3"), name),
        "s3-aws": lambda: s3_bucket(request.getfixturevalue("s3"), name, plain=True),
        "gs": lambda: google_bucket(request.getfixturevalue("google"), name),
        "azure": lambda: azure_container(request.getfixturevalue("azure"), name, request.getfixturevalue("tls")),
    }
    return make[request.param]()


@pytest.fixture
def target(bucket: Bucket, s3: str) -> Bucket:
    """A new bucket of each kind.

    obstore writes to Google by its XML interface, which is S3's in this. The test server for Google takes nothing that way, so
    S3's does.
    """
    if not bucket.uri.startswith("gs://"):
        return bucket
    name = f"bkt{uuid4().hex[:12]}"
    other = s3_bucket(s3, name, plain=True)
    return replace(
        bucket,
        uri=f"gs://{name}",
        put=other.put,
        keys=other.keys,
        get=other.get,
        environ={"STORAGE_EMULATOR_HOST": f"http://{s3}"},
    )


@pytest.fixture
def s3_one(s3: str) -> Bucket:
    """A new bucket on an S3 server, where one kind is enough."""
    return s3_bucket(s3, f"bkt-{uuid4().hex[:12]}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mounted folder with something in it."""
    (tmp_path / "share").mkdir()
    (tmp_path / "share/README").write_text("shared")
    return tmp_path / "share"
