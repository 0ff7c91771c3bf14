"""Where audit logs are written: each object and each file once, never in place of another."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError

from cleanup_job.planning.paths import AUDIT_LOG, Location
from cleanup_job.retry import Retry
from cleanup_job.storage import audit_places
from cleanup_job.storage.audit_places import PART, BucketParts, FolderFile, in_bucket, in_folder
from cleanup_job.storage.buckets import Buckets
from tests.stores.servers import Bucket

NAME = f"{AUDIT_LOG}1"


def opened(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, below: str = "") -> tuple[Any, Location]:
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)
    url = bucket.uri + below
    buckets = Buckets(bucket.conf, verify=bucket.verify, timeout=20, retry=Retry(2, wait=0), named=[url])
    place = buckets.locate(url)
    assert place is not None
    return buckets.open(place.store, retries=False), place


def lines(client: Any, place: Location) -> dict[str, bytes]:
    return {name.rpartition("/")[2]: b"".join(read()) for name, read in in_bucket(client, place)}


WRITABLE = pytest.mark.parametrize("bucket", ["s3", "s3-aws", "azure"], indirect=True)
"""The emulator of Google Cloud Storage takes uploads by another of its protocols only."""


# -- buckets
@WRITABLE
def test_parts_are_written_when_they_have_to_last(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    client, place = opened(bucket, monkeypatch, "/audit/logs")
    parts = BucketParts(client, place, NAME, Retry(2, wait=0))
    parts.append(b"1\n", lasting=False)
    assert bucket.keys() == set()
    parts.append(b"2\n", lasting=True)
    parts.append(b"3\n", lasting=False)
    assert bucket.keys() == {f"audit/logs/{NAME}/000001.jsonl"}
    parts.append(b"x" * PART + b"\n", lasting=False)
    parts.append(b"4\n", lasting=False)
    parts.close()
    parts.close()
    assert bucket.keys() == {f"audit/logs/{NAME}/00000{n}.jsonl" for n in (1, 2, 3)}
    bucket.put("audit/logs/other/000001.jsonl", b"no log")
    assert lines(client, place) == {NAME: b"1\n2\n3\n" + b"x" * PART + b"\n4\n"}
    assert lines(client, Location(place.store, f"audit/logs/{NAME}")).keys() == {NAME}


@WRITABLE
def test_an_object_that_is_there_is_never_replaced(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    client, place = opened(bucket, monkeypatch)
    bucket.put(f"{NAME}/000001.jsonl", b"mine\n")
    parts = BucketParts(client, place, NAME, Retry(2, wait=0))
    with pytest.raises(OSError, match=r"000001\.jsonl is there already"):
        parts.append(b"other\n", lasting=True)
    assert lines(client, place) == {NAME: b"mine\n"}


def failing(times: int, *, after: bool, text: str) -> Callable[..., Any]:
    """An upload that fails so many times, ``after`` it was carried out or before."""
    left = [times]
    put = obstore.put

    def fails(*args: Any, **options: Any) -> Any:
        if left[0] > 0 and options.get("mode") == "create":
            left[0] -= 1
            if after:
                put(*args, **options)
            raise GenericError(text)
        return put(*args, **options)

    return fails


def test_an_answer_that_was_lost_is_made_good(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    client, place = opened(s3_one, monkeypatch)
    for n, after in enumerate((False, True)):
        monkeypatch.setattr(audit_places.obstore, "put", failing(1, after=after, text="connection reset"))
        BucketParts(client, place, f"{NAME}{n}", Retry(2, wait=0)).append(b"1\n", lasting=True)
        monkeypatch.undo()
    assert lines(client, place) == {f"{NAME}0": b"1\n", f"{NAME}1": b"1\n"}


def test_a_server_without_conditional_writes_is_looked_at_before(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    client, place = opened(s3_one, monkeypatch)
    s3_one.put(f"{NAME}/000002.jsonl", b"mine\n")
    parts = BucketParts(client, place, NAME, Retry(2, wait=0))
    monkeypatch.setattr(audit_places.obstore, "put", failing(9, after=False, text="status code: 501: NotImplemented"))
    parts.append(b"1\n", lasting=True)
    with pytest.raises(OSError, match=r"000002\.jsonl is there already"):
        parts.append(b"2\n", lasting=True)
    assert lines(client, place) == {NAME: b"1\nmine\n"}


def test_a_bucket_that_refuses_is_an_error_at_once(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    client, place = opened(s3_one, monkeypatch)
    calls: list[str] = []
    monkeypatch.setattr(audit_places.obstore, "put", failing(1, after=False, text="status code: 403: AccessDenied"))
    parts = BucketParts(client, place, NAME, Retry(5, wait=0, on_retry=calls.append))
    with pytest.raises(OSError, match="AccessDenied"):
        parts.append(b"1\n", lasting=True)
    assert (calls, s3_one.keys()) == ([], set())


def test_a_bucket_that_is_not_there(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    _, place = opened(s3_one, monkeypatch)
    buckets = Buckets(s3_one.conf, named=[f"{s3_one.uri}x"])
    missing = buckets.open(f"{place.store}x", retries=False)
    with pytest.raises(OSError, match="NoSuchBucket"):
        BucketParts(missing, place, NAME, Retry(2, wait=0)).append(b"1\n", lasting=True)
    with pytest.raises(OSError, match="can't be listed"):
        list(in_bucket(missing, place))


# -- folders
def test_a_file_is_new_and_only_appended_to(tmp_path: Path) -> None:
    file = FolderFile(tmp_path, NAME)
    file.append(b"1\n", lasting=True)
    file.append(b"2\n", lasting=False)
    with pytest.raises(FileExistsError):
        FolderFile(tmp_path, NAME)
    file.close()
    file.close()
    assert (tmp_path / f"{NAME}.jsonl").read_bytes() == b"1\n2\n"
    assert (tmp_path / f"{NAME}.jsonl").stat().st_mode & 0o777 == 0o640


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        FolderFile(tmp_path, NAME)
    assert not (tmp_path / "elsewhere").exists()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = FolderFile(tmp_path, NAME)
    whole = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: whole(handle, data[:2]))
    file.append(b"12345\n", lasting=True)
    monkeypatch.undo()
    file.close()
    assert (tmp_path / f"{NAME}.jsonl").read_bytes() == b"12345\n"


def test_logs_and_parts_in_a_folder_are_found_in_their_order(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.jsonl").write_bytes(b"a\n")
    parts = tmp_path / f"{AUDIT_LOG}2"
    parts.mkdir()
    for n, text in ((1, b"1\n"), (999999, b"2\n"), (1000000, b"3\n")):
        (parts / f"{n:06}.jsonl").write_bytes(text)
    (tmp_path / "notes.txt").write_text("not a log")
    found = {Path(name).name: b"".join(read()) for name, read in in_folder(tmp_path)}
    assert found == {f"{NAME}.jsonl": b"a\n", parts.name: b"1\n2\n3\n"}
    assert [name for name, _ in in_folder(tmp_path / f"{NAME}.jsonl")] == [str(tmp_path / f"{NAME}.jsonl")]
    with pytest.raises(FileNotFoundError):
        list(in_folder(tmp_path / "missing"))
