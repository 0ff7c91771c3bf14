"""What is in the images that were built, and what is not."""

import json
import os
import re
import tarfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from clearml_sandbox.worlds.builder import World
from tests.e2e.release import IMAGE, ROOT, Release

pytestmark = pytest.mark.e2e

METADATA = re.compile(r".*/(.+)-(.+)\.dist-info/METADATA$")
VERSION = yaml.safe_load((ROOT / "helm" / "clearml-cleanup" / "Chart.yaml").read_text())["appVersion"]


@cache
def image(target: str) -> tuple[dict[str, Any], dict[str, tarfile.TarInfo]]:
    """An image's configuration, and the files of all its layers."""
    name = f"CLEARML_CLEANUP_{target.upper()}_IMAGE_TAR"
    path = os.environ.get(name)
    if not path:
        reason = f"{name} is not set; tests/e2e/run.sh builds the images and sets it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with tarfile.open(Path(path)) as archive:

        def member(of: str) -> Any:
            return archive.extractfile(of)

        manifest = json.load(member("manifest.json"))[0]
        files: dict[str, tarfile.TarInfo] = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=member(layer)) as tar:
                files |= {entry.name.removeprefix("./"): entry for entry in tar if not entry.isdir()}
        return json.load(member(manifest["Config"])), files


@pytest.mark.parametrize("target", ["job", "sandbox"])
def test_how_it_starts_and_ends(target: str) -> None:
    config = image(target)[0]["config"]
    assert config["Entrypoint"] == ["clearml-cleanup"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["title"] == "ClearML Cleanup"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == VERSION
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["revision"])
    assert labels["source"]
    assert labels["description"]


def found(target: str, pattern: str) -> list[str]:
    return [path for path in image(target)[1] if re.search(pattern, path)]


@pytest.mark.parametrize("target", ["job", "sandbox"])
@pytest.mark.parametrize(
    "pattern",
    [
        r"(^|/)(pip|setuptools|wheel|ensurepip)(-[\d.]+\.dist-info)?/",
        r"bin/(pip|gcc|cc|make|g\+\+)[\d.]*$",
        r"^(src|dist|root/\.cache|opt/build)/",
        r"(\.whl|pip\.conf|\.netrc)$",
        r"kubernetes/aio/|clearml/backend_api/services/|/tests/|\.pyi$",
        r"^(usr/)?s?bin/(?!python[\d.]*$)|^usr/local/bin/(?!python[\d.]*$)",  # no shell, no perl, no package manager
        r"^opt/clearml-cleanup/bin/(?!python[\d.]*$|clearml-cleanup$)",
        r"/(apt|dpkg|perl)[\w.-]*/(?!status\.d/)",
    ],
)
def test_nothing_of_the_build_is_left(target: str, pattern: str) -> None:
    assert found(target, pattern) == []


def test_the_job_carries_nothing_of_the_sandbox() -> None:
    assert not found("job", r"clearml_sandbox/|cleanup_job/cli/demo|site-packages/(flask|werkzeug)/")
    assert found("sandbox", r"clearml_sandbox/server\.py")
    assert found("job", r"cleanup_job/passes/cleanup\.py")


@pytest.mark.parametrize("target", ["job", "sandbox"])
def test_no_address_and_no_secret_in_its_history(target: str) -> None:
    config = image(target)[0]
    source = config["config"]["Labels"]["org.opencontainers.image.source"]  # where the code is: for everybody
    history = json.dumps(config).replace(source, "")
    assert not re.search(r"https?://|index.url|password|token|secret", history, re.IGNORECASE)


def test_everything_is_compiled() -> None:
    assert found("job", r"cleanup_job/passes/__pycache__/cleanup\.cpython-\d+\.pyc")
    assert found("job", r"clearml/__pycache__/task\.cpython-\d+\.pyc")
    assert found("job", r"^usr/(local/)?lib/python3\.\d+/json/__pycache__/decoder\.cpython-\d+\.pyc")


@pytest.mark.parametrize("target", ["job", "sandbox"])
def test_nothing_gives_another_user_or_can_be_changed(target: str) -> None:
    for path, entry in image(target)[1].items():
        assert not entry.mode & 0o6000, path
        assert entry.issym() or not entry.mode & 0o002, path
        assert entry.uid == 0, path


@pytest.mark.parametrize(("target", "lock"), [("job", "image.txt"), ("sandbox", "image-sandbox.txt")])
def test_its_packages_are_those_of_the_lock(target: str, lock: str) -> None:
    lines = re.findall(r"^([\w.-]+)==(\S+)(?: ; (.+))? \\$", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    locked = [(name, version) for name, version, on in lines if not on or Marker(on).evaluate({"sys_platform": "linux"})]
    installed = {(canonicalize_name(found[1]), found[2]) for found in map(METADATA.match, image(target)[1]) if found}
    assert installed == {*locked, ("clearml-cleanup", VERSION)}


def test_scanners_find_what_it_has_of_debian() -> None:
    records = {path.rpartition("/")[2] for path in found("job", r"^var/lib/dpkg/status\.d/")}
    assert {"base-files", "ca-certificates", "libc6", "tzdata"} <= records
    assert any(name.startswith("libssl3") for name in records)
    assert found("job", r"^etc/os-release$")


def test_its_weight_is_what_the_docs_say() -> None:
    said = re.search(r"^(\d+) MiB unpacked", (ROOT / "docs" / "image.md").read_text(), re.MULTILINE)
    assert said
    weight = sum(entry.size for entry in image("job")[1].values()) / 2**20
    assert weight < 250
    assert abs(weight - int(said[1])) < 8, weight


# Everything that a base image gives and a pass may need, from any user without a name or a home, on a root that is read only.
LOOK_AROUND = """
import contextlib, io, os, pwd, socket, ssl, tempfile, zoneinfo
from cleanup_job.cli.main import COMMANDS, NEEDS_SANDBOX, main
assert os.getuid() not in {user.pw_uid for user in pwd.getpwall()}
assert zoneinfo.ZoneInfo("America/Sao_Paulo").key in zoneinfo.available_timezones()
assert len(ssl.create_default_context().get_ca_certs()) > 50
assert socket.getaddrinfo("kubernetes.default.svc", 443)
tempfile.TemporaryFile().write(b"a long report")
os.environ.pop("HOME", None)
for command in COMMANDS.keys() - NEEDS_SANDBOX:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            code = main([command, "--help"])
        except SystemExit as end:
            code = end.code
    assert code in {0, None} and "usage: clearml-cleanup" in shown.getvalue(), command
print("all is there")
"""


def test_any_user_can_run_it_on_a_read_only_root(namespace: str) -> None:
    release = Release(namespace)
    context = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "look", "image": IMAGE, "command": ["python3", "-c", LOOK_AROUND], "securityContext": context}
    user = {"runAsUser": 1000660000, "runAsGroup": 0, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "securityContext": user, "containers": [container]}
    job = {"backoffLimit": 0, "template": {"spec": spec}}
    text = json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "look"}, "spec": job})
    release.kubectl("create", "--filename", "-", text=text)
    ended = release.ended("look")
    assert (ended, release.log("look")) == ("Complete", "all is there\n")


def test_any_user_can_make_a_pass(another_namespace: str, tmp_path: Path) -> None:
    release = Release(another_namespace)
    user = ("podSecurityContext.runAsUser=1000660000", "podSecurityContext.runAsGroup=0")
    release.install("sandbox.enabled=true", "suspend=true", "cleanup.forceDelete=true", *user)
    world = World(datetime.now(UTC))
    gone, stays = world.task("old", days_old=60), world.task("recent", days_old=5)
    gone.artifact("data")
    release.load(world.as_dict(), tmp_path)
    assert release.ended(release.start("pass")) == "Complete"
    assert release.tasks() == {stays.id}
