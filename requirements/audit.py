"""Known vulnerabilities in what the job installs, where the service that knows them can be reached: `audit.py LOCK`."""

import json
import subprocess
import sys
from pathlib import Path

PIP_AUDIT = Path(sys.executable).with_name("pip-audit")


def main(lock: str) -> int:
    """Print what was found; 1 if anything was, or if the lock can't be read."""
    command = [PIP_AUDIT, "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json", "--timeout", "10"]
    command += ["--progress-spinner", "off"]
    # First without the network, so that a lock that can't be read is not taken for a service that can't be reached.
    read = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=False)  # noqa: S603 -- ours
    if read.returncode:
        print(f"{lock}: {read.stderr.strip()}")
        return 1
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- ours
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    known = [package for package in packages if "vulns" in package]
    if not known:
        print("vulnerabilities: not checked, the service that knows them was not reached")
        return 0
    bad = [(package, entry) for package in known for entry in package["vulns"]]
    for package, entry in bad:
        fixed = ", ".join(entry["fix_versions"]) or "no version yet"
        print(f"{lock}: {package['name']} {package['version']} has {entry['id']}; fixed in {fixed}")
    if len(known) < len(packages):
        print(f"vulnerabilities: {len(packages) - len(known)} of {len(packages)} packages are unknown to the service")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
