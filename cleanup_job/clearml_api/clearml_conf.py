"""clearml.conf, read with the SDK's own parser: the tree, and the credentials of stores in it."""

from pathlib import Path
from typing import Any

from cleanup_job.errors import SettingsError

STORES = ("aws.s3", "google.storage", "azure.storage")


def stores(path: Path) -> dict[str, dict[str, Any]]:
    """The parts of ``sdk`` about object stores, such as ``aws.s3``; missing ones are left out.

    Raises:
        SettingsError: the file can't be read.
    """
    tree = parse(path)
    parts = {name: tree.get(f"sdk.{name}", None) for name in STORES}
    return {name: dict(part.as_plain_ordered_dict()) for name, part in parts.items() if hasattr(part, "as_plain_ordered_dict")}


def parse(path: Path) -> Any:
    """The tree of a clearml.conf, with `get(key, default)`.

    Raises:
        SettingsError: it can't be read.
    """
    # Imported late: clearml takes a second to import, and most runs are configured by the environment.
    from clearml.utilities.pyhocon import ConfigFactory  # noqa: PLC0415 -- see above

    try:
        return ConfigFactory.parse_file(str(path))
    except Exception as error:  # noqa: BLE001 -- pyhocon raises everything that its parser does
        message = f"CLEARML_CONFIG_FILE={path} can't be read ({type(error).__name__}). Use ClearML's HOCON format."
        raise SettingsError(message) from None
