"""The least that works: Pod Security `restricted`, no token where none is needed, a Role of five rules."""

from typing import Any

import pytest

from tests.chart.charts import ENOUGH, SANDBOX, at, one, render

QUIET = {"lease": {"enabled": False}, "events": {"enabled": False}}


def pods(*values: dict[str, Any]) -> list[dict[str, Any]]:
    """The specs of all pods: of passes, of the sandbox, of `helm test`."""
    places = {"CronJob": "spec.jobTemplate.spec.template.spec", "Deployment": "spec.template.spec", "Pod": "spec"}
    return [at(item, places[item["kind"]]) for item in render(*values) if item["kind"] in places]


@pytest.mark.parametrize("pod", pods(SANDBOX), ids=["sandbox", "pass", "test"])
def test_pod_security_restricted(pod: dict[str, Any]) -> None:
    """The rules of the standard; a real API server holds the release to them too, in tests/e2e."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(pod)


def test_only_a_pass_has_a_token_and_only_for_lease_and_events() -> None:
    tokens = {pod["containers"][0]["name"] + str(pod["containers"][0].get("args", "")): pod for pod in pods(SANDBOX)}
    assert [pod["automountServiceAccountToken"] for pod in tokens.values()].count(True) == 1
    assert tokens["clearml-cleanup"]["automountServiceAccountToken"] is True
    assert not any(pod["automountServiceAccountToken"] for pod in pods(SANDBOX, QUIET))
    assert one("ServiceAccount", render(ENOUGH))["automountServiceAccountToken"] is False


def test_the_role_is_the_least_that_works() -> None:
    own = ["clearml-cleanup"]
    assert one("Role", render(ENOUGH))["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": own, "verbs": ["get", "update"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": ["batch"], "resources": ["cronjobs"], "resourceNames": own, "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]},
    ]


@pytest.mark.parametrize("events", [True, False])
def test_a_right_to_create_leases_only_where_passes_are_to_create_theirs(events: bool) -> None:
    """The pass reads the CronJob with the Lease's name, to which the Lease belongs."""
    creates = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}
    values = {"lease": {"create": True}, "events": {"enabled": events}}
    sweep = {"sweep": {"enabled": True, "stores": ["s3://b"]}}
    objects = render(ENOUGH, values, sweep)
    rules = one("Role", objects)["rules"]
    assert creates in rules
    cronjobs = sorted(item["metadata"]["name"] for item in objects if item["kind"] == "CronJob")
    assert {"apiGroups": ["batch"], "resources": ["cronjobs"], "resourceNames": cronjobs, "verbs": ["get"]} in rules
    assert rules[0]["resourceNames"] == cronjobs
    assert "Lease" not in {item["kind"] for item in objects}
    quiet = render(ENOUGH, values, {"lease": {"enabled": False}})
    assert creates not in [rule for item in quiet if item["kind"] == "Role" for rule in item["rules"]]


def test_no_role_where_nothing_is_asked_of_kubernetes() -> None:
    kinds = {item["kind"] for item in render(ENOUGH, QUIET)}
    assert not kinds & {"Role", "RoleBinding", "Lease"}


def test_no_variables_of_services_reach_a_pod() -> None:
    """A service named `cleanup…` would look like settings."""
    assert not any(pod["enableServiceLinks"] for pod in pods(SANDBOX))


def test_helm_test_only_reads() -> None:
    pod = one("Pod", render(ENOUGH))["spec"]
    container = pod["containers"][0]
    assert container["args"] == ["run", "--dry-run", "--max-tasks=1"]
    assert not {"CLEANUP_LEASE", "CLEANUP_CRONJOB"} & {entry["name"] for entry in container["env"]}
    assert pod["automountServiceAccountToken"] is False


def test_a_test_that_succeeded_leaves_nothing_for_an_uninstall_to_forget() -> None:
    annotations = one("Pod", render(ENOUGH))["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "test"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_there_is_never_more_than_one_sandbox() -> None:
    spec = one("Deployment", render(SANDBOX))["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


# -- network
def egress(*values: dict[str, Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = one("NetworkPolicy", render({"networkPolicy": {"enabled": True}}, *values))["spec"]["egress"]
    return rules


def ports(rule: dict[str, Any]) -> list[int]:
    return [entry["port"] for entry in rule["ports"]]


def test_names_clearml_and_kubernetes_are_reached_and_nothing_else() -> None:
    assert [ports(rule) for rule in egress(ENOUGH)] == [[53, 53], [8008, 8081], [443, 6443]]
    assert [ports(rule) for rule in egress(ENOUGH, QUIET)] == [[53, 53], [8008, 8081]]


@pytest.mark.parametrize(
    ("api", "files", "expected"),
    [
        ("https://api.example.com", "https://files.example.com", [443]),
        ("http://api.example.com", "https://files.example.com/x", [80, 443]),
        ("http://10.0.0.1:30008", "http://[fd00::1]:30081", [30008, 30081]),
    ],
)
def test_ports_follow_the_addresses(api: str, files: str, expected: list[int]) -> None:
    assert ports(egress(ENOUGH, {"clearml": {"apiHost": api, "filesHost": files}})[1]) == expected


def test_with_a_clearml_conf_the_addresses_are_asked_for() -> None:
    with pytest.raises(Exception, match=r"also set clearml\.apiHost and clearml\.filesHost"):
        egress({"clearml": {"existingConfigSecret": "conf"}})


def test_it_holds_passes_and_the_test_but_not_the_sandbox() -> None:
    policy = one("NetworkPolicy", render(SANDBOX, {"networkPolicy": {"enabled": True}}))
    expression = policy["spec"]["podSelector"]["matchExpressions"][0]
    assert expression == {"key": "app.kubernetes.io/component", "operator": "In", "values": ["job", "sweep", "test"]}
    cronjob = one("CronJob", render(SANDBOX))
    labels = at(cronjob, "spec.jobTemplate.spec.template.metadata.labels")
    assert labels["app.kubernetes.io/component"] == "job"
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
