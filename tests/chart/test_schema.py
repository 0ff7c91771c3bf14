"""A typo or a wrong type fails the install, with a message that names it."""

import json
import runpy
from typing import Any

import pytest
import yaml
from helm_python.chart import lint
from helm_python.errors import HelmError

from tests.chart.charts import CHART, ENOUGH, chart, default_values, leaves, merged, nested, render

WRONG = [
    ("cleanup.deleteTresholdDays", 10, "deleteTresholdDays"),
    ("cleanup.deleteThresholdDays", -1, "/cleanup/deleteThresholdDays"),
    ("cleanup.deleteThresholdDays", "ten", "/cleanup/deleteThresholdDays"),
    ("cleanup.deleteThresholdDays", "", "/cleanup/deleteThresholdDays"),
    ("cleanup.forceDelete", "true", "/cleanup/forceDelete"),
    ("cleanup.forceDelete", 1, "/cleanup/forceDelete"),
    ("cleanup.projects", "a", "/cleanup/projects"),
    ("cleanup.projects", [""], "/cleanup/projects"),
    ("cleanup.types", ["trainign"], "/cleanup/types"),
    ("cleanup.externalFiles", "remove", "/cleanup/externalFiles"),
    ("cleanup.maxTasks", 0, "/cleanup/maxTasks"),
    ("cleanup.maxTasks", 1.5, "/cleanup/maxTasks"),
    ("cleanup.pageSize", 501, "/cleanup/pageSize"),
    ("cleanup.workers", 33, "/cleanup/workers"),
    ("cleanup.report", "", "/cleanup/report"),
    ("global.imageRegistry", 1, "/global/imageRegistry"),
    ("global.imagePullSecrets", [1], "/global/imagePullSecrets"),
    ("dryRunFirst", "yes", "/dryRunFirst"),
    ("namespaceOverride", "A b", "/namespaceOverride"),
    ("caBundle.configMap", "A b", "/caBundle/configMap"),
    ("caBundle.key", "", "/caBundle/key"),
    ("proxy.noProxy", "a,b", "/proxy/noProxy"),
    ("cleanup.storesVerifyCertificate", "ca.crt", "/cleanup/storesVerifyCertificate"),
    ("scheduel", "0 3 * * *", "scheduel"),
    ("schedule", "daily", "/schedule"),
    ("schedule", "0 3 * *", "/schedule"),
    ("schedule", "@every 1h", "/schedule"),
    ("schedule", "TZ=UTC 0 3 * * *", "/schedule"),
    ("timeZone", "Local", "/timeZone"),
    ("timeZone", "Europe Berlin", "/timeZone"),
    ("concurrencyPolicy", "forbid", "/concurrencyPolicy"),
    ("backoffLimit", -1, "/backoffLimit"),
    ("backoffLimit", "2", "/backoffLimit"),
    ("startingDeadlineSeconds", 5, "/startingDeadlineSeconds"),
    ("suspend", "no", "/suspend"),
    ("image", "clearml-cleanup:1", "/image"),
    ("image.repository", "", "/image/repository"),
    ("image.digest", "sha256:1", "/image/digest"),
    ("clearml.apiHost", "clearml-apiserver:8008", "/clearml/apiHost"),
    ("clearml.existingSecret", "Not A Name", "/clearml/existingSecret"),
    ("clearml.existingSecretKeys.acessKey", "x", "acessKey"),
    ("clearml.verifyCertificate", "yes", "/clearml/verifyCertificate"),
    ("serviceAccount.annotations", {"a": 1}, "/serviceAccount/annotations"),
    ("podLabels", {"a": True}, "/podLabels"),
    ("extraEnv", [{"value": "x"}], "/extraEnv"),
    ("extraEnv", {"A": "x"}, "/extraEnv"),
    ("resources.limit", {}, "limit"),
    ("tolerations", {}, "/tolerations"),
    ("networkPolicy.apiServerPorts", [0], "/networkPolicy/apiServerPorts"),
    ("sandbox.enable", True, "enable"),
    ("clearml.task.editable", ["wrokers"], "/clearml/task/editable/0"),
    ("clearml.task.editable", ["lease"], "/clearml/task/editable/0"),
    ("clearml.task.minThresholdDays", "soon", "/clearml/task/minThresholdDays"),
    ("clearml.task.project", "DevOps/ml", "/clearml/task/project"),
    ("clearml.task.project", "a/b/c", "/clearml/task/project"),
    ("clearml.task.project", "DevOps/ ab ", "/clearml/task/project"),
    ("clearml.task.project", "/", "/clearml/task/project"),
    ("sandbox.tasks", -1, "/sandbox/tasks"),
]


@pytest.mark.parametrize(("path", "value", "named"), WRONG)
def test_it_is_refused_by_name(path: str, value: Any, named: str) -> None:
    with pytest.raises(HelmError, match=named):
        render(ENOUGH, nested(path, value))


KUBERNETES_OWN = (
    "podSecurityContext",
    "securityContext",
    "podFailurePolicy",
    "resources.",
    "sandbox.resources.",
    "sweep.resources.",
)
"""What is below these is for Kubernetes to check."""


def test_every_value_of_a_wrong_kind_is_refused() -> None:
    """No value is a list of lists of lists."""
    for path in leaves(default_values()):
        if path.startswith(KUBERNETES_OWN):
            continue
        with pytest.raises(HelmError, match=path.rpartition(".")[2]):
            chart().validate_schema(merged(ENOUGH, nested(path, [[["nonsense"]]])))


def test_an_unknown_key_is_refused_in_every_section_of_ours() -> None:
    sections = {path.rpartition(".")[0] for path in leaves(default_values())} - {"global"}
    for section in sections:
        if section.startswith(KUBERNETES_OWN):
            continue
        with pytest.raises(HelmError, match="unheardOf"):
            chart().validate_schema(merged(ENOUGH, nested(f"{section}.unheardOf".strip("."), 1)))


def test_it_lets_charts_that_use_this_one_pass_their_globals() -> None:
    assert render(ENOUGH, {"global": {"anything": 1}})


def test_the_schema_was_made_from_the_settings_as_they_are() -> None:
    made = runpy.run_path(str(CHART.parent / "values_schema.py"))["values"]()
    assert json.loads((CHART / "values.schema.json").read_text()) == made, "run `make chart`"


@pytest.mark.parametrize("values", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.stem)
def test_lint_finds_nothing(values: Any) -> None:
    found = lint(CHART, yaml.safe_load(values.read_text()), strict=True)
    assert not [message for message in found["messages"] if message["severity"] > 1]
    assert not found["errors"]
