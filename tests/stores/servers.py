"""Servers that speak the object stores' own protocols, on loopback, ended by their pid."""

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import pytest
from azure.storage.blob import ContainerClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[2]
ACCOUNT = "devacct"
ACCOUNT_HOST = f"{ACCOUNT}.blob.core.windows.net"
ACCOUNT_KEY = base64.b64encode(b"0123456789abcdef").decode()


@dataclass(frozen=True)
class Bucket:
    """A bucket on a test server, with the means to look into it without the code under test."""

    uri: str
    """As ClearML's users write it."""
    conf: dict[str, dict[str, Any]]
    """Its credentials, as parts of clearml.conf's ``sdk``."""
    put: Callable[[str, bytes], None]
    keys: Callable[[], set[str]]
    get: Callable[[str], tuple[bytes, str]]
    """An object and its content type."""
    environ: dict[str, str] = field(default_factory=dict)
    verify: bool | str = True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def needed(program: str) -> str:
    """The path of a server that `make test` or `make e2e` installs; without it the test skips, in CI it fails."""
    for path in (ROOT / ".venv/bin" / program, ROOT / ".venv/azurite/node_modules/.bin" / program):
        if path.exists():
            return str(path)
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not there: `make test`, or `make e2e`, installs it")
    pytest.skip(f"needs {program}, which `make test` or `make e2e` installs")


@contextmanager
def running(command: list[str], port: int, log: Path, **options: Any) -> Iterator[None]:
    """A server, from the moment it listens to its end."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, **options) as process:
        try:
            for _ in range(300):
                try:
                    socket.create_connection(("127.0.0.1", port), 5).close()
                    break
                except OSError:
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(20)


@dataclass(frozen=True)
class Certificate:
    """A certificate for loopback and the Azure account's name, and the authority that signed it."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> "Certificate":
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        now = datetime.now(UTC)

        def certificate(name: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.CertificateBuilder:
            return (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(ca_name)
                .public_key(public)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - timedelta(hours=1))
                .not_valid_after(now + timedelta(days=2))
                .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            )

        authority = certificate(ca_name, ca_key.public_key(), ca=True).add_extension(
            x509.KeyUsage(*[False] * 5, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False),
            critical=True,
        )
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        names = [x509.DNSName(ACCOUNT_HOST), x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        server = certificate(name, key.public_key(), ca=False).add_extension(x509.SubjectAlternativeName(names), critical=False)
        pem = serialization.Encoding.PEM
        made.authority.write_bytes(authority.sign(ca_key, hashes.SHA256()).public_bytes(pem))
        made.certificate.write_bytes(server.sign(ca_key, hashes.SHA256()).public_bytes(pem))
        made.key.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        )
        return made


@contextmanager
def s3_server(folder: Path, tls: Certificate | None = None) -> Iterator[str]:
    """S3 by moto: in this process, or with TLS as one of its own. Gives its ``host:port``."""
    port = free_port()
    if tls is None:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop()
        return
    command = [needed("moto_server"), "-H", "127.0.0.1", "-p", str(port), "-c", str(tls.certificate), "-k", str(tls.key)]
    with running(command, port, folder / "moto.log"):
        yield f"127.0.0.1:{port}"


def s3_bucket(host: str, name: str, *, verify: bool | str = True, secure: bool = False, plain: bool = False) -> Bucket:
    """A new bucket, as ClearML names those of other makers' servers; ``plain``: as it names those of AWS."""
    endpoint = f"{'https' if secure else 'http'}://{host}"
    keys = {"key": "user", "secret": "password"}
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        verify=verify,
        region_name="us-east-1",
        aws_access_key_id=keys["key"],
        aws_secret_access_key=keys["secret"],
    )
    client.create_bucket(Bucket=name)

    def all_keys() -> set[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def get(key: str) -> tuple[bytes, str]:
        found = client.get_object(Bucket=name, Key=key)
        return found["Body"].read(), found["ContentType"]

    return Bucket(
        f"s3://{name}" if plain else f"s3://{host}/{name}",
        {"aws.s3": dict(keys) if plain else {"credentials": [{"host": host, **keys, "secure": secure, "verify": verify}]}},
        lambda key, data: client.put_object(Bucket=name, Key=key, Body=data) and None,
        all_keys,
        get,
        {"AWS_ENDPOINT_URL": endpoint} if plain else {},
    )


@contextmanager
def azure_server(folder: Path, tls: Certificate) -> Iterator[int]:
    """Azure Blob Storage by Azurite, with TLS since ClearML's SDK uses nothing else. Gives its port."""
    port = free_port()
    command = [needed("azurite-blob"), "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck", "--silent",
               "--disableTelemetry", "--cert", str(tls.certificate), "--key", str(tls.key)]  # fmt: skip
    node = shutil.which("node", path=f"{ROOT}/.venv/bin{os.pathsep}{os.environ['PATH']}")
    environ = os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    environ["PATH"] = f"{Path(node or '').parent}{os.pathsep}{os.environ['PATH']}"
    with running(command, port, folder / "azurite.log", env=environ, cwd=folder):
        yield port


def azure_container(port: int, name: str, tls: Certificate) -> Bucket:
    endpoint = f"https://127.0.0.1:{port}/{ACCOUNT}"
    client = ContainerClient(endpoint, name, credential=ACCOUNT_KEY, connection_verify=str(tls.authority))
    client.create_container()

    def get(key: str) -> tuple[bytes, str]:
        found = client.download_blob(key)
        return found.readall(), str(found.properties.content_settings.content_type)

    entry = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY, "container_name": name}
    return Bucket(
        f"azure://{ACCOUNT_HOST}/{name}",
        {"azure.storage": {"containers": [entry]}},
        lambda key, data: client.upload_blob(key, data) and None,
        lambda: set(client.list_blob_names()),
        get,
        {"AZURE_STORAGE_ENDPOINT": endpoint, "TEST_AZURE": f"{ACCOUNT_HOST}:{port}"},
        str(tls.authority),
    )


@contextmanager
def google_server(folder: Path) -> Iterator[str]:
    """Google Cloud Storage by fake-gcs-server. Gives its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [needed("fake-gcs-server"), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
               "-public-host", f"127.0.0.1:{port}", "-external-url", address, "-log-level", "error"]  # fmt: skip
    with running(command, port, folder / "gcs.log"):
        yield address


def google_bucket(address: str, name: str) -> Bucket:
    client = storage.Client("test", AnonymousCredentials(), client_options={"api_endpoint": address})
    bucket = client.create_bucket(name)

    def get(key: str) -> tuple[bytes, str]:
        found = bucket.get_blob(key)
        return found.download_as_bytes(), found.content_type

    return Bucket(
        f"gs://{name}",
        {"google.storage": {"project": "test"}},
        lambda key, data: bucket.blob(key).upload_from_string(data),
        lambda: {blob.name for blob in client.list_blobs(name)},
        get,
        {"STORAGE_EMULATOR_HOST": address},
    )
