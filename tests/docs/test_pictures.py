"""The README's pictures: of today's output, small, and complete in themselves."""

import re
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).resolve().parents[2] / "docs"


SHOWN = {
    "demo.svg": (
        "clearml-cleanup sandbox",
        "ready: API http://127.0.0.1:8008",
        "clearml-cleanup run --dry-run",
        "Dry run: would delete",
        "clearml-cleanup run --force-delete",
        "[y/N] y",
        "Exit code 0",
    ),
    "usage.svg": ("clearml-cleanup usage", "by project", "by kind", "may be deleted"),
    "explain.svg": ("clearml-cleanup explain", "A pass keeps it", "Rules", "Due", "Files", "Others"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_of_the_terminal_shows_real_commands_and_loads_nothing(name: str) -> None:
    picture = (DOCS / name).read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]+>", "", picture).replace("&#160;", " ")
    assert not [text for text in SHOWN[name] if text not in shown]
    assert "@font-face" not in picture
    assert not re.findall(r"(?:href=|src=|url\()[\"']?https?:", picture)


def test_the_report_s_picture_is_small_and_wide_enough_to_read() -> None:
    assert (DOCS / "report.png").stat().st_size < 150_000
    with Image.open(DOCS / "report.png") as picture:
        assert picture.width >= 1000
