"""The sweep's CronJob on a real cluster: a manual Job from it looks at a volume, beside the embedded server."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clearml_sandbox.worlds.builder import World
from tests.e2e.release import IMAGE, Release

pytestmark = pytest.mark.e2e

GONE = "a" * 32
# The image's own Python fills the volume that the sweep then looks at.
FILL = """
import os, pathlib, sys
for task in sys.argv[1:]:
    file = pathlib.Path("/mnt/files/lab/exp." + task + "/models/w.pt")
    file.parent.mkdir(parents=True)
    file.write_text("12345")
    os.utime(file, (1_700_000_000, 1_700_000_000))
"""


def values(living: str, *, delete: bool) -> dict[str, Any]:
    mount = {"name": "files", "mountPath": "/mnt/files"}
    context = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    fill = {
        "name": "fill",
        "image": IMAGE,
        "command": ["python3", "-c", FILL, living, GONE],
        "volumeMounts": [mount],
        "securityContext": context,
    }
    return {
        "sandbox": {"enabled": True},
        "suspend": True,
        "sweep": {"enabled": True, "suspend": True, "stores": ["/mnt/files"], "delete": delete, "knownOneIn": 2},
        "extraVolumes": [{"name": "files", "emptyDir": {}}],
        "extraVolumeMounts": [mount],
        "initContainers": [fill],
    }


def test_a_manual_sweep_reports_and_deletes_only_when_told(namespace: str, tmp_path: Path) -> None:
    release = Release(namespace)
    world = World(datetime.now(UTC))
    living = world.task("living", archived=False)
    for delete in (False, True):
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values(living.id, delete=delete)))
        release.helm(
            "upgrade", "--install", release.name, "helm/clearml-cleanup", "--wait", "--timeout", "3m", "--values", str(file)
        )
        release.load(world.as_dict(), tmp_path)
        job = f"sweep-{str(delete).lower()}"
        release.kubectl("create", "job", f"--from=cronjob/{release.name}-sweep", job)
        assert release.ended(job) == "Complete"
        lines = [json.loads(line) for line in release.kubectl("logs", f"job/{job}").splitlines()]
        orphan, last = lines
        assert (orphan["path"], orphan["verdict"]) == (f"lab/exp.{GONE}", "deleted" if delete else "found")
        assert (last["folders"], last["known"], last["exit_code"]) == (2, 1, 0)
        assert release.summary(job)["folders"] == 2
    # The lease of its own was taken and let go of; a second CronJob does not confuse the commands.
    assert release.get("lease", f"{release.name}-sweep")["spec"].get("holderIdentity") in {None, ""}
    assert "clearml-cleanup" in release.cli("status", check=True).stdout
