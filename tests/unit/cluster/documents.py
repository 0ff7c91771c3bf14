"""Jobs, their pods and their warnings, as a cluster of Kubernetes 1.35 gave them for passes that were killed or never began."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

_RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> dict[str, Any]:
    """The `job`, its `pods` and the `events` of type Warning on both."""
    found: dict[str, Any] = json.loads((_RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def owned(job: dict[str, Any], cronjob: str = "nightly", uid: str = "u1") -> dict[str, Any]:
    """The same Job, made from a CronJob."""
    owned_job = deepcopy(job)
    owned_job["metadata"]["ownerReferences"] = [{"kind": "CronJob", "name": cronjob, "uid": uid}]
    return owned_job
