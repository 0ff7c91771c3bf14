"""One place names the repository, `[project.urls]` in pyproject.toml; all else that names it, or the registry, agrees."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "clearml-cleanup"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY: str = PROJECT["urls"]["Repository"]
OWNER, NAME = REPOSITORY.removeprefix("https://github.com/").split("/")
IMAGE = f"ghcr.io/{OWNER}/{NAME}"
VERSION: str = PROJECT["version"]


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_packages_addresses_are_the_repositorys() -> None:
    urls = PROJECT["urls"]
    assert urls["Documentation"] == f"https://{OWNER}.github.io/{NAME}/"
    assert urls["Issues"] == f"{REPOSITORY}/issues"
    assert urls["Changelog"] == f"{REPOSITORY}/blob/main/CHANGELOG.md"


def test_the_charts_addresses_are_the_repositorys() -> None:
    chart = document(CHART / "Chart.yaml")
    assert chart["home"] == REPOSITORY
    assert chart["sources"] == [REPOSITORY]
    assert chart["maintainers"] == [{"name": OWNER, "url": f"https://github.com/{OWNER}"}]
    raw = f"https://raw.githubusercontent.com/{OWNER}/{NAME}/main/"
    assert chart["icon"].startswith(raw)
    assert (ROOT / chart["icon"].removeprefix(raw)).is_file()
    images = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert [image["image"] for image in images] == [f"{IMAGE}:{VERSION}", f"{IMAGE}:{VERSION}-sandbox"]


def test_the_chart_pulls_what_a_release_pushes() -> None:
    values = document(CHART / "values.yaml")
    assert f"{values['image']['registry']}/{values['image']['repository']}" == IMAGE
    assert values["sandbox"]["image"]["repository"] == values["image"]["repository"]
    assert f"image: {IMAGE}:{VERSION}" in (ROOT / "k8s" / "cronjob.yaml").read_text(encoding="utf-8")


def test_make_image_builds_what_the_chart_names() -> None:
    words = ["make", "--dry-run", "--no-print-directory", "image", "CONTAINER_TOOL=docker"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"--tag {IMAGE}:{VERSION}$" in done.stdout
    assert f"SOURCE={REPOSITORY}" in done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_names_no_other_repository(path: Path) -> None:
    """What runs there takes the repository's name from GitHub, and checks that it is this one."""
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"ghcr\.io/([\w.-]+/[\w.-]+)", text)) <= {f"{OWNER}/{NAME}"}
    links = set(re.findall(r"https://github\.com/[\w.-]+/[\w.-]+", text))
    assert links <= {REPOSITORY}


def test_the_sites_address_is_the_repositorys() -> None:
    site = ROOT / "mkdocs.yml"
    if not site.is_file():
        pytest.skip("the site has no mkdocs.yml")
    lines = dict(re.findall(r"^(repo_url|site_url): *(\S+)$", site.read_text(encoding="utf-8"), re.MULTILINE))
    assert lines.get("repo_url", REPOSITORY) == REPOSITORY
    assert lines.get("site_url", PROJECT["urls"]["Documentation"]) == PROJECT["urls"]["Documentation"]
