"""Object stores that refuse, lie or are not there: a folder that can't be cleared is a failure with its reason."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import boto3
import obstore
import pytest
from obstore.exceptions import GenericError

from cleanup_job.errors import LeaseHeldError, SettingsError
from cleanup_job.planning.outcome import Reason
from cleanup_job.planning.paths import TaskFolder, TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage import buckets
from cleanup_job.storage.buckets import Buckets, region_of
from cleanup_job.storage.object_stores import ObjectStores
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean, state
from tests.stores.servers import Bucket, Certificate, s3_bucket, s3_server

TASK = TaskId("a" * 32)


def stores(conf: dict[str, Any], gate: Callable[[], None] = lambda: None, **options: Any) -> ObjectStores:
    retry = Retry(2, wait=0)
    return ObjectStores(Buckets(conf, timeout=10, retry=retry, **options), retry=retry, before_deletion=gate)


def folder(found: ObjectStores, uri: str, task: TaskId = TASK) -> TaskFolder:
    place = found.locate(f"{uri}/base/lab/exp.{task}")
    assert place is not None
    return TaskFolder(place.store, place.path, task)


@pytest.mark.parametrize("key", ["models/x/", "artifacts/x/"])
def test_a_folder_marker_that_stays_keeps_the_folder(s3_one: Bucket, key: str) -> None:
    found = stores(s3_one.conf)
    top = folder(found, s3_one.uri)
    for rest in (key, "models/w.pt"):
        s3_one.put(f"{top.path}/{rest}", b"1")
    done = found.delete([top])
    assert "still there after its deletion" in done.failed[top]
    assert s3_one.keys() == {f"{top.path}/{key}"}


@pytest.mark.parametrize("key", ["models//w.pt", "models/./w.pt", "models/../w.pt", "/x", "models/tab\tx"])
def test_a_key_that_can_not_be_named_keeps_its_folder_and_no_other(s3_one: Bucket, key: str) -> None:
    found = stores(s3_one.conf)
    odd, plain = folder(found, s3_one.uri), folder(found, s3_one.uri, TaskId("b" * 32))
    s3_one.put(f"{odd.path}/{key}", b"1")
    s3_one.put(f"{plain.path}/models/x", b"1")
    done = found.delete([odd, plain])
    assert "can't name this key" in done.failed[odd]
    assert list(done.failed) == [odd]
    assert s3_one.keys() == {f"{odd.path}/{key}"}


def test_a_bucket_that_is_not_there_is_no_success(s3: str) -> None:
    host = {"host": s3, "key": "user", "secret": "password", "secure": False}
    found = stores({"aws.s3": {"credentials": [host]}})
    tops = [folder(found, f"s3://{s3}/missing", TaskId(digit * 32)) for digit in "abc"]
    done = found.delete(tops)
    assert done.failed.keys() == set(tops)
    assert all("NoSuchBucket" in why for why in done.failed.values())


def test_a_server_that_is_not_there_is_asked_once_for_all_folders() -> None:
    host = {"host": "127.0.0.1:9", "key": "user", "secret": "password", "secure": False}
    found = stores({"aws.s3": {"credentials": [host]}})
    tops = [folder(found, "s3://127.0.0.1:9/bucket", TaskId(f"{n:032x}")) for n in range(40)]
    assert len(found.delete(tops).failed) == 40
    before = found.sent
    assert before.keys() == {"s3"}
    assert len(found.delete(tops).failed) == 40
    assert found.sent == before


CHAINS = {"aws.s3": {"use_credentials_chain": True}, "azure.storage": {"containers": [{"account_name": "account"}]}}


@pytest.mark.parametrize("uri", ["s3://bucket", "gs://bucket", "azure://account.blob.core.windows.net/container"])
def test_a_bucket_whose_credentials_the_platform_does_not_give_fails_its_tasks_alone(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(buckets, "region_of", lambda *_, **__: "")
    conf = CHAINS | {"google.storage": {"credentials_json": str(tmp_path / "missing.json")}}
    world = World(NOW)
    there, elsewhere = world.task("on the fileserver"), world.task("in a bucket", destination=f"{uri}/base")
    for task in (there, elsewhere):
        task.artifact("data")
    sandbox.load(world.as_dict())
    for dry_run in (True, False):
        done = clean(sandbox, stores=lambda _, gate: [stores(conf, gate)], dry_run=dry_run)
        assert done.watcher.deleted == {there.id}
        assert done.watcher.outcomes[TaskId(elsewhere.id)].reason is Reason.FILE_ERROR
    assert state(sandbox)[0] == [elsewhere.id]


def test_wrong_credentials_are_told(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        text = "status code: 403 Forbidden: <Error><Code>AccessDenied</Code><Message>Not you</Message></Error>"
        raise PermissionError(text)

    found = stores(s3_one.conf)
    top = folder(found, s3_one.uri)
    s3_one.put(f"{top.path}/models/x", b"1")
    monkeypatch.setattr(obstore, "delete", refuse)
    assert found.delete([top]).failed == {top: f"{top.path}/models/x: AccessDenied: Not you"}


def test_a_partial_failure_is_told_of_the_folder_it_concerns(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key of a request is refused, as by a lock on the object: the others go."""
    found = stores(s3_one.conf)
    locked, free = folder(found, s3_one.uri), folder(found, s3_one.uri, TaskId("b" * 32))
    for top in (locked, free):
        s3_one.put(f"{top.path}/models/x", b"1")
    really = obstore.delete

    def partly(client: Any, keys: list[str]) -> None:
        really(client, [key for key in keys if str(TASK) not in key])
        raise PermissionError("status code: 403: object is locked")

    monkeypatch.setattr(obstore, "delete", partly)
    done = found.delete([locked, free])
    assert list(done.failed) == [locked]
    assert "object is locked" in done.failed[locked]
    assert done.sizes.keys() == {free}


def many(bucket: Bucket, found: ObjectStores, count: int) -> list[TaskFolder]:
    tops = [folder(found, bucket.uri, TaskId(f"{n:032x}")) for n in range(count)]
    for top in tops:
        bucket.put(f"{top.path}/models/x", b"1")
        bucket.put(f"{top.path}/artifacts/x", b"1")
    return tops


@pytest.mark.parametrize("call", ["delete", "list"])
@pytest.mark.parametrize(
    "error",
    [
        GenericError("Generic S3 error: status code: 500 Internal Server Error: x"),
        GenericError("Generic S3 error: HTTP error: error sending request"),
        GenericError("Generic S3 error: operation timed out"),
        GenericError("Generic S3 error: status code: 400 Bad Request"),
        PermissionError("status code: 403 Forbidden"),
    ],
    ids=["500", "cut", "slow", "400", "403"],
)
def test_a_bucket_that_fails_for_one_folder_keeps_that_one(
    s3_one: Bucket, monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> None:
    found = stores(s3_one.conf)
    tops = many(s3_one, found, 40)
    bad = tops[17]
    really: Any = getattr(obstore, call)
    calls: list[object] = []

    def fail(client: Any, keys: Any = None, **options: Any) -> Any:
        calls.append(keys)
        if bad.path in str((keys, options)):
            raise error
        return really(client, keys, **options) if keys is not None else really(client, **options)

    monkeypatch.setattr(obstore, call, fail)
    done = found.delete(tops)
    assert list(done.failed) == [bad]
    assert all(size.files == 2 for size in done.sizes.values())
    assert s3_one.keys() == {f"{bad.path}/models/x", f"{bad.path}/artifacts/x"}
    monkeypatch.undo()
    assert found.delete([tops[18]]).failed == {}, "the bucket can still be used"


@pytest.mark.parametrize("call", ["delete", "list"])
def test_a_bucket_that_fails_for_folders_in_a_row_is_not_asked_for_each(
    s3_one: Bucket, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    found = stores(s3_one.conf)
    tops = many(s3_one, found, 60)
    calls: list[object] = []

    def fail(*_: Any, **__: Any) -> None:
        calls.append(None)
        raise GenericError("Generic S3 error: status code: 500 Internal Server Error: x")

    monkeypatch.setattr(obstore, call, fail)
    assert len(found.delete(tops).failed) == 60
    before = len(calls)
    assert len(found.delete(tops).failed) == 60
    assert len(calls) == before, "nobody waits for it twice"
    monkeypatch.undo()
    assert len(s3_one.keys()) == 120


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
def test_a_passing_failure_is_tried_again(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch, lost: bool) -> None:
    found = stores(s3_one.conf)
    top = folder(found, s3_one.uri)
    s3_one.put(f"{top.path}/models/x", b"1")
    really, tries = obstore.delete, []

    def fail_once(client: Any, keys: list[str]) -> None:
        tries.append(keys)
        if len(tries) > 1 or lost:
            really(client, keys)
        if len(tries) == 1:
            raise GenericError("Generic S3 error: status code: 503 Slow Down")

    monkeypatch.setattr(obstore, "delete", fail_once)
    assert found.delete([top]).failed == {}
    assert len(tries) == 2
    assert s3_one.keys() == set()


def test_a_store_that_stops_at_a_key_that_is_gone_is_asked_again(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stores(s3_one.conf)
    top = folder(found, s3_one.uri)
    for n in range(4):
        s3_one.put(f"{top.path}/models/{n}", b"1")
    really, tries = obstore.delete, []

    def stops(client: Any, keys: list[str]) -> None:
        tries.append(keys)
        really(client, keys if len(tries) > 1 else keys[:2])
        raise FileNotFoundError("Object at location 2 not found")

    monkeypatch.setattr(obstore, "delete", stops)
    done = found.delete([top])
    assert done.failed == {}
    assert done.sizes[top].files == 4
    assert s3_one.keys() == set()


def test_nothing_is_deleted_once_the_lease_is_lost(s3_one: Bucket) -> None:
    def lost() -> None:
        raise LeaseHeldError("lost")

    found = stores(s3_one.conf, lost)
    top = folder(found, s3_one.uri)
    s3_one.put(f"{top.path}/models/x", b"1")
    with pytest.raises(LeaseHeldError):
        found.delete([top])
    assert len(s3_one.keys()) == 1


def test_a_bucket_that_keeps_versions_is_named(s3: str) -> None:
    bucket = s3_bucket(s3, f"bkt-{uuid4().hex[:12]}")
    client = boto3.client(
        "s3", endpoint_url=f"http://{s3}", aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    client.put_bucket_versioning(Bucket=bucket.uri.rpartition("/")[2], VersioningConfiguration={"Status": "Enabled"})
    found = stores(bucket.conf)
    top = folder(found, bucket.uri)
    bucket.put(f"{top.path}/models/x", b"1")
    assert found.delete([top]).failed == {}
    assert bucket.keys() == set()
    assert "keeps versions" in found.warnings()[0]


# -- where, and with which credentials
def test_the_region_of_a_bucket_is_asked_for(s3: str) -> None:
    name = f"bkt-{uuid4().hex[:12]}"
    client = boto3.client(
        "s3", endpoint_url=f"http://{s3}", aws_access_key_id="k", aws_secret_access_key="s", region_name="eu-west-1"
    )
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert region_of(name, f"http://{s3}") == "eu-west-1"
    assert region_of("missing-one", f"http://{s3}") == ""
    assert region_of(name, "http://127.0.0.1:9") == ""


@pytest.mark.parametrize(
    ("verify", "fails"), [("own", False), (False, False), (True, True)], ids=["own authority", "unverified", "refused"]
)
def test_tls_with_an_authority_of_ones_own(
    tmp_path: Path, tls: Certificate, monkeypatch: pytest.MonkeyPatch, verify: bool | str, fails: bool
) -> None:
    with s3_server(tmp_path, tls) as host:
        bucket = s3_bucket(host, "bucket", verify=str(tls.authority), secure=True)
        entry = bucket.conf["aws.s3"]["credentials"][0]
        entry.pop("verify")
        ca = str(tls.authority) if verify == "own" else verify
        for conf, options in ((entry, {"verify": ca}), ({**entry, "verify": ca}, {})):
            found = stores({"aws.s3": {"credentials": [conf]}}, **options)
            top = folder(found, bucket.uri)
            bucket.put(f"{top.path}/models/x", b"1")
            assert bool(found.delete([top]).failed) is fails


def test_credentials_of_the_pod_are_used_where_there_are_no_others(
    s3_one: Bucket, s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As EKS and ECS give them: an address that tells keys to who has the token."""
    asked: list[str | None] = []

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization"))
            keys = {"AccessKeyId": "user", "SecretAccessKey": "password", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
            body = json.dumps(keys).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    (tmp_path / "token").write_text("a token of the pod")
    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as agent:
        Thread(target=agent.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{agent.server_port}/keys")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3}")
        found = stores({})
        top = folder(found, "s3://" + s3_one.uri.rpartition("/")[2])
        s3_one.put(f"{top.path}/models/x", b"1")
        assert found.delete([top]).failed == {}
        agent.shutdown()
    assert set(asked) == {"a token of the pod"}


def test_a_system_without_authorities_is_no_obstacle(s3_one: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/no/such/place")
    found = stores(s3_one.conf)
    top = folder(found, s3_one.uri)
    s3_one.put(f"{top.path}/models/x", b"1")
    assert found.delete([top]).failed == {}


def test_keys_of_an_entry_are_not_mixed_with_a_token_of_the_environment(
    s3_one: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else")
    client: Any = Buckets(s3_one.conf).open(s3_one.uri, retries=True)
    assert client.credential_provider()["token"] is None


@pytest.mark.parametrize(
    "conf",
    [
        {"aws.s3": {"credentials": [{"bucket": "b", "no such": 1}]}},
        {"aws.s3": {"credentials": "x"}},
        {"google.storage": {"credentials": [{"wrong": 1}]}},
        {"azure.storage": {"containers": [{"wrong": 1}]}},
    ],
)
def test_credentials_that_can_not_be_read_end_the_pass_before_it_begins(conf: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"clearml\.conf: sdk\."):
        Buckets(conf)


def test_an_aws_profile_is_no_silent_other_account() -> None:
    found = stores({"aws.s3": {"profile": "team"}}, environ={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    top = folder(found, "s3://bucket")
    assert "profiles are not supported" in found.delete([top]).failed[top]
