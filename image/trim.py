"""Removes what no command of the image reads from a folder of installed packages: `trim.py SITE_PACKAGES`."""

import re
import shutil
import sys
from pathlib import Path

KUBERNETES_APIS = {"BatchV1Api": "batch_v1_api", "CoordinationV1Api": "coordination_v1_api", "CoreV1Api": "core_v1_api"}
"""The classes of the `kubernetes` package that the job calls, with their modules. It loads each when it is asked for."""

UNREAD = {
    "kubernetes/aio": "its asyncio half",
    "kubernetes/client/api/*_api.py": "calls, but for KUBERNETES_APIS",
    "kubernetes/client/models/v*alpha*.py": "types that only other calls have, but for those that kept calls import",
    "kubernetes/client/models/v*beta*.py": "likewise",
    "kubernetes/client/models/v2_*.py": "likewise",
    "kubernetes/**/*_test.py": "its tests",
    "clearml/backend_api/services": "a class for each call and version of ClearML's API; the job sends its own",
    "**/tests": "packages' tests",
    "**/*.pyi": "for type checkers",
    "**/*.c": "for compilers",
}
"""Patterns of files and folders, with what they are."""
_IMPORTED = re.compile(r"^from kubernetes\.client\.models\.(\w+) import", re.MULTILINE)


def read_of_kubernetes(packages: Path) -> set[Path]:
    """The modules of the calls that are kept, and the types that they import, directly or not."""
    client = packages / "kubernetes/client"
    found = {client / "api" / f"{module}.py" for module in KUBERNETES_APIS.values()}
    left = set(found)
    while left:
        names = _IMPORTED.findall(left.pop().read_text(encoding="utf-8"))
        new = {client / "models" / f"{name}.py" for name in names} - found
        found |= new
        left |= new
    return found


def main(packages: Path) -> None:
    """Remove them.

    Raises:
        SystemExit: a pattern finds nothing: a package has changed, and what is removed has to be looked at again.
    """
    kept = read_of_kubernetes(packages)
    for pattern, reason in UNREAD.items():
        found = set(packages.glob(pattern)) - kept
        if not found:
            sys.exit(f"{packages}: there is no {pattern} ({reason}) to remove; update UNREAD in image/trim.py")
        for path in found:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
