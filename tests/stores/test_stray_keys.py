"""A store that ignores the prefix of a listing shows keys that nobody asked for: none of them is ever deleted."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.planning.paths import Location, PartOfFolder, TaskFolder, TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.object_stores import ObjectStores

TASK, OTHER = TaskId("a" * 32), TaskId("b" * 32)
OURS = f"base/lab/exp.{TASK}/models/w.pt"
STRAYS = ["a.csv", f"base/lab/exp.{TASK}2/models/w.pt", f"base/lab/living.{OTHER}/models/w.pt", "payroll.csv"]


@dataclass
class Blind:
    """A server with one bucket, in the words of S3, Google and Azure; ``blind``: whether a listing shows everything."""

    keys: set[str]
    blind: Callable[[int], bool]
    listings: int = 0
    deleted: list[str] = field(default_factory=list)
    address: str = ""
    moved: str = ""
    """Where it sends to."""

    def listing(self, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        self.listings += 1
        shown = sorted(key for key in self.keys if self.blind(self.listings) or key.startswith(prefix))
        if not delimiter:
            return shown, []
        tops = {key[: key.index("/") + 1] for key in shown if "/" in key}
        return [key for key in shown if "/" not in key], sorted(tops)

    def delete(self, key: str) -> None:
        self.keys.discard(key)
        self.deleted.append(key)


WHEN = "<LastModified>2020-01-01T00:00:00.000Z</LastModified>"
AZURE = (
    "<Properties><Creation-Time>Wed, 01 Jan 2020 00:00:00 GMT</Creation-Time><Last-Modified>Wed, 01 Jan 2020 00:00:00 GMT"
    "</Last-Modified><Etag>x</Etag><Content-Length>1</Content-Length><Content-Type>text/plain</Content-Type></Properties>"
)


@contextmanager
def serving(store: Blind) -> Iterator[Blind]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def answer(self, text: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            keys, tops = store.listing(asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0])
            if asked.get("comp") == ["list"]:
                blobs = "".join(f"<Blob><Name>{key}</Name>{AZURE}</Blob>" for key in keys)
                self.answer(f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>")
            else:
                found = "".join(f'<Contents><Key>{key}</Key>{WHEN}<ETag>"x"</ETag><Size>1</Size></Contents>' for key in keys)
                found += "".join(f"<CommonPrefixes><Prefix>{top}</Prefix></CommonPrefixes>" for top in tops)
                self.answer(f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            named = re.findall("<Key>([^<]*)</Key>", body.decode())
            for key in named:
                store.delete(key)
            done = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in named)
            self.answer(f"<DeleteResult>{done}</DeleteResult>")

        def do_DELETE(self) -> None:
            store.delete(unquote(urlsplit(self.path).path).removeprefix("/bucket/"))
            self.answer("", 204)

        def do_HEAD(self) -> None:
            self.send_response(307 if store.moved else 404)
            self.send_header("Location", store.moved)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        store.address = f"127.0.0.1:{server.server_port}"
        yield store
        server.shutdown()


@dataclass
class Kind:
    """How a store of a kind is reached."""

    uri: str
    conf: dict[str, Any]
    variables: dict[str, str] = field(default_factory=dict)


def kind(name: str, address: str) -> Kind:
    keys = {"host": address, "key": "k", "secret": "s", "secure": False}
    account = {"account_name": "account", "account_key": "c2VjcmV0", "container_name": "bucket"}
    return {
        "s3": lambda: Kind(f"s3://{address}/bucket", {"aws.s3": {"credentials": [keys]}}),
        "gs": lambda: Kind("gs://bucket", {}, {"STORAGE_EMULATOR_HOST": f"http://{address}"}),
        "azure": lambda: Kind(
            "azure://account.blob.core.windows.net/bucket",
            {"azure.storage": {"containers": [account]}},
            {"AZURE_STORAGE_ENDPOINT": f"http://{address}/account"},
        ),
    }[name]()


def opened(name: str, store: Blind, monkeypatch: pytest.MonkeyPatch) -> tuple[ObjectStores, TaskFolder]:
    how = kind(name, store.address)
    for variable, value in how.variables.items():
        monkeypatch.setenv(variable, value)
    retry = Retry(2, wait=0)
    found = ObjectStores(Buckets(how.conf, timeout=10, retry=retry), retry=retry)
    place = found.locate(f"{how.uri}/base/lab/exp.{TASK}")
    assert place is not None
    return found, TaskFolder(place.store, place.path, TASK)


@pytest.mark.parametrize("name", ["s3", "gs", "azure"])
@pytest.mark.parametrize("part", [False, True], ids=["folder", "part of a folder"])
def test_a_listing_with_strays_deletes_none_of_them_and_fails_the_task(
    monkeypatch: pytest.MonkeyPatch, name: str, part: bool
) -> None:
    with serving(Blind({OURS, *STRAYS}, blind=lambda _: True)) as store:
        found, top = opened(name, store, monkeypatch)
        path = PartOfFolder(top, ("models/keep",)) if part else top
        for done in (found.measure([path]), found.delete([path])):
            assert "it ignores the prefix of a listing" in done.failed[path]
            assert not done.missing
    assert store.deleted == []


@pytest.mark.parametrize("name", ["s3", "gs"])
def test_strays_in_the_listing_after_the_deletion_fail_the_task(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with serving(Blind({OURS, *STRAYS}, blind=lambda number: number > 1)) as store:
        found, top = opened(name, store, monkeypatch)
        assert "it ignores the prefix of a listing" in found.delete([top]).failed[top]
    assert store.deleted == [OURS]


@pytest.mark.parametrize("name", ["s3", "gs", "azure"])
def test_only_the_task_whose_listing_strays_fails(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with serving(Blind({OURS, *STRAYS}, blind=lambda number: number == 1)) as store:
        found, top = opened(name, store, monkeypatch)
        assert "it ignores the prefix" in found.measure([top]).failed[top]
        assert found.measure([top]).failed == {}


@pytest.mark.parametrize("name", ["s3", "gs", "azure"])
def test_a_sweep_below_a_folder_ends_where_the_listing_strays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with serving(Blind({OURS, *STRAYS}, blind=lambda _: True)) as store:
        found, top = opened(name, store, monkeypatch)
        with pytest.raises(SettingsError, match="it ignores the prefix"):
            list(found.folders(Location(top.store, "base/lab")))
    assert store.deleted == []


@pytest.mark.parametrize("name", ["s3", "gs", "azure"])
def test_a_server_that_sends_to_another_one_gets_no_credentials_along(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with serving(Blind({OURS}, blind=lambda _: False, moved="http://user:secret@login.example/x?y")) as store:
        found, top = opened(name, store, monkeypatch)
        why = found.delete([top]).failed[top]
    assert "redirects to another server, login.example" in why
    assert (store.listings, store.deleted) == (0, [])
