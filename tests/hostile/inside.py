"""Runs in the namespace: servers, a world whose records name hostile addresses, the command; prints what was seen, as JSON.

Arguments: a folder, and the command's own arguments; or the word ``control``, for connections that must be seen.
"""

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from moto.server import ThreadedMotoServer
from obstore.exceptions import BaseError
from obstore.store import S3Store

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.hostile.namespace import ELSEWHERE, Recorder, make_everything_local

STORE, BUCKET = "minio", "team"  # of a name with a dot moto takes the first part for the bucket
CONF = """sdk {
  aws.s3 { credentials: [ { host: "%s", key: "user", secret: "password", secure: false } ] }
  google.storage { credentials: [ { bucket: "team-models", project: "team", credentials_json: "%s" } ] }
  azure.storage { containers: [ { account_name: "teamacct", account_key: "a2V5a2V5a2V5a2V5", container_name: "models" } ] }
}"""
HOSTILE = (
    # other hosts, in each scheme
    "http://evil.example/{path}", "https://evil.example:8443/{path}", "HTTP://EVIL.EXAMPLE/{path}", "//evil.example/{path}",
    "http:/evil.example/{path}", "http:\\\\evil.example/{path}", "ftp://evil.example/{path}", "ftps://evil.example/{path}",
    "sftp://evil.example/{path}", "hdfs://evil.example:9000/{path}", "smb://evil.example/share/{path}",
    "file://evil.example/share/{path}", "webdav://evil.example/{path}", "ws://evil.example/{path}", "gopher://evil.example/{path}",
    "s3://evil.example:9000/bucket/{path}", "S3://EVIL.example:9000/bucket/{path}", "s3://evil.example/bucket/{path}",
    "s3://evil.example:443/bucket/{path}", "s3a://evil.example:9000/bucket/{path}", "gs://evil.example:4443/bucket/{path}",
    "gs://evil.example/bucket/{path}", "azure://evil.example/models/{path}", "azure://evil.example:10000/models/{path}",
    "wasbs://models@evil.example/{path}", "abfss://models@evil.example/{path}",
    # buckets and accounts at the providers that nobody opened
    "s3://somebodys-bucket/{path}", "gs://somebodys-bucket/{path}", "azure://otheracct.blob.core.windows.net/models/{path}",
    # other spellings of a host
    "http://evil.example./{path}", "s3://evil.example.:9000/bucket/{path}", "azure://evil.example./models/{path}",
    "http://büchse.example/{path}", "s3://büchse.example:9000/bucket/{path}", "azure://büchse.example/models/{path}",
    "http://xn--bchse-kva.example/{path}", "s3://evil。example:9000/bucket/{path}", "http://evil%2eexample/{path}",
    "s3://evil.example%3A9000/bucket/{path}", "http://evil.example:0080/{path}", "s3://evil.example:99999/bucket/{path}",
    "s3://evil.example:/bucket/{path}", "s3://evil.example:port/bucket/{path}", "http://\tevil.example/{path}",
    # literal addresses
    "http://198.51.100.7/{path}", "s3://198.51.100.7:9000/bucket/{path}", "azure://198.51.100.7/models/{path}",
    "http://[2001:db8::7]:8081/{path}", "s3://[2001:db8::7]:9000/bucket/{path}", "azure://[2001:db8::7]/models/{path}",
    "http://3325256711/{path}", "http://0xc6336407/{path}", "s3://0xc6336407:9000/bucket/{path}",
    "s3://169.254.169.254:80/latest/{path}", "http://metadata.google.internal/{path}", "s3://[::ffff:198.51.100.7]:9000/b/{path}",
    # what begins or ends like a host that is configured
    "http://{files}@evil.example/{path}", "http://user:password@evil.example/{path}", "http://{files}.evil.example/{path}",
    "http://{files}#@evil.example/{path}", "http://evil.example\\@{files}/{path}", "http://evil.example#@{files}/{path}",
    "s3://{store}@evil.example:9000/bucket/{path}", "s3://user:password@evil.example:9000/bucket/{path}",
    "s3://{store}.evil.example:9000/bucket/{path}", "s3://evil.example:9000\\@{store}/bucket/{path}",
    "s3://{store}:9000@evil.example/bucket/{path}", "s3://{name}:1/bucket/{path}", "s3://x.{name}:9000/bucket/{path}",
    "azure://teamacct.blob.core.windows.net.evil.example/models/{path}",
    "azure://teamacct.blob.core.windows.net@evil.example/models/{path}", "azure://teamacct.evil.example/models/{path}",
    "azure://teamacct.blob.core.windows.net:8443/models/{path}", "gs://team-models@evil.example/{path}",
    "gs://team-models.evil.example/{path}", "http://127.0.0.1:1/{path}", "http://localhost:1/{path}", "s3://localhost:1/b/{path}",
)  # fmt: skip


def name_hostile(task: TaskBuilder, uri: str) -> None:
    """Let each kind of output name it."""
    task.linked_artifact("there", uri)
    task.model("there", uri=uri)
    task.linked_image(uri)
    task.document["output"] = {"destination": uri.rpartition("/")[0]}


def make_world(files: str, store: str, objects: "dict[str, bytes]") -> World:
    """For each hostile address an archived task that alone names it, and one whose file a published and a living task name."""
    world = World(datetime.now(UTC), files=files)
    for number, pattern in enumerate(HOSTILE):
        places = {"files": files.partition("://")[2], "store": store, "name": store.partition(":")[0]}
        for name in ("bad", "shared"):
            archived = world.task(f"{name} {number}")
            archived.artifact("data")
            uri = pattern.format(path=f"lab/{name} {number}.{archived.id}/artifacts/x/x.bin", **places)
            name_hostile(archived, uri)
        name_hostile(world.task(f"published {number}", status="published", archived=False), uri)
        name_hostile(world.task(f"living {number}", status="in_progress", archived=False), uri)
    for number in range(3):
        good = world.task(f"good {number}", destination=f"s3://{store}/{BUCKET}")
        key = f"lab/good {number}.{good.id}/artifacts/data/data.bin"
        good.linked_artifact("data", f"s3://{store}/{BUCKET}/{key}", hash="0" * 64, content_size=4)
        objects[key] = b"data"
        world.task(f"also good {number}").artifact("data")
    return world


def run(folder: Path, recorder: Recorder, arguments: list[str]) -> dict[str, object]:
    """The command over that world, with credentials for one store of each kind."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store, real = f"{STORE}:{port}", f"http://{host}:{port}"
    with Sandbox() as sandbox:
        objects: dict[str, bytes] = {}
        world = make_world(sandbox.files_url, store, objects)
        sandbox.load(world.as_dict())
        for key, data in {"": b"", **objects}.items():
            signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=user/20200101/us-east-1/s3/aws4_request"}
            requests.put(f"{real}/{BUCKET}/{key}".rstrip("/"), data, headers=signed, timeout=30).raise_for_status()
        account = {"type": "service_account", "client_email": "a@b", "private_key": "", "private_key_id": "k"}
        (folder / "google.json").write_text(json.dumps(account))
        (folder / "clearml.conf").write_text(CONF % (store, folder / "google.json"))
        environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
        environ |= sandbox.environment() | {"HOME": str(folder), "CLEARML_CONFIG_FILE": str(folder / "clearml.conf")}
        environ |= {"CLEANUP_ATTEMPTS": "1", "CLEANUP_FORCE_DELETE": "true"}
        recorder.seen.clear()
        done = subprocess.run(
            [sys.executable, "-m", "cleanup_job", *arguments],
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        seen = sorted(recorder.seen)
        listed = requests.get(f"{real}/{BUCKET}?list-type=2", timeout=30).text
        left = sorted(task["name"] for task in sandbox.store.tasks.values())
    server.stop()
    ports = {"api": sandbox.api_url, "files": sandbox.files_url}
    return {
        "exit": done.returncode, "output": done.stdout + done.stderr, "seen": seen, "tasks": left,
        "objects": listed.count("<Key>"), "store": f"tcp 127.0.0.1 {port}",
        **{name: f"tcp 127.0.0.1 {url.rpartition(':')[2]}" for name, url in ports.items()},
    }  # fmt: skip


def control(recorder: Recorder) -> dict[str, object]:
    """Connections by Python and by Rust, by name and by address, which the recorder must see."""
    with suppress(OSError):
        requests.get("http://python.example:81/x", timeout=5)
    with suppress(OSError):
        socket.create_connection(("198.51.100.9", 82), 5)
    with suppress(OSError):
        socket.create_connection(("2001:db8::9", 83), 5)
    for address in ("rust.example:84", "198.51.100.9:85"):
        place: Any = {"endpoint": f"http://{address}", "region": "us-east-1", "skip_signature": True}
        bucket = S3Store("bucket", **place, client_options={"allow_http": True}, retry_config={"max_retries": 0})
        with suppress(BaseError):
            bucket.list().collect()
    return {
        "seen": sorted(recorder.seen),
        "elsewhere": ELSEWHERE,
        "ipv6": socket.has_ipv6 and Path("/proc/net/if_inet6").exists(),
    }


def main() -> None:
    folder, *arguments = sys.argv[1:]
    make_everything_local(Path(folder))
    with Recorder({STORE: "127.0.0.1"}).running() as recorder:
        found = control(recorder) if arguments == ["control"] else run(Path(folder), recorder, arguments)
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
