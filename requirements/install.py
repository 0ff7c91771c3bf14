"""Installs a lock into a virtual environment and shows its progress: `install.py FOLDER LOCK [--what TEXT] [PIP OPTION ...]`.

It needs only the standard library, because it runs before anything is installed. What pip prints is kept in FOLDER/pip.log and
shown when the installation fails.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

TRUSTS_THE_SYSTEM = (24, 2)
"""From this version on, pip accepts the certificates that the system trusts. Before, it has only a list of its own."""
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Red Hat, SUSE, and Alpine and macOS keep the certificates that the system trusts."""
MEGABYTES = {"kB": 0.001, "MB": 1.0, "GB": 1000.0}
STEP = 10
"""A line for every so many packages, where the output is not a terminal."""


def main() -> int:
    """The exit code: 0 when everything is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--what", default="what this needs")
    options, of_pip = parser.parse_known_args()
    packages = len(re.findall(r"^\w", options.lock.read_text(encoding="utf-8"), re.MULTILINE))
    print(f"== installing {options.what} into {options.folder}: up to {packages} packages", flush=True)
    python = options.folder / "bin" / "python"
    if _said([str(python), "-m", "pip", "--version"]) is None:
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(options.folder)], check=False)  # noqa: S603 -- ourselves
        if made.returncode:
            print("install: no virtual environment could be made; on Debian, install python3-venv")
            return 1
    return install(python, options.lock, of_pip, packages)


def install(python: Path, lock: Path, of_pip: list[str], packages: int) -> int:
    """Run pip and show how far it is."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps"]
    command += ["--require-hashes", *of_pip, "--requirement", str(lock)]
    began = time.monotonic()
    seen, size, lines = 0, 0.0, []
    with (
        (python.parents[1] / "pip.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(  # noqa: S603 -- ourselves
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | certificates(python)
        ) as pip,
    ):
        for line in pip.stdout or ():
            log.write(line)
            lines.append(line)
            if found := re.match(r"(?:Collecting|Requirement already satisfied:|Processing \S+/) ?(\w[\w.]*)", line):
                seen += 1
                _show(f"{seen} of {packages}: {found[1]}", always=seen % STEP == 0)
            elif found := re.search(r"Downloading .*\(([\d.]+) (kB|MB|GB)\)", line):
                size += float(found[1]) * MEGABYTES[found[2]]
            elif line.startswith("Installing collected packages"):
                _show(f"unpacking, {size:.0f} MB were downloaded", always=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.returncode:
        print("".join(dict.fromkeys(line for line in lines if not line.startswith(("Collecting", "  Downloading")))))
        print(advice("".join(lines)))
        return 1
    print(f"   installed in {time.monotonic() - began:.0f} s")
    return 0


def certificates(python: Path) -> dict[str, str]:
    """Variables that make pip trust what the system trusts; none if it does already or other certificates are configured."""
    version = re.match(r"pip (\d+)\.(\d+)", _said([str(python), "-m", "pip", "--version"]) or "")
    if version and (int(version[1]), int(version[2])) >= TRUSTS_THE_SYSTEM:
        return {}
    if any(os.environ.get(name) for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")):
        return {}
    if re.search(r"\.cert=", _said([str(python), "-m", "pip", "config", "list"]) or ""):
        return {}
    bundle = next((path for path in (os.environ.get("SSL_CERT_FILE"), *BUNDLES) if path and Path(path).is_file()), None)
    return {"PIP_CERT": bundle} if bundle else {}


def advice(output: str) -> str:
    """The way out."""
    if re.search(r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerification", output):
        return (
            "install: the index's certificate is not trusted here. Set PIP_CERT to the file with your company's certificates."
        )
    if re.search(r"NewConnectionError|ConnectTimeout|ProxyError|Name or service not known|getaddrinfo", output):
        return "install: the index was not reached. Set PIP_INDEX_URL to an index of your own, or HTTPS_PROXY to your proxy."
    if "DO NOT MATCH THE HASHES" in output:
        return "install: a file differs from the one that the lock names. Don't install it; look where it came from."
    return "install: pip failed, see above."


def _show(text: str, *, always: bool) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K   {text}", end="", flush=True)
    elif always:
        print(f"   {text}", flush=True)


def _said(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- ourselves
    except OSError:
        return None
    return None if done.returncode else done.stdout


if __name__ == "__main__":
    sys.exit(main())
