"""Texts of values are templates, where they have `{{`; everything else stays as it is."""

from typing import Any

import pytest
from helm_python.errors import HelmError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chart.charts import CONTAINER, ENOUGH, POD, at, merged, nested, one, render, variables

NAME = "{{ .Release.Name }}-x"
SWEEP = {"sweep": {"enabled": True}}
TASK = {"clearml": {"task": {"enabled": True}}}
JOB = "spec.jobTemplate"
NETWORK = {"networkPolicy": {"enabled": True}}

# value, what it is set to, the kind of object where it shows, the place in it
RENDERED: list[tuple[str, Any, str, str]] = [
    ("global.imageRegistry", NAME, "CronJob", f"{CONTAINER}.image"),
    ("image.repository", NAME, "CronJob", f"{CONTAINER}.image"),
    ("imagePullSecrets", [{"name": NAME}], "CronJob", f"{POD}.imagePullSecrets"),
    ("global.imagePullSecrets", [NAME], "CronJob", f"{POD}.imagePullSecrets"),
    ("namespaceOverride", NAME, "ConfigMap", "metadata.namespace"),
    ("commonLabels", {"a": NAME}, "ConfigMap", "metadata.labels"),
    ("commonLabels", {NAME: "a"}, "ConfigMap", "metadata.labels"),
    ("commonAnnotations", {"a": NAME}, "ConfigMap", "metadata.annotations"),
    ("labels", {"a": NAME}, "CronJob", "metadata.labels"),
    ("annotations", {"a": NAME}, "CronJob", "metadata.annotations"),
    ("jobLabels", {"a": NAME}, "CronJob", f"{JOB}.metadata.labels"),
    ("jobAnnotations", {"a": NAME}, "CronJob", f"{JOB}.metadata.annotations"),
    ("podLabels", {"a": NAME}, "CronJob", f"{JOB}.spec.template.metadata.labels"),
    ("podAnnotations", {"a": NAME}, "CronJob", f"{JOB}.spec.template.metadata.annotations"),
    ("serviceAccount.name", NAME, "CronJob", f"{POD}.serviceAccountName"),
    ("serviceAccount.name", NAME, "RoleBinding", "subjects"),
    ("serviceAccount.labels", {"a": NAME}, "ServiceAccount", "metadata.labels"),
    ("serviceAccount.annotations", {"a": NAME}, "ServiceAccount", "metadata.annotations"),
    ("clearml.apiHost", f"https://{NAME}", "ConfigMap", "data.CLEARML_API_HOST"),
    ("clearml.filesHost", f"https://{NAME}", "ConfigMap", "data.CLEARML_FILES_HOST"),
    ("clearml.webHost", f"https://{NAME}", "ConfigMap", "data.CLEARML_WEB_HOST"),
    ("clearml.filesUrlPrefixes", [f"https://{NAME}"], "ConfigMap", "data.CLEANUP_FILES_URL_PREFIXES"),
    ("clearml.verifyCertificate", f"/{NAME}", "ConfigMap", "data.CLEARML_API_HOST_VERIFY_CERT"),
    ("clearml.existingSecret", NAME, "CronJob", f"{CONTAINER}.env"),
    ("clearml.existingConfigSecret", NAME, "CronJob", f"{POD}.volumes"),
    ("clearml.task.project", NAME, "ConfigMap", "data.CLEANUP_TASK_PROJECT"),
    ("clearml.task.name", NAME, "ConfigMap", "data.CLEANUP_TASK_NAME"),
    ("clearml.task.queue", NAME, "ConfigMap", "data.CLEANUP_TASK_QUEUE"),
    ("clearml.task.requirement", NAME, "ConfigMap", "data.CLEANUP_TASK_REQUIREMENT"),
    ("caBundle.configMap", NAME, "CronJob", f"{POD}.volumes"),
    ("caBundle.secret", NAME, "CronJob", f"{POD}.volumes"),
    ("proxy.httpProxy", f"http://{NAME}", "ConfigMap", "data.http_proxy"),
    ("proxy.httpsProxy", f"http://{NAME}", "ConfigMap", "data.https_proxy"),
    ("cleanup.report", ['s3://{{ printf "%s-x" .Release.Name }}/a.html'], "ConfigMap", "data.CLEANUP_REPORT"),
    ("cleanup.audit", f"s3://{NAME}", "ConfigMap", "data.CLEANUP_AUDIT"),
    ("cleanup.mountedFolders", [f"/{NAME}"], "ConfigMap", "data.CLEANUP_MOUNTED_FOLDERS"),
    ("cleanup.storesVerifyCertificate", f"/{NAME}", "ConfigMap", "data.CLEANUP_STORES_VERIFY_CERTIFICATE"),
    ("extraArgs", [f"--report={NAME}"], "CronJob", f"{CONTAINER}.args"),
    ("extraEnv", [{"name": "A", "value": NAME}], "CronJob", f"{CONTAINER}.env"),
    ("envFrom", [{"secretRef": {"name": NAME}}], "CronJob", f"{CONTAINER}.envFrom"),
    ("extraVolumes", [{"name": "a", "configMap": {"name": NAME}}], "CronJob", f"{POD}.volumes"),
    ("extraVolumeMounts", [{"name": "a", "mountPath": f"/{NAME}"}], "CronJob", f"{CONTAINER}.volumeMounts"),
    ("initContainers", [{"name": "a", "image": NAME}], "CronJob", f"{POD}.initContainers"),
    ("extraContainers", [{"name": "a", "image": NAME}], "CronJob", f"{POD}.containers"),
    ("lifecycle", {"preStop": {"exec": {"command": [NAME]}}}, "CronJob", f"{CONTAINER}.lifecycle"),
    ("nodeSelector", {"a": NAME}, "CronJob", f"{POD}.nodeSelector"),
    ("tolerations", [{"key": NAME}], "CronJob", f"{POD}.tolerations"),
    ("affinity", {"podAffinity": {"a": NAME}}, "CronJob", f"{POD}.affinity"),
    ("topologySpreadConstraints", [{"topologyKey": NAME}], "CronJob", f"{POD}.topologySpreadConstraints"),
    ("priorityClassName", NAME, "CronJob", f"{POD}.priorityClassName"),
    ("runtimeClassName", NAME, "CronJob", f"{POD}.runtimeClassName"),
    ("hostAliases", [{"ip": "10.0.0.1", "hostnames": [NAME]}], "CronJob", f"{POD}.hostAliases"),
    ("dnsConfig", {"searches": [NAME]}, "CronJob", f"{POD}.dnsConfig"),
    ("networkPolicy.clearmlPeers", [{"a": NAME}], "NetworkPolicy", "spec.egress"),
    ("networkPolicy.apiServerPeers", [{"a": NAME}], "NetworkPolicy", "spec.egress"),
    ("networkPolicy.extraEgress", [{"a": NAME}], "NetworkPolicy", "spec.egress"),
]


@pytest.mark.parametrize(("value", "set_to", "kind", "place"), RENDERED, ids=[row[0] for row in RENDERED])
def test_a_text_with_braces_is_rendered(value: str, set_to: Any, kind: str, place: str) -> None:
    given = merged(ENOUGH, NETWORK if kind == "NetworkPolicy" else {}, TASK if ".task." in value else {}, nested(value, set_to))
    found = one(kind, [item for item in render(given, name="prod") if "hook" not in str(item["metadata"])])
    assert "prod-x" in str(at(found, place))
    assert "{{" not in str(found)


def test_a_sweep_renders_its_own() -> None:
    own = {"stores": [f"s3://{NAME}"], "extraArgs": [f"--report={NAME}"], "fileserver": {"existingClaim": NAME}}
    sweep = next(
        item for item in render(ENOUGH, SWEEP, {"sweep": own}, name="prod") if item["metadata"]["name"].endswith("-sweep")
    )
    assert "{{" not in str(sweep)
    assert str(sweep).count("prod-x") == 3


def test_types_survive_and_so_does_every_text_without_braces() -> None:
    affinity = {
        "nodeAffinity": {"preferred": [{"weight": 1000000, "x": 0.5, "on": True, "none": None, "text": "{ a: 'b' } # \n<&>"}]}
    }
    assert at(one("CronJob", render(ENOUGH, {"affinity": affinity})), f"{POD}.affinity") == affinity


def test_what_a_template_gives_stays_one_text() -> None:
    """It is not read as YAML again."""
    env = [
        {"name": "A", "value": "{{ 1 }}"},
        {"name": "B", "value": '{{ "a: b\\n- #c" }}'},
        {"name": "C", "value": '{{ "{{" }} x }}'},
    ]
    found = at(one("CronJob", render(ENOUGH, {"extraEnv": env})), f"{CONTAINER}.env")
    assert {entry["name"]: entry.get("value") for entry in found[-3:]} == {"A": "1", "B": "a: b\n- #c", "C": "{{ x }}"}


PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"])).filter(lambda text: "{{" not in text)


@settings(max_examples=25)
@given(PLAIN)
def test_a_text_without_braces_stays_as_it_is(text: str) -> None:
    given = {"podAnnotations": {"a": text}, "extraEnv": [{"name": "A", "value": text}]}
    cronjob = one("CronJob", render(ENOUGH, given))
    assert at(cronjob, "spec.jobTemplate.spec.template.metadata.annotations.a") == text
    assert at(cronjob, f"{CONTAINER}.env")[-1] == {"name": "A", "value": text}


@pytest.mark.parametrize(
    "name", ["projects", "excludeProjects", "keepProjects", "tags", "excludeTags", "keepTags", "keepModelTags", "users"]
)
def test_names_in_clearml_are_no_templates(name: str) -> None:
    """A project may be called so, and must stay protected."""
    found = variables(render(ENOUGH, nested(f"cleanup.{name}", ["{{ golden }}"])))
    assert '["{{ golden }}"]' in found.values()


def test_a_template_that_can_not_be_rendered_fails_the_install() -> None:
    with pytest.raises(HelmError, match="nonsense"):
        render(ENOUGH, {"podAnnotations": {"a": "{{ nonsense }}"}})
