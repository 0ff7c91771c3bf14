"""The real Pushgateway, and a sandbox with something to clean."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.conftest import filled, world  # noqa: F401 -- fixtures
from tests.stores.servers import free_port, needed, running

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class Gateway:
    """A Pushgateway, as Prometheus sees it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def series(self) -> Series:
        """All that was pushed: name and labels of each series, and its value."""
        with urlopen(f"{self.address}/metrics") as answer:  # noqa: S310 -- on loopback
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = (sample for family in families for sample in family.samples)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for sample in samples
            if sample.labels.get("job") == "clearml-cleanup"
        }

    def values(self, **labels: str) -> dict[str, Any]:
        """What was pushed with these labels, by the rest of the name; in a table where there is a label besides."""
        found: dict[str, Any] = {}
        for (name, all_labels), value in self.series().items():
            own = {key: text for key, text in all_labels if key not in {"job", "instance", "release", "namespace", "shard"}}
            if labels.items() <= dict(all_labels).items():
                short = name.removeprefix("clearml_cleanup_").removeprefix("last_")
                if own:
                    found.setdefault(short, {})[next(iter(own.values()))] = value
                else:
                    found[short] = value
        return found

    def wipe(self) -> None:
        request = Request(f"{self.address}/api/v1/admin/wipe", method="PUT")  # noqa: S310 -- on loopback
        urlopen(request).close()  # noqa: S310 -- on loopback


@pytest.fixture(scope="session")
def pushgateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    port, log = free_port(), tmp_path_factory.mktemp("pushgateway") / "log"
    command = [needed("pushgateway"), f"--web.listen-address=127.0.0.1:{port}", "--web.enable-admin-api", "--log.level=error"]
    with running(command, port, Path(log)):
        yield Gateway(f"http://127.0.0.1:{port}")


@pytest.fixture
def gateway(pushgateway: Gateway, no_proxy: None) -> Gateway:
    """It, with nothing pushed; what a test runs pushes to it."""
    pushgateway.wipe()
    return pushgateway
