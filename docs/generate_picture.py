"""Writes the README's picture: a real run of the demo's pass, as the terminal shows it."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from clearml_sandbox.seed import seeded_world
from clearml_sandbox.server import Sandbox

WIDTH = 108


def main(target: Path) -> None:
    """Run a pass on a sandbox and draw what it printed."""
    console = Console(record=True, width=WIDTH + 6, file=Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 -- for a moment
    with Sandbox(seeded_world(7, 1500, datetime.now(UTC))) as sandbox:
        words = ["run", "--force-delete", "--log-format", "text", "--projects", "vision,language"]
        clear = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML_", "CLEANUP_"))}
        environ = clear | sandbox.environment() | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
        done = subprocess.run(  # noqa: S603 -- ourselves
            [sys.executable, "-m", "cleanup_job", *words], env=environ, capture_output=True, text=True, check=True
        )
        shown = done.stdout.replace(sandbox.files_url, "http://files.example:8081")
    console.print(Text("$ clearml-cleanup run --force-delete --projects vision,language", style="bold"))
    lines = Text.from_ansi(shown).split("\n")
    first = next(n for n, line in enumerate(lines) if line.plain.startswith("Deleted"))
    for line in lines[first:]:
        console.print(line)
    picture = console.export_svg(title="clearml-cleanup", unique_id="demo")
    # Without the fonts that it would load from elsewhere: any monospaced one will do.
    target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
