"""Draws docs/report.png: the HTML report of the demo's pass, opened in Chromium, light and as wide as a usual screen.

`generate_page_picture.py docs/report.png`. Without Chromium the picture stays as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

SIZE = "1280,1800"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    f"--window-size={SIZE}",
    "--blink-settings=preferredColorScheme=1",
)
COLOURS = 200
"""A picture of text needs few colours: it is half as large so."""
ADDRESSES = {
    "CLEARML_API_HOST": "http://127.0.0.1:8008",
    "CLEARML_FILES_HOST": "http://127.0.0.1:8081",
    "CLEARML_WEB_HOST": "http://127.0.0.1:8080",
}
"""How the addresses of the demo's server are shown: its usual ports, where it has any that are free."""


def main(target: Path) -> None:
    """Run the demo and photograph its report."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print(f"chromium is not installed: {target} is left as it is", file=sys.stderr)  # noqa: T201 -- a command
        return
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "report.html", Path(folder) / "report.png"
        clear = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "CLEANUP_"))}
        command = [sys.executable, "-m", "cleanup_job", "demo", "--report", page.name]
        subprocess.run(command, env=clear, cwd=folder, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 -- ourselves
        shown = renamed(page.read_text(encoding="utf-8")).replace(f"{Path(folder).resolve()}/demo-audit", "/audit")
        page.write_text(shown, encoding="utf-8")
        # Virtual time: the picture is taken when the script has unpacked the tasks.
        once = ("--virtual-time-budget=10000", f"--user-data-dir={folder}/profile", f"--screenshot={shot}", page.as_uri())
        subprocess.run([chromium, *FLAGS, *once], capture_output=True, check=True)  # noqa: S603 -- a page of ours
        with Image.open(shot) as picture:
            picture.convert("RGB").quantize(COLOURS).save(target, optimize=True)


def renamed(page: str) -> str:
    """The page with the addresses as they are shown."""
    for name, shown in ADDRESSES.items():
        found = re.search(rf'"{name}", "value": "(http://[a-z0-9.:]+)"', page)
        page = page.replace(found[1], shown) if found else page
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]))
