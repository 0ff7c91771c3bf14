"""The README's pictures: of today's output, small, and complete in themselves."""

import re
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_terminal_shows_a_server_a_dry_run_and_a_pass_and_loads_nothing() -> None:
    picture = (DOCS / "demo.svg").read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]+>", "", picture).replace("&#160;", " ")
    commands = ("clearml-cleanup sandbox", "clearml-cleanup run --dry-run", "clearml-cleanup run --force-delete")
    assert all(
        text in shown for text in (*commands, "ready: API http://127.0.0.1:8008", "Dry run: would delete", "Exit code 0")
    )
    assert "@font-face" not in picture
    assert not re.findall(r"(?:href=|src=|url\()[\"']?https?:", picture)


def test_the_report_s_picture_is_small_and_wide_enough_to_read() -> None:
    assert (DOCS / "report.png").stat().st_size < 150_000
    with Image.open(DOCS / "report.png") as picture:
        assert picture.width >= 1000
