"""Writes the root file system that Python needs, and no more, to a new folder: `root.py FOLDER PACKAGES`.

It is run in the build's base image, Debian or a derivative with Python where the distribution puts it (/usr) or beside it
(/usr/local). What is copied: the interpreter that runs this, its standard library, the shared libraries of both and of the
installed PACKAGES, what name look-ups, TLS and time zones read, and Debian's records of the packages that these files are of,
where scanners for vulnerabilities look in images like this one (/var/lib/dpkg/status.d). The Dockerfile copies CA certificates.
"""

import compileall
import os
import py_compile
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

STDLIB_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|tests?|idle_test)(/|$)"  # what tests Python; it is compiled again
    r"|^(site|dist)-packages(/|$)"  # pip and its like
    r"|^(distutils|ensurepip|lib2to3|config-[^/]*|idlelib|pydoc_data|turtledemo|turtle\.py)(/|$)"  # for developing
    r"|^(tkinter|curses|dbm|sqlite3|sitecustomize\.py)(/|$)"  # terminals, windows and databases: each brings libraries along
    r"|^lib-dynload/(_test|_ctypes_test|_xxtest|xx|_tkinter|_curses|readline|_dbm|_gdbm|_sqlite3|nis|ossaudiodev)"
)
"""What nothing in the image imports, by its path in the standard library."""

FOUND_AT_RUN_TIME = ("libnss_dns.so.2", "libnss_files.so.2", "libgcc_s.so.1")
"""Libraries that glibc itself opens when it looks up a name or ends a thread."""

FILES = (
    "/etc/debian_version",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/ssl/openssl.cnf",
    "/usr/share/zoneinfo",
)
ZONES_TWICE = re.compile(r"^(posix|right)(/|$)")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
USERS = {"root": 0, "nobody": 65534, "cleanup": 65532}


class Root:
    """A root file system in a folder, made of files of the one that this runs in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[Path] = set()
        """Where the files are that were copied, with no link on the way."""

    def place(self, path: Path) -> Path:
        """Where a path of the system is in the folder."""
        return self.folder / path.relative_to("/")

    def add(self, path: Path) -> None:
        """Copy a file, with every link on the way to it."""
        rest, here = list(path.parts[1:]), Path("/")
        while rest:
            part = rest.pop(0)
            at = here.parent if part == ".." else here / part
            if at.is_symlink():
                target = at.readlink()
                if not self.place(at).is_symlink():
                    self.place(at).symlink_to(target)
                rest[:0] = target.parts[1:] if target.is_absolute() else target.parts
                here = Path("/") if target.is_absolute() else here
            elif at.is_dir():
                self.place(at).mkdir(exist_ok=True)
                here = at
            else:
                shutil.copy2(at, self.place(at))
                self.files.add(at)

    def add_all(self, top: Path, left_out: re.Pattern[str] | None = None) -> None:
        """Copy a file, or the files of a folder but for some."""
        for path in walk(top) if top.is_dir() else [top]:
            if left_out is None or not left_out.search(str(path.relative_to(top))):
                self.add(path)


def walk(top: Path) -> Iterator[Path]:
    """Everything in a folder that is no folder itself."""
    for folder, _, names in os.walk(top):
        yield from (Path(folder, name) for name in names)


def libraries(binaries: list[Path]) -> set[Path]:
    """The shared libraries of some programs and libraries, and the loader.

    Raises:
        SystemExit: one is missing.
    """
    done = subprocess.run(["/usr/bin/ldd", *binaries], capture_output=True, text=True, check=False)  # noqa: S603 -- files of ours
    if missing := re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE):
        sys.exit(f"no library {', '.join(sorted(set(missing)))}; use a base image that has it")
    return {Path(path) for path in re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", done.stdout, re.MULTILINE)}


def known_libraries(names: tuple[str, ...]) -> list[Path]:
    """Where libraries are that a program may open by name, as far as they are there."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return [Path(path) for name, path in re.findall(r"^\s*(\S+) \(.*\) => (\S+)$", listed, re.MULTILINE) if name in names]


def record_packages(root: Root) -> None:
    """Debian's record of each package that a file is of, as distroless images have it, with its licence."""
    status = Path("/var/lib/dpkg/status").read_text(encoding="utf-8")
    records = {re.findall(r"^Package: (.+)$", record, re.MULTILINE)[0]: record for record in status.strip().split("\n\n")}
    folder = root.folder / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    owned = {"ca-certificates"} & records.keys()
    for listed in Path("/var/lib/dpkg/info").glob("*.list"):
        paths = map(Path, listed.read_text(encoding="utf-8").splitlines())
        # /lib is a link to /usr/lib, and packages name either.
        if any(path.parent.resolve() / path.name in root.files for path in paths):
            owned.add(listed.stem.partition(":")[0])
    for name in sorted(owned):
        (folder / name).write_text(records[name] + "\n", encoding="utf-8")
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.exists():
            root.add(licence)


def users(root: Root) -> None:
    """Write who may run what; none of them can log in."""
    (root.folder / "etc/passwd").write_text(
        "".join(f"{name}:x:{number}:{number}:{name}:/nonexistent:/usr/sbin/nologin\n" for name, number in USERS.items())
    )
    (root.folder / "etc/group").write_text("".join(f"{name}:x:{number}:\n" for name, number in USERS.items()))


def main(folder: Path, packages: Path) -> None:
    """Write the root file system."""
    folder.mkdir(parents=True)
    root = Root(folder)
    python, stdlib = Path(shutil.which("python3") or sys.executable), Path(sysconfig.get_path("stdlib"))
    root.add(python)
    root.add_all(stdlib, STDLIB_LEFT_OUT)
    binaries = [path for path in root.files if path == python.resolve() or ".so" in path.name]
    binaries += packages.glob("**/*.so*")
    for path in (*libraries(binaries), *known_libraries(FOUND_AT_RUN_TIME)):
        if not path.is_relative_to(packages):
            root.add(path)
    for path in map(Path, FILES):
        if path.exists():
            root.add_all(path, ZONES_TWICE)
    record_packages(root)
    users(root)
    # OpenSSL's own place for them, which the base may not have.
    authorities = root.place(Path(ssl.get_default_verify_paths().openssl_cafile))
    authorities.parent.mkdir(parents=True, exist_ok=True)
    authorities.symlink_to(CERTIFICATES)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    subprocess.run(["/sbin/ldconfig", "-r", folder], check=True)  # noqa: S603 -- a folder of ours
    # By content and not by date, which tools that make or copy images change.
    compileall.compile_dir(
        root.place(stdlib),
        quiet=1,
        stripdir=str(folder),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
