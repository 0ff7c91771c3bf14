"""The connection, and the credentials of stores, in a clearml.conf."""

from pathlib import Path
from typing import Any

from cleanup_job.errors import SettingsError

KEYS = {
    "api_host": "api.api_server",
    "web_host": "api.web_server",
    "files_host": "api.files_server",
    "access_key": "api.credentials.access_key",
    "secret_key": "api.credentials.secret_key",
    "verify_certificate": "api.verify_certificate",
}
STORES = ("aws.s3", "google.storage", "azure.storage")


def read(path: Path) -> dict[str, str]:
    """The settings in a clearml.conf, by the names that they have here.

    Raises:
        SettingsError: it can't be read.
    """
    tree = _parse(path)
    values = {name: tree.get(key, None) for name, key in KEYS.items()}
    return {name: str(value) for name, value in values.items() if value is not None and str(value).strip()}


def stores(path: Path) -> dict[str, dict[str, Any]]:
    """The parts of ``sdk`` about object stores, such as ``aws.s3``, without those that are missing.

    Raises:
        SettingsError: the file can't be read.
    """
    tree = _parse(path)
    parts = {name: tree.get(f"sdk.{name}", None) for name in STORES}
    return {name: dict(part.as_plain_ordered_dict()) for name, part in parts.items() if hasattr(part, "as_plain_ordered_dict")}


def _parse(path: Path) -> Any:
    # Imported here: clearml takes a second to import, and most runs are configured by the environment.
    from clearml.utilities.pyhocon import ConfigFactory  # noqa: PLC0415 -- see above

    try:
        return ConfigFactory.parse_file(str(path))
    except Exception as error:  # noqa: BLE001 -- pyhocon lets the errors of its parser through
        message = f"CLEARML_CONFIG_FILE={path} can't be read: {type(error).__name__}. Write it in ClearML's HOCON format."
        raise SettingsError(message) from None
