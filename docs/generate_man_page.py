"""Prints the man page from the parser. `make man` writes cleanup_job/cli/clearml-cleanup.1; a test compares it.

It lies in the package, and not beside the other pages, because that is what an image is built from.
"""

import argparse
import re
import tomllib
from pathlib import Path

from argparse_manpage.manpage import Manpage

from cleanup_job.cli.main import DEFAULT, PROGRAM, filled_parsers
from cleanup_job.exit_codes import ExitCode
from cleanup_job.settings.model import TABLE

ROOT = Path(__file__).resolve().parents[1]
# The library takes text as it is wrapped, and a line of text must not look like one of its requests.
TEXT_LIKE_A_REQUEST = re.compile(r"^(?=['.](?!(?:B|RE|RS|SH|SS|TH|TP|UE|UR|fi|nf)\b))", re.MULTILINE)


def page() -> str:
    """The whole page. The settings of a pass, which some commands all have as flags, are described at `run`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    parser, commands = filled_parsers()
    for name, own in commands.items():
        own.description = None  # the list of commands has said it
        if name != DEFAULT and leave_out_shared(own, commands[DEFAULT]):
            own.description = f"It takes the flags of `{PROGRAM} {DEFAULT}` for settings, too."
    made = Manpage(
        parser, format="single-commands-section", _data={"url": project["urls"]["Documentation"], "project_name": PROGRAM}
    )
    made.description = "delete archived ClearML tasks with their files"
    made.source, made.manual, made.date = f"{PROGRAM} {project['version']}", "ClearML Cleanup", ""
    codes = "".join(f".TP\n{code:d}\n{code.text}\n" for code in ExitCode)
    made.add_section("Exit status", "=", codes.rstrip())
    parser.epilog = None
    return TEXT_LIKE_A_REQUEST.sub(r"\\&", str(made))


def leave_out_shared(own: argparse.ArgumentParser, run: argparse.ArgumentParser) -> bool:
    """Leave out the flags for settings if they are all that `run` has; tells whether they are."""
    ours, theirs = (
        {action.dest: action for action in parser._actions if action.dest in TABLE}  # noqa: SLF001 -- nothing else lists them
        for parser in (own, run)
    )
    if not theirs.keys() <= ours.keys():
        return False
    for name in theirs:
        ours[name].help = argparse.SUPPRESS
    return True


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 -- its output is the page
