"""The Dockerfile before it is built; tests/e2e/test_image.py looks into the images."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def sources() -> set[str]:
    """What is copied from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return {source for line in lines for source in line.split()[:-1]}


def test_hadolint_finds_nothing() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([tool, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_builder() -> None:
    sent = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(sources()) == sorted(sent)
    assert all((ROOT / source).exists() for source in sources())


def test_everything_installed_has_its_hash() -> None:
    commands = DOCKERFILE.replace("\\\n", " ").splitlines()
    installs = [
        part for line in commands if line.startswith("RUN") for part in line.split("&&") if "pip" in part and "install" in part
    ]
    assert installs
    for install in installs:
        assert "--no-deps --require-hashes" in install or "--no-index" in install, install


def test_the_job_is_what_is_built_without_a_target() -> None:
    assert re.findall(r"^FROM .+ AS (\w+)", DOCKERFILE, re.MULTILINE)[-1] == "job"


def test_no_base_moves_with_latest_and_no_index_stands_in_it() -> None:
    assert "latest" not in DOCKERFILE
    assert not re.search(r"://|index-url|trusted-host", DOCKERFILE, re.IGNORECASE)


def test_every_download_can_come_from_an_index_that_leaves_no_trace() -> None:
    downloads = [run for run in DOCKERFILE.replace("\\\n", " ").splitlines() if "--require-hashes" in run]
    assert len(downloads) == 2
    for run in downloads:
        assert run.startswith("RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false "), run


def test_the_user_is_a_number_that_the_chart_uses_too() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    values = (ROOT / "helm" / "clearml-cleanup" / "values.yaml").read_text()
    assert int(user[0]) >= 10000
    assert re.findall(r"runAs(?:User|Group): (\d+)", values) == list(user)
