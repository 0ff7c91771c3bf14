"""Reports in buckets, on servers that speak their protocols, and in folders."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError

from cleanup_job import wiring
from cleanup_job.errors import SettingsError
from cleanup_job.retry import Retry
from cleanup_job.settings.sources import load
from cleanup_job.storage import destinations
from cleanup_job.storage.buckets import Buckets
from cleanup_job.storage.destinations import PART, BucketDestination, FileDestination
from cleanup_job.storage.object_listing import METADATA_HOST
from tests.stores.servers import Bucket, free_port

SERVER = dict.fromkeys(("CLEARML_API_HOST", "CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY"), "http://server")
TYPE = "text/csv; charset=utf-8"
NAME = "reports/2026 ä%20/r.csv"


def at(bucket: Bucket, key: str, monkeypatch: pytest.MonkeyPatch, conf: Mapping[str, Any] | None = None) -> BucketDestination:
    """The destination at a key of a bucket."""
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)
    address = f"{bucket.uri}/{key}"
    buckets = Buckets(
        bucket.conf if conf is None else conf, verify=bucket.verify, timeout=20, retry=Retry(2, wait=0), named=[address]
    )
    return BucketDestination(*destinations.open_bucket(buckets, address, "CLEANUP_REPORT"))


def test_a_small_object(target: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "r.csv" if target.uri.startswith("gs") else NAME  # that server does not decode it
    target.put(name, b"before")
    place = at(target, name, monkeypatch)
    assert place.ending == ".csv"
    writer = place.open(TYPE)
    writer.write(b"1")
    assert target.get(name)[0] == b"before"
    writer.commit()
    assert target.keys() == {name}
    assert target.get(name) == (b"1", TYPE)
    writer = place.open(TYPE)
    writer.write(b"2")
    writer.abandon(keep=True)
    assert target.get(name)[0] == b"1"


def test_a_large_object_is_there_when_it_is_whole_and_not_before(target: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    place = at(target, "r.csv", monkeypatch)
    lines = [f"{n:07},{'x' * 1000}\r\n".encode() for n in range(12_000)]
    writer = place.open(TYPE)
    for line in lines:
        writer.write(line)
        writer.flush()
    assert sum(map(len, lines)) > 2 * PART
    assert target.keys() == set()
    writer.commit()
    assert target.keys() == {"r.csv"}
    assert target.get("r.csv") == (b"".join(lines), TYPE)
    writer = place.open(TYPE)
    writer.write(b"x" * (2 * PART + 1))
    writer.abandon(keep=True)
    assert target.get("r.csv")[0] == b"".join(lines)


def test_what_waits_is_less_than_a_part_and_an_abandoned_upload_has_no_parts(
    s3_one: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3  # noqa: PLC0415 -- only this test asks for uploads

    host, _, name = s3_one.uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=f"http://{host}", region_name="us-east-1",
                          aws_access_key_id="user", aws_secret_access_key="password")  # fmt: skip
    writer = at(s3_one, "r.csv", monkeypatch).open(TYPE)
    for _ in range(100):
        writer.write(b"x" * (PART // 10))
    (upload,) = client.list_multipart_uploads(Bucket=name)["Uploads"]
    parts = client.list_parts(Bucket=name, Key="r.csv", UploadId=upload["UploadId"])["Parts"]
    assert {part["Size"] for part in parts} == {PART}
    assert len(parts) >= 8
    writer.abandon(keep=True)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=name)


def test_a_bucket_that_is_not_there_is_an_error_when_it_is_written(target: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(target, uri=f"{target.uri}-gone")
    conf = {"azure.storage": {"containers": [{**target.conf["azure.storage"]["containers"][0], "container_name": ""}]}} \
        if "azure.storage" in target.conf else None  # fmt: skip
    writer = at(gone, "r.csv", monkeypatch, conf).open(TYPE)
    writer.write(b"1")
    with pytest.raises(OSError, match=r"(?i)not ?found|does not exist|NoSuchBucket"):
        writer.commit()
    writer.abandon(keep=True)


def test_a_server_that_does_not_answer_ends_no_run_at_its_start(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"127.0.0.1:{free_port()}"
    conf = {"aws.s3": {"credentials": [{"host": host, "key": "k", "secret": "s", "secure": False}]}}
    down = Bucket(f"s3://{host}/bkt", conf, s3_one.put, s3_one.keys, s3_one.get)
    writer = at(down, "r.csv", monkeypatch).open(TYPE)
    with pytest.raises(OSError, match=host):
        writer.commit()


@pytest.mark.parametrize(
    "address", ["azure://account.blob.core.windows.net/container.json", "s3://host:1/b.json", "azure://x/c/r.json"]
)
def test_an_address_without_an_object_or_of_no_account_is_refused_with_the_way_out(address: str) -> None:
    buckets = Buckets({}, environ={}, named=[address])
    with pytest.raises(SettingsError, match=rf"^CLEANUP_REPORT={address}: .* Write s3://bucket/name"):
        destinations.open_bucket(buckets, address, "CLEANUP_REPORT")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            GenericError(f"Error performing PUT http://{METADATA_HOST}/latest/api/token"),
            "no credentials: neither clearml.conf nor",
        ),
        (UnauthenticatedError("The server said: 401"), "the credentials are not accepted: The server said: 401"),
        (PermissionDeniedError("403: this identity may only write"), ""),
        (GenericError("connect error"), ""),
    ],
)
def test_a_bucket_without_credentials_is_refused_before_the_run_begins(
    s3_one: Bucket, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(destinations.obstore, "head", refuse)
    if not said:
        at(s3_one, "r.csv", monkeypatch)
        return
    with pytest.raises(SettingsError) as refusal:
        at(s3_one, "r.csv", monkeypatch)
    assert str(refusal.value).startswith(f"CLEANUP_REPORT={s3_one.uri}/r.csv: {said}")


def test_a_bucket_that_a_report_names_is_no_store_in_which_a_pass_deletes(
    s3: str, s3_one: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "CLEARML_")):
            monkeypatch.delenv(name)
    conf = tmp_path / "clearml.conf"
    conf.write_text("sdk.aws.s3 { key: user, secret: password }")
    # These keys are for AWS: they open no bucket at another host, unless a setting names it.
    settings, _ = load({}, SERVER | {"CLEARML_CONFIG_FILE": str(conf), "CLEANUP_REPORT": f"{s3_one.uri}/r.json"})
    place = wiring.destination(settings, settings.output.report[0], "CLEANUP_REPORT")
    assert place.ending == ".json"
    limit: Any = None
    login = wiring.Login(None, Retry(1), limit, limit, Counter)
    assert wiring.stores(settings, login, lambda: None).locate(f"{s3_one.uri}/r.json") is None


def test_a_file_of_another_name_behind_a_link_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / ".r.csv.part").symlink_to("other")
    writer = FileDestination(tmp_path / "r.csv").open(TYPE)
    writer.write(b"1")
    writer.commit()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"other": "mine", "r.csv": "1"}


def test_others_may_read_a_report_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        FileDestination(tmp_path / "r.csv").open(TYPE).commit()
    finally:
        os.umask(before)
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o644
