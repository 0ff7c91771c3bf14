"""What takes the space in buckets: what is counted is what the bucket itself says."""

from typing import Any

import pytest

from cleanup_job.planning.paths import Location
from cleanup_job.planning.usage import Kind, Space
from cleanup_job.retry import Retry
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.object_stores import ObjectStores
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW
from tests.stores.servers import Bucket
from tests.usage.world_usage import survey

GONE = f"{1:032x}"


def open_bucket(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, below: str = "") -> list[tuple[ObjectStores, Location]]:
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)
    retry = Retry(2, wait=0)
    storage = ObjectStores(Buckets(bucket.conf, verify=bucket.verify, timeout=20, retry=retry), retry=retry)
    place = storage.locate(f"{bucket.uri}/{below}")
    assert place is not None
    return [(storage, Location(place.store, place.path))]


def sizes(usage: Any) -> dict[Kind, int]:
    return {kind: space.bytes for kind, space in usage.by_kind().items()}


def test_objects_count_by_the_listing_and_what_records_say_elsewhere(
    sandbox: Sandbox, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World(NOW)
    here = made.task("exp #1 ä", destination=f"{bucket.uri}/base")
    uris = [here.artifact("data", size=99_999), here.model("w").uri, *here.debug_images(3)]
    made.task("on the fileserver").artifact("data", size=1_000)
    sandbox.load(made.as_dict())
    objects = {uri.removeprefix(f"{bucket.uri}/"): b"x" * (10 + n) for n, uri in enumerate(uris)}
    objects |= {f"base/lab/old.{GONE}/models/w.pt": b"12345", "raw/data.csv": b"123"}
    for key, data in objects.items():
        bucket.put(key, data)
    usage = survey(sandbox, open_bucket(bucket, monkeypatch)).usage
    (listed,) = usage.stores.values()
    assert listed == Space(files=len(bucket.keys()), bytes=sum(map(len, objects.values())))
    assert sizes(usage) == {
        Kind.ARTIFACTS: 10 + 1_000,
        Kind.MODELS: 11,
        Kind.METRICS: 12 + 13 + 14,
        Kind.ORPHANS: 5,
        Kind.OTHER: 3,
    }


def test_only_what_is_below_the_place_counts_by_the_listing(
    sandbox: Sandbox, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World(NOW)
    for base in ("base", "base2"):
        made.task(base, destination=f"{bucket.uri}/{base}").artifact("data", size=1_000)
    sandbox.load(made.as_dict())
    for uri in made.elsewhere:
        bucket.put(uri.removeprefix(f"{bucket.uri}/"), b"1")
    usage = survey(sandbox, open_bucket(bucket, monkeypatch, "base")).usage
    assert sizes(usage) == {Kind.ARTIFACTS: 1 + 1_000}


def test_keys_that_can_not_be_read_have_no_size_and_hide_no_others(
    sandbox: Sandbox, s3_one: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World(NOW)
    sandbox.load(made.as_dict())
    for key in (f"b/p/old.{GONE}/models//w.pt", f"b/p/old.{GONE}/models/a.pt", "b/p/loose", "b/q/loose", "top"):
        s3_one.put(key, b"12")
    usage = survey(sandbox, open_bucket(s3_one, monkeypatch)).usage
    assert usage.by_kind()[Kind.ORPHANS].unsized == 1
    assert usage.by_kind()[Kind.OTHER] == Space(files=3, bytes=6)
