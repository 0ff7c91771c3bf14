"""The locks hold what pyproject.toml asks for, each with hashes, and name no place to get it from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCKS = {
    "agent.txt": ["clearml-agent"],
    "build.txt": PYPROJECT["build-system"]["requires"],
    "docs.txt": PROJECT["optional-dependencies"]["docs"],
    "image.txt": [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["otlp"],
        *PROJECT["optional-dependencies"]["notify"],
    ],
    "image-sandbox.txt": [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["sandbox"]],
    "runtime.txt": [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["otlp"],
        *PROJECT["optional-dependencies"]["notify"],
    ],
    "sandbox.txt": [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["sandbox"]],
    "dev.txt": [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["sandbox"],
        *PROJECT["optional-dependencies"]["otlp"],
        *PROJECT["optional-dependencies"]["notify"],
        *PROJECT["optional-dependencies"]["dev"],
    ],
}


def entries(lock: str) -> list[str]:
    """One text for each pinned package, hashes included."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return re.findall(r"^\w.*(?:\n +.*)*", text, re.MULTILINE)


def pins(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in entries(lock):
        name, version = re.split(r"==|[ ;\\]", entry, maxsplit=2)[:2]
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    assert entries(lock)
    for entry in entries(lock):
        assert re.match(r"[\w.-]+==\S+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_stands_in_a_lock(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash)", text, re.MULTILINE)


@pytest.mark.parametrize(("lock", "wanted"), LOCKS.items())
def test_a_lock_holds_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, wanted):
        versions = pinned[canonicalize_name(requirement.name)]
        assert all(version in requirement.specifier for version in versions), (requirement, versions)


@pytest.mark.parametrize("lock", ["image.txt", "image-sandbox.txt", "runtime.txt", "sandbox.txt"])
def test_what_is_tested_is_what_runs(lock: str) -> None:
    tested = pins("dev.txt")
    assert {name: tested[name] for name in pins(lock)} == pins(lock)


def test_the_sandboxs_image_has_what_the_jobs_has() -> None:
    runs = pins("image-sandbox.txt")
    assert {name: runs.get(name) for name in pins("image.txt")} == pins("image.txt")


def test_the_declared_pythons_are_the_allowed_ones() -> None:
    declared = [line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: \d\.\d", line)]
    assert declared == ["3.11", "3.12", "3.13"]
    assert all(version in SpecifierSet(PROJECT["requires-python"]) for version in declared)
    assert "3.10" not in SpecifierSet(PROJECT["requires-python"])
