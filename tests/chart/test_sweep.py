"""The second CronJob: sweeps for files without a record."""

from typing import Any

import pytest
from helm_python.errors import HelmError

from cleanup_job.settings.model import Settings
from cleanup_job.settings.sources import load
from tests.chart.charts import (
    CONTAINER,
    ENOUGH,
    IN_EARNEST,
    POD,
    at,
    default_values,
    files,
    leaves,
    merged,
    nested,
    one,
    render,
)

STORES = nested("sweep.stores", ["s3://bucket/clearml"])
CLAIM = nested("sweep.fileserver.existingClaim", "fileserver-data")
ON = merged(ENOUGH, IN_EARNEST, nested("sweep.enabled", value=True), STORES)
JOB = "spec.jobTemplate.spec"

# value, what it is set to, the place in the CronJob, what is there
SHOWS: list[tuple[str, Any, str, Any]] = [
    ("schedule", "0 1 * * *", "spec.schedule", "0 1 * * *"),
    ("suspend", True, "spec.suspend", True),
    ("extraArgs", ["--workers=2"], f"{CONTAINER}.args", ["sweep", "--workers=2"]),
    ("backoffLimit", 2, f"{JOB}.backoffLimit", 2),
    ("activeDeadlineSeconds", 1000000, f"{JOB}.activeDeadlineSeconds", 1000000),
    ("fileserver.existingClaim", "data", f"{POD}.volumes.0.persistentVolumeClaim.claimName", "data"),
    ("podSecurityContext", {"runAsUser": 0, "runAsNonRoot": False}, f"{POD}.securityContext.runAsUser", 0),
    ("resources.requests.cpu", "2", f"{CONTAINER}.resources.requests.cpu", "2"),
    ("resources.requests.memory", "2Gi", f"{CONTAINER}.resources.requests.memory", "2Gi"),
    ("resources.requests.ephemeral-storage", "2Gi", f"{CONTAINER}.resources.requests.ephemeral-storage", "2Gi"),
    ("resources.limits.memory", "2Gi", f"{CONTAINER}.resources.limits.memory", "2Gi"),
    ("resources.limits.ephemeral-storage", "2Gi", f"{CONTAINER}.resources.limits.ephemeral-storage", "2Gi"),
]
OTHERS = {"enabled", "stores", "delete", "graceDays", "knownOneIn", "refuseAbove", "fileserver.mountPath", "fileserver.subPath"}
"""Values with a test of their own."""


def cronjob(*values: dict[str, Any]) -> dict[str, Any]:
    objects = [item for item in render(ON, *values) if item["kind"] == "CronJob"]
    return next(item for item in objects if item["metadata"]["labels"].get("app.kubernetes.io/component") == "sweep")


def settings(*values: dict[str, Any]) -> Settings:
    """What the job makes of its variables."""
    given = {entry["name"]: entry.get("value", "x") for entry in at(cronjob(*values), f"{CONTAINER}.env")}
    return load({}, one("ConfigMap", render(ON, *values))["data"] | given)[0]


@pytest.mark.parametrize(("value", "set_to", "place", "stands"), SHOWS, ids=[row[0] for row in SHOWS])
def test_a_value_shows(value: str, set_to: Any, place: str, stands: Any) -> None:
    assert at(cronjob(nested(f"sweep.{value}", set_to)), place) == stands
    assert at(cronjob(), place) != stands, "the default shows the same: nothing is tested"


def test_every_value_is_tried() -> None:
    assert set(leaves(default_values()["sweep"])) == {row[0] for row in SHOWS} | OTHERS


def test_there_is_none_unless_it_is_wanted() -> None:
    assert len([item for item in render(ENOUGH) if item["kind"] in {"CronJob", "Lease"}]) == 2
    assert len([item for item in render(ON) if item["kind"] in {"CronJob", "Lease"}]) == 4


def test_its_settings_reach_the_job() -> None:
    assert at(cronjob(), f"{CONTAINER}.args") == ["sweep"]
    default = settings()
    assert (default.sweep.sweep_stores, default.sweep.sweep_delete) == (("s3://bucket/clearml",), False)
    assert (default.sweep.sweep_grace_days, default.sweep.sweep_known_one_in, default.sweep.sweep_refuse_above) == (30, 10, 0.5)
    given = {"delete": True, "graceDays": 1.5, "knownOneIn": 1000000, "refuseAbove": 0, "stores": ["gs://a,b", "/mnt/x"]}
    changed = settings({"sweep": given})
    assert (changed.sweep.sweep_stores, changed.sweep.sweep_delete) == (("gs://a,b", "/mnt/x"), True)
    assert (changed.sweep.sweep_grace_days, changed.sweep.sweep_known_one_in, changed.sweep.sweep_refuse_above) == (
        1.5,
        1_000_000,
        0,
    )


def test_the_fileservers_volume_is_a_store_and_read_only_unless_it_deletes() -> None:
    both = settings(CLAIM)
    assert both.sweep.sweep_stores == ("s3://bucket/clearml", "/mnt/fileserver")
    alone = settings(CLAIM, nested("sweep.stores", []), nested("sweep.fileserver.mountPath", "/srv/files"))
    assert alone.sweep.sweep_stores == ("/srv/files",)
    for delete in (False, True):
        found = cronjob(CLAIM, nested("sweep.delete", delete), nested("sweep.fileserver.subPath", "fileserver"))
        claim = {"claimName": "fileserver-data", "readOnly": not delete}
        assert at(found, f"{POD}.volumes") == [{"name": "fileserver", "persistentVolumeClaim": claim}]
        assert at(found, f"{CONTAINER}.volumeMounts") == [
            {"name": "fileserver", "mountPath": "/mnt/fileserver", "readOnly": not delete, "subPath": "fileserver"}
        ]
    a_pass = next(
        item for item in render(ON, CLAIM) if item["kind"] == "CronJob" and item["metadata"]["name"] == "clearml-cleanup"
    )
    assert at(a_pass, f"{POD}.volumes") is None
    assert not any("SWEEP" in entry["name"] for entry in at(a_pass, f"{CONTAINER}.env"))


def test_it_has_a_lease_of_its_own_and_leaves_no_event() -> None:
    names = {entry["name"]: entry.get("value") for entry in at(cronjob(), f"{CONTAINER}.env")}
    assert names["CLEANUP_LEASE"] == "clearml-cleanup-sweep"
    assert "CLEANUP_CRONJOB" not in names
    assert "clearml-cleanup-sweep" in {item["metadata"]["name"] for item in render(ON) if item["kind"] == "Lease"}
    assert one("Role", render(ON))["rules"][0]["resourceNames"] == ["clearml-cleanup", "clearml-cleanup-sweep"]
    quiet = cronjob(nested("lease.enabled", value=False))
    assert at(quiet, f"{POD}.automountServiceAccountToken") is False
    assert "CLEANUP_LEASE" not in str(quiet)


@pytest.mark.parametrize("name", ["x" * 52, "a-name-that-is-cut-at-a-dash-after-46-letters-xx-yyyy", "short"])
def test_its_name_fits_a_cronjobs_52_characters(name: str) -> None:
    found: str = cronjob({"fullnameOverride": name})["metadata"]["name"]
    assert len(found) <= 52
    assert found.endswith("-sweep")
    assert "--sweep" not in found


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (nested("sweep.stores", []), "sweep.stores"),
        (nested("sweep.graceDays", 0), "graceDays"),
        (nested("sweep.knownOneIn", 0), "knownOneIn"),
        (nested("sweep.refuseAbove", 1.5), "refuseAbove"),
        (nested("sweep.stores", ["http://files:8081"]), "stores"),
        (nested("sweep.schedule", ""), "schedule"),
        (nested("sweep.grace", 1), "grace"),
    ],
)
def test_values_that_can_not_be_are_named(values: dict[str, Any], text: str) -> None:
    with pytest.raises(HelmError, match=text):
        render(ON, values)


def test_the_notes_tell_how_to_sweep_now() -> None:
    line = "--from=cronjob/clearml-cleanup-sweep clearml-cleanup-sweep-manual"
    assert line in files(ON)["NOTES.txt"]
    assert line not in files(ENOUGH)["NOTES.txt"]
