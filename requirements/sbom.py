"""An SBOM without the addresses to download from, which depend on who builds: `sbom.py < CYCLONEDX > CYCLONEDX`."""

import json
import sys
from typing import Any


def without_downloads(part: Any) -> Any:
    """The same, but for the references whose type says that they are downloads."""
    if isinstance(part, list):
        return [without_downloads(one) for one in part if not (isinstance(one, dict) and one.get("type") == "distribution")]
    if isinstance(part, dict):
        return {name: without_downloads(one) for name, one in part.items()}
    return part


if __name__ == "__main__":
    json.dump(without_downloads(json.load(sys.stdin)), sys.stdout, indent=2)
