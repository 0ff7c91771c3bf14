"""The addresses of one fileserver, and the path on it that a URI names. No I/O."""

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from cleanup_job.planning.paths import Location, read_as
from cleanup_job.storage.fileserver_client import NAME

PORTS = {"http": 80, "https": 443}
_NOT_IN_A_HOST = frozenset("#?\\")


class Addresses:
    """Finds the path of a URI below any of the addresses under which records name the fileserver."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._roots = tuple(dict.fromkeys(map(_root, addresses)))
        self._paths_at = lru_cache(1024)(self._find_paths)  # needed for each output

    def locate(self, uri: str) -> Location | None:
        """The unquoted path of a URI below one of the addresses; None if it is not below any of them."""
        scheme, mark, rest = uri.partition("://")
        if not mark or scheme.lower() not in PORTS:
            return None
        network, _, path = rest.partition("/")
        below = "/" + path.lstrip("/")
        for root in self._paths_at(scheme.lower(), network):
            if below.startswith(root + "/"):
                return read_as(NAME, below[len(root) + 1 :].lstrip("/"), quoted=True)
        return None

    def _find_paths(self, scheme: str, network: str) -> tuple[str, ...]:
        """The paths of those addresses that are at this host."""
        if not _NOT_IN_A_HOST.isdisjoint(network):  # programs disagree on which host such an address names
            return ()
        return tuple(path for at_scheme, at, path in self._roots if scheme == at_scheme and _network(scheme, network) == at)


def _root(address: str) -> tuple[str, str, str]:
    """An address in parts: scheme, host with port, and path without a trailing slash."""
    parts = urlsplit(address)
    return parts.scheme, _network(parts.scheme, parts.netloc), parts.path.rstrip("/")


def _network(scheme: str, network: str) -> str:
    """Host and port in a form that can be compared: in lower case, with the port, without a user."""
    host = network.rpartition("@")[2].lower()
    return host if host.rpartition(":")[2].isdigit() and ":" in host else f"{host}:{PORTS[scheme]}"
