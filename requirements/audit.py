"""Known vulnerabilities in what the job installs, where the service that knows them can be reached: `audit.py LOCK`."""

import json
import subprocess
import sys
from pathlib import Path

PIP_AUDIT = Path(sys.executable).with_name("pip-audit")


def main(lock: str) -> int:
    """Print what was found; 1 if anything was."""
    command = [PIP_AUDIT, "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json", "--timeout", "10"]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)  # noqa: S603 -- ours
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        found = []
    if not any("vulns" in package for package in found):
        print("vulnerabilities: not checked, the service that knows them was not reached")
        return 0
    bad = [(package, entry) for package in found for entry in package.get("vulns", [])]
    for package, entry in bad:
        fixed = ", ".join(entry["fix_versions"]) or "no version yet"
        print(f"{lock}: {package['name']} {package['version']} has {entry['id']}; fixed in {fixed}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
