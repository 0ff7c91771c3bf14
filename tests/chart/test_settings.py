"""`cleanup:` and `clearml:` become the job's variables; the job itself reads them back here."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.settings.model import TABLE, Settings, env_name
from cleanup_job.settings.sources import load
from tests.chart.charts import CONTAINER, ENOUGH, IN_EARNEST, POD, SANDBOX, at, default_values, nested, one, render, variables

KEYS = {"CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}
SET_BY_THE_CHART = {"files_url_prefixes", "lease", "lease_namespace", "cronjob", "release", "job", "job_uid", "shards", "shard"}
OF_OTHERS = {"Connection", "Sweep", "ClearML task", "Metrics", "Messages", "Policies"}
OF_A_PASS = [name for name, entry in TABLE.items() if entry.heading not in OF_OTHERS]
UNDER_CLEANUP = [name for name in OF_A_PASS if name not in SET_BY_THE_CHART]

CHANGED: dict[str, Any] = {
    "delete_threshold_days": 0,
    "force_delete": True,
    "archived_for_days": 0.5,
    "projects": ["a,b", "team/*"],
    "exclude_projects": ["c"],
    "tags": ["old"],
    "exclude_tags": ["keep"],
    "keep_tags": ["gold", "a,b"],
    "keep_projects": ["golden"],
    "threshold_rules": ["playground/*=7", "vision=never"],
    "types": ["training"],
    "statuses": ["failed"],
    "exclude_statuses": ["published"],
    "users": ["me"],
    "exclude_users": ["you"],
    "include_hidden": True,
    "include_pipeline_steps": True,
    "protect_used_datasets": True,
    "protect_linked_artifacts": "pipelines",
    "keep_model_tags": ["production"],
    "delete_empty_projects": True,
    "max_tasks": 10000000,
    "refuse_above": 10000000,
    "refuse_above_percent": 0.5,
    "refuse_above_bytes": 500000000000,
    "deadline_seconds": 0.5,
    "max_tasks_per_second": 0.5,
    "mounted_folders": ["/mnt/share"],
    "stores_verify_certificate": False,
    "external_files": "delete",
    "on_file_error": "delete_record",
    "missing_files": "delete_record",
    "unknown_stores": "delete_record",
    "dry_run": True,
    "page_size": 1,
    "batch_size": 1,
    "workers": 1,
    "max_requests_in_flight": 1,
    "request_timeout_seconds": 600000,
    "attempts": 1,
    "lease_wait_seconds": 0,
    "log_format": "json",
    "log_level": "error",
    "task_log_level": "debug",
    "report": ["report-{started}.html", "report.csv"],
    "audit": "s3://bucket/audit",
    "audit_records": False,
    "run_as_service": True,
}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def read(*layers: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """What the job makes of the ConfigMap."""
    return load({}, variables(render(ENOUGH, IN_EARNEST, *layers)) | KEYS)


def test_the_chart_has_every_setting_and_no_other() -> None:
    assert sorted(default_values()["cleanup"]) == sorted(map(camel, UNDER_CLEANUP))


def test_defaults_are_those_of_the_job() -> None:
    settings, _ = read()
    for name in OF_A_PASS:
        if name not in {"lease", "cronjob"}:
            assert settings.value(name) == TABLE[name].default, name


@pytest.mark.parametrize("name", [name for name in UNDER_CLEANUP if name != "cleanup_period_in_days"])
def test_a_setting_reaches_the_job(name: str) -> None:
    value = CHANGED[name]
    settings, origins = read(nested(f"cleanup.{camel(name)}", value))
    got = settings.value(name)
    assert (list(got) if isinstance(got, tuple) else got) == value
    assert origins[name] == env_name(name)


def test_one_report_may_be_a_text() -> None:
    assert read(nested("cleanup.report", "report.html"))[0].output.report == ("report.html",)


@pytest.mark.parametrize("name", UNDER_CLEANUP)
def test_null_keeps_the_default_of_the_job(name: str) -> None:
    _, origins = read(nested(f"cleanup.{camel(name)}", None))
    assert origins[name] == "default"


def test_the_period_and_the_switch_of_the_original_are_not_warned_of() -> None:
    _, origins = read(nested("cleanup.cleanupPeriodInDays", 7))
    assert origins["cleanup_period_in_days"] == origins["run_as_service"] == "default"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip), min_size=1, max_size=4))
def test_no_name_of_a_project_is_bent_on_its_way(projects: list[str]) -> None:
    settings, _ = read(nested("cleanup.projects", projects))
    assert settings.filters.projects == tuple(name.strip() for name in projects)


# -- connection
def test_without_addresses_the_services_of_clearmls_own_chart() -> None:
    settings, _ = read()
    assert settings.connection.api_host == "http://clearml-apiserver:8008"
    assert settings.connection.files_host == "http://clearml-fileserver:8081"
    assert settings.connection.web_host == "http://clearml-webserver:8080"


def test_a_bucket_may_stand_in_for_the_fileserver_and_has_no_port_of_its_own() -> None:
    bucket = nested("clearml.filesHost", "s3://bucket/base")
    assert read(bucket)[0].connection.fileserver is None
    policy = one("NetworkPolicy", render(ENOUGH, bucket, {"networkPolicy": {"enabled": True}}))
    assert [port["port"] for port in at(policy, "spec.egress.1.ports")] == [8008]


def test_addresses_are_templates() -> None:
    settings, _ = read(nested("clearml.apiHost", "http://{{ .Release.Namespace }}-apiserver:8008"))
    assert settings.connection.api_host == "http://ml-apiserver:8008"


def test_a_ca_bundle_is_a_path() -> None:
    objects = render(ENOUGH, nested("clearml.verifyCertificate", "/ca/ca.crt"))
    assert variables(objects)["CLEARML_API_HOST_VERIFY_CERT"] == "/ca/ca.crt"


def test_a_clearml_conf_is_mounted_and_what_is_not_set_comes_from_it() -> None:
    conf = {"clearml": {"existingConfigSecret": "conf"}}
    objects = render(conf)
    assert not [name for name in variables(objects) if name.startswith("CLEARML_")]
    container = at(one("CronJob", objects), CONTAINER)
    assert {"name": "CLEARML_CONFIG_FILE", "value": "/etc/clearml/clearml.conf"} in container["env"]
    assert container["volumeMounts"] == [{"name": "clearml-conf", "mountPath": "/etc/clearml", "readOnly": True}]
    assert not [entry for entry in container["env"] if entry["name"] in KEYS]
    volume = at(one("CronJob", objects), f"{POD}.volumes.0.secret")
    assert volume["defaultMode"] == 0o440  # for the pod's group, which is the job's
    assert volume["items"] == [{"key": "clearml.conf", "path": "clearml.conf"}]
    both = render(conf, nested("clearml.filesHost", "http://files:8081"), ENOUGH)
    assert variables(both)["CLEARML_FILES_HOST"] == "http://files:8081"
    assert [entry["name"] for entry in at(one("CronJob", both), CONTAINER)["env"]][:3] == [*KEYS, "CLEARML_CONFIG_FILE"]


def test_the_sandbox_is_what_the_job_cleans_whatever_else_is_set() -> None:
    objects = render(SANDBOX, {"clearml": {"apiHost": "https://real", "accessKey": "real", "secretKey": "real"}})
    found = variables(objects)
    assert found["CLEARML_API_HOST"] == "http://clearml-cleanup-sandbox:8008"
    assert found["CLEARML_FILES_HOST"] == "http://clearml-cleanup-sandbox:8081"
    assert "real" not in str(objects)
    assert one("Secret", objects)["stringData"] == {"accessKey": "sandbox-key", "secretKey": "sandbox-secret"}


def test_a_clearml_conf_is_not_mounted_beside_the_sandbox() -> None:
    objects = render(
        SANDBOX,
        {"clearml": {"existingConfigSecret": "conf", "existingSecret": "real", "existingSecretKeys": {"accessKey": "own"}}},
    )
    assert at(one("CronJob", objects), f"{POD}.volumes") is None
    assert at(one("CronJob", objects), f"{CONTAINER}.env.0.valueFrom.secretKeyRef") == {
        "name": "clearml-cleanup",
        "key": "accessKey",
    }


def test_lease_and_cronjob_are_named_for_the_job() -> None:
    entries = at(one("CronJob", render(ENOUGH)), f"{CONTAINER}.env")
    assert {"name": "CLEANUP_LEASE", "value": "clearml-cleanup"} in entries
    assert {"name": "CLEANUP_CRONJOB", "value": "clearml-cleanup"} in entries
    off = {"lease": {"enabled": False}, "events": {"enabled": False}}
    entries = at(one("CronJob", render(ENOUGH, off)), f"{CONTAINER}.env")
    assert [entry["name"] for entry in entries] == list(KEYS)


def test_a_clearml_conf_alone_is_all_that_a_pass_is_told_of() -> None:
    off = {"lease": {"enabled": False}, "events": {"enabled": False}}
    container = at(one("CronJob", render({"clearml": {"existingConfigSecret": "conf"}}, off)), CONTAINER)
    assert [entry["name"] for entry in container["env"]] == ["CLEARML_CONFIG_FILE"]
