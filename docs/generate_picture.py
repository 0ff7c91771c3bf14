"""Draws the README's pictures from real passes on the embedded server.

`generate_picture.py docs/demo.svg` draws the terminal; `generate_page_picture.py` draws the HTML report.
"""

import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.seed import seeded_world

WIDTH = 100
TASKS = 1500
FILTER = ("--force-delete", "--projects", "vision,language")
ADDRESSES = {"CLEARML_API_HOST": "http://127.0.0.1:8008", "CLEARML_FILES_HOST": "http://127.0.0.1:8081"}
"""How the sandbox's addresses are shown: its usual ports, where the pictures' own server has any that are free."""
REASONS = 5
"""How many lines of reasons the picture shows."""


def main(terminal: Path) -> None:
    """Run a dry run and a pass on a sandbox, and draw what they printed."""
    with Sandbox(seeded_world(7, TASKS, datetime.now(UTC))) as sandbox:
        environ = sandbox.environment() | {"CLEARML_WEB_HOST": "https://app.clearml.example.com"}
        planned = run(environ, *FILTER, "--dry-run")
        done = run(environ, *FILTER)
        shown = {environ[name]: address for name, address in ADDRESSES.items()}
        draw(terminal, planned, done, shown)


def run(environ: Mapping[str, str], *flags: str) -> str:
    """What a pass prints on a terminal."""
    clear = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML_", "CLEANUP_"))}
    terminal = {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "cleanup_job", "run", "--log-format", "text", *flags]
    done = subprocess.run(command, env=clear | environ | terminal, capture_output=True, text=True, check=True)  # noqa: S603 -- ourselves
    return done.stdout


def draw(target: Path, planned: str, done: str, shown: Mapping[str, str]) -> None:
    """The terminal: the server, the dry run up to its first reasons, the pass with its first and last line."""
    console = Console(record=True, width=WIDTH + 6, file=io.StringIO())
    console.print(Text(f"$ clearml-cleanup sandbox --tasks {TASKS} &    # a ClearML Server to try it on", style="bold"))
    console.print(Text("ready: API {CLEARML_API_HOST} files {CLEARML_FILES_HOST} key sandbox-key".format(**ADDRESSES)))
    words = " ".join(FILTER)
    console.print(Text(f"\n$ clearml-cleanup run --dry-run {words}", style="bold"))
    lines = report_lines(planned, shown)
    total = next(n for n, line in enumerate(lines) if line.plain.startswith(" total"))
    for line in lines[: total + 2 + REASONS]:
        console.print(line)
    console.print(Text("  …"))
    console.print(Text(f"\n$ clearml-cleanup run {words}", style="bold"))
    lines = report_lines(done, shown)
    console.print(lines[0])
    console.print(Text("  …"))
    console.print(lines[-1])
    picture = console.export_svg(title="clearml-cleanup", unique_id="demo")
    # Without the fonts that it would load from elsewhere: any monospaced one will do.
    target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


def report_lines(printed: str, shown: Mapping[str, str]) -> list[Text]:
    """The lines of a pass's report, without the progress before it."""
    lines = [line for line in Text.from_ansi(renamed(printed, shown)).split("\n") if line.plain.strip()]
    first = next(n for n, line in enumerate(lines) if line.plain.startswith(("Deleted", "Dry run")))
    return list(lines[first:])


def renamed(text: str, shown: Mapping[str, str]) -> str:
    """The text with the addresses as they are shown."""
    for address, instead in shown.items():
        text = text.replace(address, instead)
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
