"""The README's quick start, word for word."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.e2e.release import ROOT, command

pytestmark = pytest.mark.e2e


def quick_start() -> str:
    section = (ROOT / "README.md").read_text().split("\n## Quick start\n")[1].split("\n## ")[0]
    found = re.search(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_quick_start_does_what_it_says(kubeconfig: Path, namespace: str, tmp_path: Path) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    current = next(entry for entry in config["contexts"] if entry["name"] == config["current-context"])
    current["context"]["namespace"] = namespace
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    done = command("bash", "-euo", "pipefail", "-c", quick_start(), environment={"KUBECONFIG": str(tmp_path / "kubeconfig")})
    said = done.stdout
    assert re.search(r"Phase: +Succeeded", said)
    finished = next(json.loads(line) for line in said.splitlines() if line.startswith('{"schema"'))
    assert finished["event"] == "pass_finished"
    assert finished["deleted"] > 0
    assert re.search(r"Normal +CleanupCompleted .*Deleted \d+ tasks?", said)
    assert re.search(r"^clearml-cleanup +30 4 \* \* \* ", said, re.MULTILINE)
    assert 'release "clearml-cleanup" uninstalled' in said
