"""The page on architecture names every folder and file at the top of the package, and no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cleanup_job"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
FILES = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}


def section(title: str) -> str:
    return PAGE.split(f" {title}\n")[1].split("\n#")[0]


def test_the_table_has_every_folder_and_file_once() -> None:
    rows = re.findall(r"^\| `([\w./]+)` \|", section("The code"), re.MULTILINE)
    assert sorted(rows) == sorted({f"{name}/" for name in FOLDERS} | FILES)


def test_the_picture_has_every_folder() -> None:
    names = set(re.findall(r"<text [^>]*>([a-z_]+)</text>", PICTURE.split('font-weight="700"')[1].split("</g>")[0]))
    assert {*FOLDERS} <= names <= FOLDERS | {name.removesuffix(".py") for name in FILES}


def test_the_picture_loads_nothing() -> None:
    assert set(re.findall(r"https?://[^\"]+", PICTURE)) == {"http://www.w3.org/2000/svg"}
    assert "href" not in PICTURE


@pytest.mark.parametrize("change", ["setting", "filter", "order", "scheme", "report format", "event", "command"])
def test_each_kind_of_change_has_its_files(change: str) -> None:
    rows = re.findall(r"^\| ((?:an?|the) .+) \| (.+) \|$", section("Where do I change …"), re.MULTILINE)
    (where,) = [where for what, where in rows if change in what]
    files = re.findall(r"`(cleanup_job/[\w./]+)`", where)
    assert files
    assert all((ROOT / name).exists() for name in files)


def test_files_that_a_step_names_exist() -> None:
    named = re.findall(r"`((?:" + "|".join(FOLDERS) + r")/[\w.]+)`", PAGE)
    assert named
    assert [name for name in named if not (PACKAGE / name).exists()] == []
