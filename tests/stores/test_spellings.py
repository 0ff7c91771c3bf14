"""Keys that a record's address spells in another way: SDK 1.11 quoted those on Google Cloud once more."""

import pytest

from cleanup_job.planning.claim import Claim
from cleanup_job.planning.outputs import Outputs
from cleanup_job.planning.paths import TaskFolder, TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.object_stores import ObjectStores
from tests.stores.servers import Bucket

TASK = TaskId("a" * 32)


@pytest.mark.parametrize(("address", "key"), [("a%20b", "a b"), ("a%20b", "a%20b"), ("n%C3%A4me", "näme"), ("x%231", "x%231")])
def test_a_key_is_found_under_either_spelling(s3_one: Bucket, address: str, key: str) -> None:
    retry = Retry(2, wait=0)
    stores = ObjectStores(Buckets(s3_one.conf, timeout=10, retry=retry), retry=retry)
    uri = f"{s3_one.uri}/base/lab/{address}.{TASK}/models/w.pt"
    found = Outputs(TASK, stores.locate)
    found.add(uri)
    s3_one.put(f"base/lab/{key}.{TASK}/models/w.pt", b"1")
    s3_one.put("base/lab/other/models/w.pt", b"1")
    folders: set[TaskFolder] = {*found.folders}
    for others in found.others.values():
        folders |= {other for other in others if isinstance(other, TaskFolder)}
    assert len(folders) == 2
    for folder in folders:  # whichever it is, a claim on the same address holds it
        assert list(Claim("m", TaskId("b" * 32), uri).inside(folder, stores.locate)) == ["models/w.pt"]
    done = stores.delete(sorted(folders))
    assert (done.failed, sum(size.files for size in done.sizes.values())) == ({}, 1)
    assert s3_one.keys() == {"base/lab/other/models/w.pt"}
    assert not (address != key and done.missing.issuperset(folders))
