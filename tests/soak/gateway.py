"""A real Pushgateway that the passes push to: how many series they leave there."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
Series = frozenset[tuple[str, frozenset[tuple[str, str]]]]
"""Names and labels."""


class Gateway:
    """A Pushgateway at an address that pods reach."""

    def __init__(self, url: str) -> None:
        self.url = url

    def series(self) -> Series:
        """What passes have pushed so far; the shards of a pass have the same ones."""
        with urlopen(f"{self.url}/metrics", timeout=10) as answer:  # noqa: S310 -- our own
            families = list(text_string_to_metric_families(answer.read().decode()))
        return frozenset(
            (sample.name, frozenset((label, value) for label, value in sample.labels.items() if label != "shard"))
            for family in families
            for sample in family.samples
            if sample.labels.get("job") == "clearml-cleanup"
        )


@contextmanager
def pushgateway(address: str, log: Path) -> Iterator[Gateway | None]:
    """One at a free port of this address; None where the program is not installed."""
    program = shutil.which(ROOT / ".venv/bin/pushgateway") or shutil.which("pushgateway")
    if program is None:
        yield None
        return
    with socket.create_server((address, 0)) as probe:
        port = probe.getsockname()[1]
    words = [program, f"--web.listen-address={address}:{port}", "--log.level=error"]
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True) as process:
        try:
            while process.poll() is None:
                with suppress(OSError), socket.create_connection((address, port), 5):
                    break
                time.sleep(0.1)
            yield Gateway(f"http://{address}:{port}")
        finally:
            process.terminate()
