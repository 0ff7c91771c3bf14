"""Removes what no command of the image reads from an environment with installed packages: `trim.py ENVIRONMENT`."""

import re
import shutil
import sys
from pathlib import Path

KUBERNETES_APIS = {"BatchV1Api": "batch_v1_api", "CoordinationV1Api": "coordination_v1_api", "CoreV1Api": "core_v1_api"}
"""The classes of the `kubernetes` package that the job calls, with their modules. It loads each when it is asked for."""

UNREAD = {
    "kubernetes/aio": "its asyncio half",
    "kubernetes/client/api/*_api.py": "calls, but for KUBERNETES_APIS",
    "kubernetes/**/*_test.py": "its tests",
    "clearml/backend_api/services": "a class for each call and version of ClearML's API; the job sends its own",
    "apprise/assets": "pictures for services that show one",
    "apprise/cli.py": "its own command",
    "apprise/i18n": "its texts in other languages",
    "**/tests": "packages' tests",
    "**/*.pyi": "for type checkers",
    "**/*.c": "for compilers",
}
"""Patterns of files and folders, with what they are."""


COMMANDS = re.compile(r"clearml-cleanup|python[\d.]*")
"""What stays in the environment's `bin`; scripts of packages and for shells go."""


def main(environment: Path) -> None:
    """Remove them.

    Raises:
        SystemExit: a pattern finds nothing: a package has changed, and what is removed has to be looked at again.
    """
    (packages,) = environment.glob("lib/python3*/site-packages")
    kept = {packages / "kubernetes/client/api" / f"{module}.py" for module in KUBERNETES_APIS.values()}
    for pattern, reason in UNREAD.items():
        found = set(packages.glob(pattern)) - kept
        if not found:
            sys.exit(f"{packages}: there is no {pattern} ({reason}) to remove; update UNREAD in image/trim.py")
        for path in found:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    for script in (environment / "bin").iterdir():
        if not COMMANDS.fullmatch(script.name):
            script.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
