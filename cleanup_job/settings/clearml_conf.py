"""The connection as clearml.conf has it, and the addresses that ClearML's SDK derives from the API server's."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cleanup_job.errors import SettingsError
from cleanup_job.settings.model import TABLE
from cleanup_job.settings.sources import Given, Source

DERIVED = "derived from the API server's"
"""The origin of an address that is not set anywhere."""
_API_PORT = 8008
_DERIVED = (("files_host", 8081, "files."), ("web_host", 8080, "app."))
"""As the SDK has it: the port of each server where the API server has its own, and the beginning of its name."""

Parse = Callable[[Path], Any]
"""Reads a clearml.conf into a tree that has `get(key, default)`, with keys such as `api.api_server`. Only the SDK's own parser
reads these files as the SDK does, and only clearml_api may import it."""


class ClearMLConf(Source):
    """A clearml.conf: the one that is set, else the user's own."""

    def __init__(self, parse: Parse) -> None:
        super().__init__()
        self._parse = parse

    def read(self) -> Mapping[str, Given]:
        """The connection, as far as the file has it.

        Raises:
            SettingsError: the file is set but does not exist, or can't be read.
        """
        given = self.so_far("config_file")
        file = find(given)
        if file is None:
            if given is not None:
                raise SettingsError(f"{TABLE['config_file'].env}={given}: there is no such file. Correct it, or unset it.")
            return {}
        tree = self._parse(file)
        found = {entry.name: tree.get(entry.conf, None) for entry in TABLE.values() if entry.conf}
        return {name: (str(value), str(file)) for name, value in found.items() if value is not None and str(value).strip()}

    def where(self, name: str) -> str:
        """The key and the file."""
        return f"{TABLE[name].conf} in {super().where(name)}"


class DerivedAddresses(Source):
    """Addresses of the fileserver and the web server, derived from the API server's as ClearML's SDK does."""

    def read(self) -> Mapping[str, Given]:
        """Those that can be derived."""
        try:
            parts = urlsplit(str(self.so_far("api_host") or ""))
            port, host = parts.port, parts.hostname or ""
        except ValueError:
            return {}
        found = {}
        for name, own_port, own_name in _DERIVED:
            if port == _API_PORT:
                found[name] = parts.netloc.rpartition(":")[0] + f":{own_port}"
            elif host.startswith("api."):
                found[name] = own_name + parts.netloc.removeprefix("api.")
        return {name: (f"{parts.scheme}://{network}", DERIVED) for name, network in found.items()}


def find(given: str | Path | None) -> Path | None:
    """The clearml.conf to read: the one that is given, else the user's own; None where it does not exist."""
    file = Path(given or "~/clearml.conf")
    with suppress(RuntimeError):  # a user without a home has no file there
        file = file.expanduser()
    return file if file.is_file() else None
