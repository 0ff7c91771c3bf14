"""The plain parts of `builder`: records as ClearML Server 2.3.0 returns them, paths as the SDK 2.1.12 makes them.

Which fields a record has, and which it lacks, is taken from the recorded worlds of the conformance set.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import md5
from typing import Any
from urllib.parse import quote

from clearml_sandbox.store import COMPANY, Document, api_time

_PATH_PART = {ord(c): f"0x{ord(c):02x}" for c in "#\"';?:@&=+$,%!\r\n"} | {ord("/"): ".slash."}


def task_times(status: str, changed: datetime) -> Document:
    """The times that a task of this status has, and no others: a draft that never ran lacks `status_changed`."""
    times: Document = {"created": api_time(changed - timedelta(hours=3))}
    if status != "created":
        times["status_changed"] = api_time(changed)
    if status == "in_progress":
        times["started"] = api_time(changed)
    elif status not in ("created", "queued"):
        published = status == "published"
        times["started"] = api_time(changed - timedelta(hours=2))
        times["completed"] = api_time(changed - timedelta(hours=1)) if published else api_time(changed)
        times["active_duration"] = 3600 if published else 7200  # seconds
        if published:
            times["published"] = api_time(changed)
    return times


def task_record(task_id: str, user_id: str, **fields: Any) -> Document:
    """A task without outputs; `fields` add to the blank record or replace what it holds."""
    return {
        "id": task_id,
        "company": COMPANY,
        "user": user_id,
        "status_reason": "",
        "status_message": "",
        "report_assets": [],
        "output": {},
        "execution": {"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []},
        "tags": [],
        "system_tags": [],
        "script": {"binary": "python", "repository": "", "branch": "main", "entry_point": "x.py", "requirements": {}},
        "last_iteration": 0,
        "last_metrics": {},
        "unique_metrics": [],
        "metric_stats": {},
        "hyperparams": {},
        "configuration": {},
        "runtime": {},
        "models": {"input": [], "output": []},
        "container": {},
        "last_changed_by": user_id,
        **fields,
    }


def model_record(model_id: str, user_id: str, created: str, **fields: Any) -> Document:
    """A model, created and last changed at one time."""
    return {
        "id": model_id,
        "company": COMPANY,
        "user": user_id,
        "created": created,
        "tags": [],
        "system_tags": [],
        "framework": "PyTorch",
        "design": {},
        "labels": {},
        "ready": False,
        "last_update": created,
        "last_change": created,
        "last_changed_by": user_id,
        "metadata": {},
        "last_iteration": 0,
        "last_metrics": {},
        **fields,
    }


def project_record(project_id: str, created: str, name: str, parent: Document | None) -> Document:
    """A project; those right below `.datasets` and `.pipelines` are hidden."""
    folder, _, basename = name.rpartition("/")
    tags = {".datasets": ["dataset", "hidden"], ".pipelines": ["hidden", "pipeline"]}
    return {
        "id": project_id,
        "company": COMPANY,
        "user": "__tests__",
        "name": name,
        "basename": basename,
        "description": "",
        "created": created,
        "tags": [],
        "system_tags": tags.get(folder.rpartition("/")[2], []),
        "last_update": created,
        "featured": 9999,
        **({"parent": parent["id"]} if parent else {}),
        "path": [*parent["path"], parent["id"]] if parent else [],
    }


def queue_record(queue_id: str, created: str, name: str = "default") -> Document:
    """A queue, empty; the one called default is the default."""
    return {
        "id": queue_id,
        "name": name,
        "company": COMPANY,
        "created": created,
        "tags": [],
        "system_tags": ["default"] if name == "default" else [],
        "entries": [],
        "last_update": created,
        "metadata": {},
    }


def dataset_struct(versions: Sequence[tuple[Document, Sequence[str]]]) -> Document:
    """The "Dataset Struct" in a version's configuration: the version and all its ancestors, each with its parents' ids.

    In the text `parents` are keys of the same struct, not ids (clearml's Dataset._repair_dependency_graph).
    """
    keys = {version["id"]: str(number) for number, (version, _) in enumerate(versions)}
    struct = {
        keys[version["id"]]: {
            "job_id": version["id"],
            "status": version["status"],
            "last_update": int(datetime.fromisoformat(version["last_update"]).timestamp()),
            "parents": [keys[parent] for parent in parents],
            "job_size": version["runtime"]["ds_total_size"],
            "name": version["name"],
            "version": version["runtime"]["version"],
        }
        for version, parents in versions
    }
    about = {"name": "Dataset Struct", "type": "json", "description": "Structure of the dataset"}
    return {**about, "value": json.dumps(struct, indent=2)}


def scalar_summary(metric: str, variant: str, values: Sequence[float]) -> Document:
    """What `last_metrics` in a task's record tells of a series of numbers."""
    summary = {"metric": metric, "variant": variant, "value": values[-1]}
    for word, value in (("min", min(values)), ("max", max(values)), ("first", values[0])):
        summary |= {f"{word}_value": value, f"{word}_value_iteration": values.index(value)}
    return {**summary, "count": len(values), "mean_value": sum(values) / len(values)}


def task_folder(project: Document, name: str, task_id: str) -> str:
    """The folder that the SDK writes to, as the unquoted path on the fileserver or the key in a bucket.

    The SDK quotes special characters in the very name of the folder; a URI of the fileserver quotes that once more
    (clearml's Task._get_output_destination_suffix, and quote_url).
    """
    project_name = str(project["name"])
    if len(project_name) >= 256:
        project_name = f"{project_name[:223]}.{project['id']}"
    return quote(f"{project_name}/{name[:95]}.{task_id}", safe="'[]{}()$^,.; -_+-=/")


def path_part(name: str) -> str:
    """The name of an artifact, metric or file as one part of a path (clearml's UploadEvent._replace_slash)."""
    return name.replace("\\", "/").strip("/").translate(_PATH_PART)


@lru_cache(maxsize=1024)
def metric_key(name: str) -> str:
    """The key of a metric or a variant in a task's record."""
    return md5(name.encode(), usedforsecurity=False).hexdigest()
