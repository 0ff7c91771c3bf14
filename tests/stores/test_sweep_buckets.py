"""Sweeps over buckets, on servers that speak their protocols."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.passes.sweep import Sweep, SweepOptions
from cleanup_job.planning.paths import Location
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, SweepReport
from cleanup_job.retry import Retry
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.object_stores import ObjectStores
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW
from tests.stores.servers import Bucket

GONE = [f"{n:032x}" for n in range(1, 9)]
LATER = datetime.now(UTC) + timedelta(days=60)
"""Objects can't be made older than they are: the sweep is held in the future."""


def sweep(
    sandbox: Sandbox, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, *, below: str = "", delete: bool = True
) -> tuple[list[Orphan], ObjectStores]:
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)
    retry = Retry(2, wait=0)
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, retry=retry, timeout=20))
    storage = ObjectStores(Buckets(bucket.conf, verify=bucket.verify, timeout=20, retry=retry), retry=retry)
    place = storage.locate(f"{bucket.uri}/{below}")
    assert place is not None
    orphans: list[Orphan] = []
    report = SweepReport("test", "127.0.0.1", delete, LATER)
    Sweep(ClearMLServer(transport), SweepOptions(delete, sure=True), report, orphans.append).run(
        [(storage, Location(place.store, place.path))]
    )
    return orphans, storage


def living(sandbox: Sandbox) -> str:
    made = World(NOW)
    task = made.task("living", archived=False)
    sandbox.load(made.as_dict())
    return task.id


def test_orphans_go_and_everything_else_stays(sandbox: Sandbox, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    task = living(sandbox)
    keep = {f"base/lab/exp.{task}/models/w.pt", "base/lab/readme", f"base/lab/odd.{GONE[2]}/x", "raw/data.csv"}
    orphans = {f"base/lab/exp %231 ä.{GONE[0]}/models/w.pt", f"base/lab/exp.{GONE[1]}/metrics/a/1.png"}
    for key in keep | orphans:
        bucket.put(key, b"12345")
    told, _ = sweep(sandbox, bucket, monkeypatch, delete=False)
    assert {(orphan.verdict, orphan.bytes) for orphan in told} == {(OrphanVerdict.FOUND, 5), (OrphanVerdict.ODD, 5)}
    assert bucket.keys() == keep | orphans
    sweep(sandbox, bucket, monkeypatch)
    assert bucket.keys() == keep


def test_only_below_the_place_that_is_named(sandbox: Sandbox, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    living(sandbox)
    for top in ("base/lab", "base2/lab", "lab"):
        bucket.put(f"{top}/exp.{GONE[0]}/models/w.pt", b"1")
    told, _ = sweep(sandbox, bucket, monkeypatch, below="base")
    assert [orphan.path for orphan in told] == [f"base/lab/exp.{GONE[0]}"]
    assert bucket.keys() == {f"{top}/exp.{GONE[0]}/models/w.pt" for top in ("base2/lab", "lab")}


@pytest.mark.parametrize("odd", [f"b/p/exp.{GONE[3]}/models//w.pt", f"b/p/exp.{GONE[3]}/./x", "b/q/a//b", "b//x", "b/p/.."])
def test_a_key_that_can_not_be_read_hides_no_more_than_it_must(
    sandbox: Sandbox, s3_one: Bucket, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    task = living(sandbox)
    keep = {odd, f"b/p/exp.{task}/models/w.pt"}
    orphans = {f"b/{project}/exp.{GONE[n]}/models/w.pt" for project, n in (("o", 0), ("p", 1), ("r", 2))}
    for key in keep | orphans:
        s3_one.put(key, b"1")
    told, storage = sweep(sandbox, s3_one, monkeypatch)
    left = s3_one.keys()
    assert keep <= left
    assert left - keep <= orphans
    hidden: Any = [warning for warning in storage.warnings() if "not looked at" in warning]
    assert left == keep or hidden
    assert all(orphan.verdict is OrphanVerdict.ODD for orphan in told if GONE[3] in orphan.path)


def test_more_keys_than_fit_into_one_page(sandbox: Sandbox, s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    living(sandbox)
    for n in range(1100):
        s3_one.put(f"b/p/exp.{GONE[n % 2]}/metrics/{n}.png", b"1")
    told, _ = sweep(sandbox, s3_one, monkeypatch)
    assert [(orphan.verdict, orphan.files) for orphan in told] == [(OrphanVerdict.DELETED, 550)] * 2
    assert s3_one.keys() == set()
