"""Deletion in object stores, against servers that speak their protocols."""

from collections.abc import Callable, Iterable

import pytest

from cleanup_job.planning.paths import OwnedPath, PartOfFolder, TaskFile, TaskFolder, TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage import object_stores
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.object_stores import ObjectStores
from tests.stores.servers import Bucket

ONE, OTHER = (TaskId(digit * 32) for digit in "ab")


def stores(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, **options: Callable[[], None]) -> ObjectStores:
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)
    retry = Retry(2, wait=0)
    return ObjectStores(Buckets(bucket.conf, verify=bucket.verify, timeout=20, retry=retry), retry=retry, **options)


def folder(found: ObjectStores, bucket: Bucket, name: str = "exp", task: TaskId = ONE) -> TaskFolder:
    place = found.locate(f"{bucket.uri}/base/lab/{name}.{task}")
    assert place is not None
    return TaskFolder(place.store, place.path, task)


def fill(bucket: Bucket, top: TaskFolder, rests: Iterable[str]) -> None:
    for rest in rests:
        bucket.put(f"{top.path}/{rest}", b"12345")


# Quoted names are literal in a key; what the SDK does not quote comes as it is.
ODD = [
    f"models/{rest}"
    for rest in (
        "a%20b",
        "c#d",
        "e?f",
        "g*h",
        "i[j]",
        "k\\l",
        "mä",
        "n+o",
        "p q",
        "x.pt",
        "tilde~",
        "a&b<c>",
        "quote'\"",
        "per%ZZ",
    )
]


def test_a_folder_goes_with_all_in_it_and_nothing_beside_it(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(bucket, monkeypatch)
    top = folder(found, bucket)
    fill(bucket, top, ODD)
    beside = {f"{top.path}2/models/x", f"{top.path}.b/models/x", f"{top.path}", f"base/lab/other.{OTHER}/models/x", "x"}
    beside |= {f"{top.path}/{rest}" for rest in ("README", "models", "models2/x", "runs/models/x")}
    for key in beside:
        bucket.put(key, b"1")
    done = found.delete([top])
    assert done.failed == {}
    assert (done.sizes[top].files, done.sizes[top].bytes) == (len(ODD), 5 * len(ODD))
    assert bucket.keys() == beside
    assert found.warnings() == []


@pytest.mark.parametrize("name", ["exp %231 a+b", "näme", "n%C3%A4me", "a?b", "a*b", "what#", "100%"])
def test_names_of_tasks_are_literal_in_a_key(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = stores(bucket, monkeypatch)
    top = folder(found, bucket, name)
    fill(bucket, top, ["artifacts/data/data.bin"])
    assert found.measure([top]).sizes[top].files == 1
    assert found.delete([top]).failed == {}
    assert bucket.keys() == set()


def test_more_keys_than_fit_into_one_request(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(bucket, monkeypatch)
    monkeypatch.setattr("cleanup_job.storage.object_listing.KEYS_PER_REQUEST", 7)
    tops: list[OwnedPath] = [folder(found, bucket, f"exp {n}") for n in range(5)]
    for top in tops:
        assert isinstance(top, TaskFolder)
        fill(bucket, top, [f"metrics/{n}.png" for n in range(6)])
    done = found.delete(tops)
    assert done.failed == {}
    assert sum(size.files for size in done.sizes.values()) == 30
    assert bucket.keys() == set()


def test_what_has_to_stay_is_left_out(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(bucket, monkeypatch)
    top = folder(found, bucket)
    fill(bucket, top, ["models/keep.pt", "models/dir/a", "models/dir/b", "models/directory", "models/x.pt", "metrics/1"])
    part = PartOfFolder(top, ("models/dir", "models/keep.pt"))
    done = found.delete([part])
    assert done.failed == {}
    assert done.sizes[part].files == 3
    assert bucket.keys() == {f"{top.path}/models/{rest}" for rest in ("keep.pt", "dir/a", "dir/b")}


def test_the_folder_of_another_task_inside_stays(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(bucket, monkeypatch)
    top = folder(found, bucket)
    fill(bucket, top, [f"artifacts/lab/inner.{OTHER}/models/w.pt", f"artifacts/dataset.{OTHER}", "artifacts/x"])
    assert found.delete([top]).failed == {}
    assert bucket.keys() == {f"{top.path}/artifacts/lab/inner.{OTHER}/models/w.pt"}


def test_what_is_gone_already_is_no_failure(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(bucket, monkeypatch)
    top = folder(found, bucket)
    file = TaskFile(top, "models/x.pt")
    done = found.delete([top, file])
    assert done.failed == {}
    assert [size.files for size in done.sizes.values()] == [0, 0]
    assert found.warnings() == [], "as after a pass that was interrupted"
    monkeypatch.setattr(object_stores, "UNFINISHED", 1)
    assert "is this the right server and bucket?" in found.warnings()[0]


def test_a_single_file_goes_alone(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(bucket, monkeypatch)
    top = folder(found, bucket)
    fill(bucket, top, ["models/x.pt", "models/x.pt2"])
    file = TaskFile(top, "models/x.pt")
    assert found.delete([file]).sizes[file].files == 1
    assert bucket.keys() == {f"{top.path}/models/x.pt2"}


def test_measuring_deletes_nothing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(bucket, monkeypatch)
    top = folder(found, bucket)
    fill(bucket, top, ["models/x.pt", "models/y.pt"])
    assert (found.measure([top]).sizes[top].files, found.measure([top]).sizes[top].bytes) == (2, 10)
    assert len(bucket.keys()) == 2
