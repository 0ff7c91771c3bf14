"""Draws the docs' pictures of the terminal from real commands on the embedded server: `generate_picture.py docs`.

`demo.svg` has a dry run, and a pass that asks before it deletes; `usage.svg` and `explain.svg` those two commands.
"""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.seed import seeded_world

WIDTH = 80
TASKS = 1500
FILTER = ("--force-delete", "--projects", "vision,language")
ADDRESSES = {"CLEARML_API_HOST": "http://127.0.0.1:8008", "CLEARML_FILES_HOST": "http://127.0.0.1:8081"}
"""How the sandbox's addresses are shown: its usual ports, where the pictures' own server has any that are free."""
LARGEST = 8
"""How many lines of the largest tasks the picture shows."""
PROGRESS = re.compile(r"(looking for tasks|planning|deleting|reading).*━")
CURSOR = re.compile(r"\x1b\[[0-9]*[ABCDGK]|\x1b\[\?[0-9]+[hl]|\x1b\[2K")
LEFT_OUT = Text("  …")


def main(folder: Path) -> None:
    """Run the commands on a sandbox, and draw what they printed."""
    with Sandbox(seeded_world(7, TASKS, datetime.now(UTC))) as sandbox:
        environ = sandbox.environment() | {"CLEARML_WEB_HOST": "https://app.clearml.example.com"}
        shown = {environ[name]: address for name, address in ADDRESSES.items()}

        def play(*words: str, answer: str = "") -> list[Text]:
            return lines_of(on_terminal(environ, words, answer), shown)

        usage = play("usage")
        planned = play("run", *FILTER, "--dry-run")
        done = play("run", *FILTER, answer="y")
        there = sorted(task for task, record in sandbox.store.tasks.items() if is_kept(record))
        explained = play("explain", there[0], "--force-delete")
    draw(folder / "usage.svg", [command("usage"), *usage])
    draw(folder / "demo.svg", demo(planned, done))
    draw(folder / "explain.svg", [command("explain", there[0], "--force-delete"), *explained])


def is_kept(record: Mapping[str, object]) -> bool:
    """Whether it is an archived version of a dataset: the first pass keeps some, since others need them."""
    tags = record.get("system_tags")
    return isinstance(tags, list) and {"archived", "dataset"} <= {*tags}


def demo(planned: list[Text], done: list[Text]) -> Iterable[Text]:
    """The server, the dry run in parts, and the pass with its question and its sum."""
    yield Text(f"$ clearml-cleanup sandbox --tasks {TASKS} &    # a ClearML Server to try it on", style="bold")
    yield Text("ready: API {CLEARML_API_HOST} files {CLEARML_FILES_HOST} key sandbox-key".format(**ADDRESSES))
    yield Text("")
    yield command("run", "--dry-run", *FILTER)
    largest, projects = index(planned, "The 20 largest"), index(planned, "project ")
    yield from planned[: largest + 3 + LARGEST]
    yield LEFT_OUT
    total = index(planned, "total")
    yield from planned[projects : total + 4]
    yield LEFT_OUT
    yield from planned[index(planned, "Dry run: would") :]
    yield Text("")
    yield command("run", *FILTER)
    yield from done[: index(done, "The 20 largest") + 1]
    yield LEFT_OUT
    yield done[index(done, "Delete ")]
    yield LEFT_OUT
    yield from done[index(done, "Deleted ") :]


def command(*words: str) -> Text:
    """A command as people type it."""
    return Text(f"$ clearml-cleanup {' '.join(words)}", style="bold")


def index(lines: list[Text], beginning: str) -> int:
    """The first line that begins like this."""
    return next(number for number, line in enumerate(lines) if line.plain.strip().startswith(beginning))


def on_terminal(environ: Mapping[str, str], words: Iterable[str], answer: str) -> str:
    """What a command prints on a terminal, where its question gets this answer."""
    clear = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML_", "CLEANUP_", "KUBERNETES_"))}
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    started = subprocess.Popen(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "cleanup_job", *words],
        env=clear | environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
        stdin=its,
        stdout=its,
        stderr=subprocess.DEVNULL,
    )
    os.close(its)
    text = read(ours, lambda said: os.write(ours, f"{answer}\n".encode()) if answer and said.endswith("[y/N] ") else None)
    if started.wait() != 0:
        raise SystemExit(text)
    return text


def read(terminal: int, heard: Callable[[str], object]) -> str:
    """All that is printed on a terminal, told bit by bit to one who may answer."""
    text = ""
    while True:
        try:
            some = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            some = b""
        if not some:
            return text
        text += some.decode(errors="replace")
        heard(text)


def draw(target: Path, lines: Iterable[Text]) -> None:
    """A picture of a terminal with these lines."""
    console = Console(record=True, width=WIDTH + 4, file=io.StringIO())
    for line in lines:
        console.print(line, overflow="fold")
    picture = console.export_svg(title="clearml-cleanup", unique_id=target.stem)
    # Without the fonts that it would load from elsewhere: any monospaced one will do.
    target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


def lines_of(printed: str, shown: Mapping[str, str]) -> list[Text]:
    """What is left on a terminal: without progress, with one empty line at most, and the addresses as they are shown."""
    for address, instead in shown.items():
        printed = printed.replace(address, instead)
    lines = Text.from_ansi(CURSOR.sub("", printed).replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    lines = [line for line in lines if not PROGRESS.search(line.plain)]
    after_one = zip([Text(""), *lines], lines, strict=False)
    return [line for before, line in after_one if line.plain.strip() or before.plain.strip()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
