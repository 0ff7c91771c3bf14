"""What is in the images that were built, and what is not."""

import json
import os
import re
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.release import ROOT

pytestmark = pytest.mark.e2e

VERSION = yaml.safe_load((ROOT / "helm" / "clearml-cleanup" / "Chart.yaml").read_text())["appVersion"]


@cache
def image(target: str) -> tuple[dict[str, Any], dict[str, int]]:
    """An image's configuration, and the files of all its layers with their sizes."""
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
        files: dict[str, int] = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=member(layer)) as tar:
                files |= {entry.name.removeprefix("./"): entry.size for entry in tar if not entry.isdir()}
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
        r"kubernetes/aio/",
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


def test_its_weight_is_what_the_docs_say() -> None:
    said = re.search(r"^(\d+) MiB unpacked", (ROOT / "docs" / "image.md").read_text(), re.MULTILINE)
    assert said
    weight = sum(image("job")[1].values()) / 2**20
    assert abs(weight - int(said[1])) < 25, weight
