"""Changes what decides over deletion a little, in every way that mutmut knows, and looks whether a test notices.

Works on a copy of the tree, since mutmut writes into it; `[tool.mutmut]` in pyproject.toml names the modules and their tests. A
mutant that no test notices must stand in survivors.toml with the reason; an entry there that no mutant needs is an error, too.

    mutate.py FOLDER [MODULE...]     FOLDER is replaced by the copy; MODULEs (paths, plan …) instead of all of them
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("survivors.toml")
COPIED = ("cleanup_job", "clearml_sandbox", "tests", "docs", "helm", "pyproject.toml", "README.md", "CHANGELOG.md")
NOTICED = ("killed", "timeout", "caught by type check", "segfault")


@dataclass(frozen=True)
class Mutant:
    """A change that no test noticed."""

    of: str
    """The function, as ``cleanup_job.planning.paths.is_clean``."""
    was: str
    now: str


@dataclass(frozen=True)
class Known(Mutant):
    """An entry of the list; ``*`` in it stands for any text."""

    why: str

    def covers(self, mutant: Mutant) -> bool:
        """Whether it is this mutant, or one of those that the entry stands for."""
        pairs = ((self.of, mutant.of), (self.was, mutant.was), (self.now, mutant.now))
        return all(re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), text, re.DOTALL) for wanted, text in pairs)


def copy_to(folder: Path, modules: list[str]) -> None:
    """Copy the tree; with ``modules`` only these are changed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    if modules:
        config = (folder / "pyproject.toml").read_text(encoding="utf-8")
        chosen = ", ".join(f'"cleanup_job/*/{name}.py"' for name in modules)
        (folder / "pyproject.toml").write_text(re.sub(r"(?m)^only_mutate = \[[^\]]*\]", f"only_mutate = [{chosen}]", config))


def mutmut(folder: Path, *arguments: str) -> str:
    """What mutmut prints; the copy is what is imported, not the tree that is installed."""
    environ = os.environ | {"PYTHONPATH": "", "PYTHONHASHSEED": "0"}  # sets in the same order each time
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"mutmut {' '.join(arguments)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def readable(name: str) -> str:
    """The function of a mutant, as a person writes it: mutmut's names are ``cleanup_job.planning.paths.xǁAǁb__mutmut_3``."""
    module, _, function = name.partition("__mutmut_")[0].rpartition(".")
    parts = function.split("ǁ")[1:] or [function.removeprefix("x_")]
    return ".".join((module, *parts))


def survivors(folder: Path) -> list[Mutant]:
    """The mutants that no test noticed."""
    found = []
    for line in mutmut(folder, "results").splitlines():
        name, _, status = line.strip().partition(": ")
        if not status or status in NOTICED:
            continue
        diff = mutmut(folder, "show", name).splitlines()
        changed = {
            mark: "\n".join(one[1:].strip() for one in diff if one.startswith(mark) and not one.startswith(mark * 3))
            for mark in "-+"
        }
        found.append(Mutant(readable(name), changed["-"], changed["+"]))
    return found


def main() -> None:
    folder, *modules = sys.argv[1:]
    copy_to(Path(folder), modules)
    mutmut(Path(folder), "run", "--max-children", "1")
    left = survivors(Path(folder))
    known = [Known(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["survivor"]]
    if modules:
        known = [entry for entry in known if entry.of.split(".")[1] in modules]
    new = [mutant for mutant in left if not any(entry.covers(mutant) for entry in known)]
    stale = [entry for entry in known if not any(entry.covers(mutant) for mutant in left)]
    for mutant in new:
        print(f"\n[[survivor]]\nof = '{mutant.of}'\nwas = '''{mutant.was}'''\nnow = '''{mutant.now}'''\nwhy = ''")
    for entry in stale:
        print(f"\nno longer needed in {LIST.name}: {entry.of}: {entry.was!r} -> {entry.now!r}")
    print(f"\n{len(left)} mutants unnoticed, {len(new)} of them without a reason; {len(stale)} reasons without a mutant")
    sys.exit(bool(new or stale))


if __name__ == "__main__":
    main()
