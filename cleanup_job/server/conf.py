"""The connection in a clearml.conf."""

from pathlib import Path

from cleanup_job.errors import SettingsError

KEYS = {
    "api_host": "api.api_server",
    "web_host": "api.web_server",
    "files_host": "api.files_server",
    "access_key": "api.credentials.access_key",
    "secret_key": "api.credentials.secret_key",
    "verify_certificate": "api.verify_certificate",
}


def read(path: Path) -> dict[str, str]:
    """The settings that a clearml.conf has, by their names here.

    Raises:
        SettingsError: it can't be read.
    """
    # Imported here: clearml takes a second to import, and most runs are configured by the environment.
    from clearml.utilities.pyhocon import ConfigFactory  # noqa: PLC0415 -- see above

    try:
        tree = ConfigFactory.parse_file(str(path))
    except Exception as error:  # noqa: BLE001 -- pyhocon raises whatever its parser does
        message = f"CLEARML_CONFIG_FILE={path} can't be read: {type(error).__name__}. It must be ClearML's HOCON format."
        raise SettingsError(message) from None
    values = {name: tree.get(key, None) for name, key in KEYS.items()}
    return {name: str(value) for name, value in values.items() if value is not None and str(value).strip()}
