"""Each value of values.yaml, set to something else, and where it shows in the objects."""

from typing import Any

import pytest

from tests.chart.charts import CONTAINER, ENOUGH, POD, SANDBOX, at, default_values, leaves, merged, nested, one, render

JOB = "spec.jobTemplate"
NETWORK = {"networkPolicy": {"enabled": True}}
TASK = {"clearml": {"task": {"enabled": True}}}
DEPLOYMENT = "spec.template.spec.containers.0"
SECURITY = f"{CONTAINER}.securityContext"
LABELS = {"team": "ml"}

# value, what it is set to, the kind of object where it shows, the place in it, what is there
SHOWS: list[tuple[str, Any, str, str, Any]] = [
    ("nameOverride", "sweeper", "CronJob", "metadata.name", "clearml-cleanup-sweeper"),
    ("fullnameOverride", "sweeper", "CronJob", "metadata.name", "sweeper"),
    ("global.imageRegistry", "mirror", "CronJob", f"{CONTAINER}.image", "mirror/clearml-cleanup/clearml-cleanup:0.1.0"),
    ("global.imagePullSecrets", ["pull"], "CronJob", f"{POD}.imagePullSecrets", [{"name": "pull"}]),
    ("dryRunFirst", False, "ConfigMap", "data.CLEANUP_DRY_RUN", "false"),
    ("namespaceOverride", "other", "CronJob", "metadata.namespace", "other"),
    ("commonAnnotations", LABELS, "ConfigMap", "metadata.annotations", LABELS),
    ("commonLabels", LABELS, "ServiceAccount", "metadata.labels.team", "ml"),
    (
        "image.registry",
        "registry.example.com",
        "CronJob",
        f"{CONTAINER}.image",
        "registry.example.com/clearml-cleanup/clearml-cleanup:0.1.0",
    ),
    ("image.repository", "own/image", "CronJob", f"{CONTAINER}.image", "ghcr.io/own/image:0.1.0"),
    ("image.repository", "registry.example.com/own", "CronJob", f"{CONTAINER}.image", "registry.example.com/own:0.1.0"),
    ("image.repository", "localhost/own", "CronJob", f"{CONTAINER}.image", "localhost/own:0.1.0"),
    ("image.repository", "mirror:5000/own", "CronJob", f"{CONTAINER}.image", "mirror:5000/own:0.1.0"),
    ("image.tag", "1.2.3", "CronJob", f"{CONTAINER}.image", "ghcr.io/clearml-cleanup/clearml-cleanup:1.2.3"),
    (
        "image.digest",
        "sha256:" + "a" * 64,
        "CronJob",
        f"{CONTAINER}.image",
        "ghcr.io/clearml-cleanup/clearml-cleanup@sha256:" + "a" * 64,
    ),
    ("image.pullPolicy", "Always", "CronJob", f"{CONTAINER}.imagePullPolicy", "Always"),
    ("imagePullSecrets", [{"name": "pull"}], "CronJob", f"{POD}.imagePullSecrets.0.name", "pull"),
    ("schedule", "0 4 * * 1", "CronJob", "spec.schedule", "0 4 * * 1"),
    ("timeZone", "Europe/Berlin", "CronJob", "spec.timeZone", "Europe/Berlin"),
    ("suspend", True, "CronJob", "spec.suspend", True),
    ("concurrencyPolicy", "Replace", "CronJob", "spec.concurrencyPolicy", "Replace"),
    ("startingDeadlineSeconds", 60, "CronJob", "spec.startingDeadlineSeconds", 60),
    ("successfulJobsHistoryLimit", 0, "CronJob", "spec.successfulJobsHistoryLimit", 0),
    ("failedJobsHistoryLimit", 0, "CronJob", "spec.failedJobsHistoryLimit", 0),
    ("backoffLimit", 0, "CronJob", f"{JOB}.spec.backoffLimit", 0),
    ("activeDeadlineSeconds", 1000000, "CronJob", f"{JOB}.spec.activeDeadlineSeconds", 1000000),
    ("ttlSecondsAfterFinished", 0, "CronJob", f"{JOB}.spec.ttlSecondsAfterFinished", 0),
    ("terminationGracePeriodSeconds", 0, "CronJob", f"{POD}.terminationGracePeriodSeconds", 0),
    ("podFailurePolicy.rules", [{"action": "Count"}], "CronJob", f"{JOB}.spec.podFailurePolicy.rules", [{"action": "Count"}]),
    ("clearml.apiHost", "https://api.example.com", "ConfigMap", "data.CLEARML_API_HOST", "https://api.example.com"),
    ("clearml.filesHost", "https://files.example.com", "ConfigMap", "data.CLEARML_FILES_HOST", "https://files.example.com"),
    ("clearml.webHost", "https://app.example.com", "ConfigMap", "data.CLEARML_WEB_HOST", "https://app.example.com"),
    ("clearml.filesUrlPrefixes", ["https://old"], "ConfigMap", "data.CLEANUP_FILES_URL_PREFIXES", '["https://old"]'),
    ("clearml.verifyCertificate", False, "ConfigMap", "data.CLEARML_API_HOST_VERIFY_CERT", "false"),
    ("clearml.existingSecret", "other", "CronJob", f"{CONTAINER}.env.0.valueFrom.secretKeyRef.name", "other"),
    ("clearml.existingSecretKeys.accessKey", "user", "CronJob", f"{CONTAINER}.env.0.valueFrom.secretKeyRef.key", "user"),
    ("clearml.existingSecretKeys.secretKey", "pass", "CronJob", f"{CONTAINER}.env.1.valueFrom.secretKeyRef.key", "pass"),
    ("clearml.existingConfigSecret", "conf", "CronJob", f"{POD}.volumes.0.secret.secretName", "conf"),
    ("caBundle.configMap", "ca", "CronJob", f"{POD}.volumes.0.configMap.name", "ca"),
    ("caBundle.secret", "ca", "CronJob", f"{POD}.volumes.0.secret.secretName", "ca"),
    ("proxy.httpProxy", "http://proxy:3128", "ConfigMap", "data.HTTP_PROXY", "http://proxy:3128"),
    ("proxy.httpsProxy", "http://proxy:3128", "ConfigMap", "data.HTTPS_PROXY", "http://proxy:3128"),
    ("lease.enabled", False, "Role", "rules.0.resources", ["events"]),
    ("events.enabled", False, "Role", "rules.1", None),
    ("serviceAccount.name", "mine", "CronJob", f"{POD}.serviceAccountName", "mine"),
    ("serviceAccount.annotations", {"a/b": "c"}, "ServiceAccount", "metadata.annotations", {"a/b": "c"}),
    ("serviceAccount.labels", LABELS, "ServiceAccount", "metadata.labels.team", "ml"),
    ("serviceAccount.automount", True, "ServiceAccount", "automountServiceAccountToken", True),
    ("labels", LABELS, "CronJob", "metadata.labels.team", "ml"),
    ("annotations", LABELS, "CronJob", "metadata.annotations", LABELS),
    ("jobLabels", LABELS, "CronJob", f"{JOB}.metadata.labels.team", "ml"),
    ("jobAnnotations", LABELS, "CronJob", f"{JOB}.metadata.annotations", LABELS),
    ("podLabels", LABELS, "CronJob", f"{JOB}.spec.template.metadata.labels.team", "ml"),
    ("podAnnotations", LABELS, "CronJob", f"{JOB}.spec.template.metadata.annotations.team", "ml"),
    ("extraArgs", ["--workers=2"], "CronJob", f"{CONTAINER}.args", ["run", "--workers=2"]),
    ("extraEnv", [{"name": "HTTPS_PROXY", "value": "x"}], "CronJob", f"{CONTAINER}.env.4.name", "HTTPS_PROXY"),
    ("envFrom", [{"secretRef": {"name": "x"}}], "CronJob", f"{CONTAINER}.envFrom.0.secretRef.name", "x"),
    ("extraVolumes", [{"name": "ca", "emptyDir": {}}], "CronJob", f"{POD}.volumes.0", {"name": "ca", "emptyDir": {}}),
    (
        "extraVolumeMounts",
        [{"name": "ca", "mountPath": "/ca"}],
        "CronJob",
        f"{CONTAINER}.volumeMounts.0",
        {"name": "ca", "mountPath": "/ca"},
    ),
    ("initContainers", [{"name": "wait", "image": "x"}], "CronJob", f"{POD}.initContainers.0.name", "wait"),
    ("extraContainers", [{"name": "proxy", "image": "x"}], "CronJob", f"{POD}.containers.1.name", "proxy"),
    ("lifecycle", {"preStop": {"sleep": {"seconds": 1}}}, "CronJob", f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 1),
    ("resources.requests.cpu", "1", "CronJob", f"{CONTAINER}.resources.requests.cpu", "1"),
    ("resources.requests.memory", "1Gi", "CronJob", f"{CONTAINER}.resources.requests.memory", "1Gi"),
    ("resources.requests.ephemeral-storage", "1Gi", "CronJob", f"{CONTAINER}.resources.requests.ephemeral-storage", "1Gi"),
    ("resources.limits.memory", "1Gi", "CronJob", f"{CONTAINER}.resources.limits.memory", "1Gi"),
    ("resources.limits.ephemeral-storage", "1Gi", "CronJob", f"{CONTAINER}.resources.limits.ephemeral-storage", "1Gi"),
    ("nodeSelector", {"disk": "ssd"}, "CronJob", f"{POD}.nodeSelector", {"disk": "ssd"}),
    ("tolerations", [{"key": "gpu"}], "CronJob", f"{POD}.tolerations", [{"key": "gpu"}]),
    ("affinity", {"nodeAffinity": {}}, "CronJob", f"{POD}.affinity", {"nodeAffinity": {}}),
    ("topologySpreadConstraints", [{"maxSkew": 1}], "CronJob", f"{POD}.topologySpreadConstraints", [{"maxSkew": 1}]),
    ("priorityClassName", "low", "CronJob", f"{POD}.priorityClassName", "low"),
    ("runtimeClassName", "gvisor", "CronJob", f"{POD}.runtimeClassName", "gvisor"),
    ("hostAliases", [{"ip": "10.0.0.1"}], "CronJob", f"{POD}.hostAliases", [{"ip": "10.0.0.1"}]),
    ("dnsPolicy", "None", "CronJob", f"{POD}.dnsPolicy", "None"),
    ("dnsConfig", {"nameservers": ["10.0.0.2"]}, "CronJob", f"{POD}.dnsConfig", {"nameservers": ["10.0.0.2"]}),
    ("podSecurityContext.runAsNonRoot", False, "CronJob", f"{POD}.securityContext.runAsNonRoot", False),
    ("podSecurityContext.runAsUser", 10001, "CronJob", f"{POD}.securityContext.runAsUser", 10001),
    ("podSecurityContext.runAsGroup", 10001, "CronJob", f"{POD}.securityContext.runAsGroup", 10001),
    ("podSecurityContext.fsGroup", 10001, "CronJob", f"{POD}.securityContext.fsGroup", 10001),
    (
        "podSecurityContext.seccompProfile.type",
        "Localhost",
        "CronJob",
        f"{POD}.securityContext.seccompProfile.type",
        "Localhost",
    ),
    ("securityContext.allowPrivilegeEscalation", True, "CronJob", f"{SECURITY}.allowPrivilegeEscalation", True),
    ("securityContext.readOnlyRootFilesystem", False, "CronJob", f"{SECURITY}.readOnlyRootFilesystem", False),
    ("securityContext.privileged", True, "CronJob", f"{SECURITY}.privileged", True),
    ("securityContext.capabilities.drop", ["NET_RAW"], "CronJob", f"{SECURITY}.capabilities.drop", ["NET_RAW"]),
    (
        "extraObjects",
        [{"kind": "Pod", "metadata": {"name": "{{ .Release.Name }}x"}}],
        "Pod",
        "metadata.name",
        "clearml-cleanupx",
    ),
]
"""Values with objects of their own (Secret, Role, NetworkPolicy, sandbox) follow below."""

WITH = [
    ({"clearml": {"accessKey": "a"}}, "clearml.secretKey", "s", "Secret", "stringData.secretKey", "s"),
    ({"clearml": {"secretKey": "s"}}, "clearml.accessKey", "a", "Secret", "stringData.accessKey", "a"),
    (
        {"clearml": {"existingConfigSecret": "conf"}},
        "clearml.existingConfigSecretKey",
        "own.conf",
        "CronJob",
        f"{POD}.volumes.0.secret.items.0.key",
        "own.conf",
    ),
    ({"caBundle": {"secret": "ca"}}, "caBundle.key", "own.pem", "CronJob", f"{POD}.volumes.0.secret.items.0.key", "own.pem"),
    (
        {"proxy": {"httpProxy": "http://proxy:3128"}},
        "proxy.noProxy",
        [".example.com"],
        "CronJob",
        f"{CONTAINER}.env.2.value",
        (
            "localhost,127.0.0.1,$(KUBERNETES_SERVICE_HOST),kubernetes.default,.svc,.cluster.local,"
            "clearml-apiserver,clearml-fileserver,clearml-webserver,.example.com"
        ),
    ),
    ({}, "shards", 4, "CronJob", f"{JOB}.spec.completions", 4),
    ({}, "clearml.task.enabled", True, "ConfigMap", "data.CLEANUP_TASK", "true"),
    (TASK, "clearml.task.mode", "agent", "ConfigMap", "data.CLEANUP_TASK_MODE", "agent"),
    (TASK, "clearml.task.queue", "cpu", "ConfigMap", "data.CLEANUP_TASK_QUEUE", "cpu"),
    (TASK, "clearml.task.project", "Ops", "ConfigMap", "data.CLEANUP_TASK_PROJECT", "Ops"),
    (TASK, "clearml.task.required", False, "ConfigMap", "data.CLEANUP_TASK_REQUIRED", "false"),
    (TASK, "clearml.task.name", "Nightly", "ConfigMap", "data.CLEANUP_TASK_NAME", "Nightly"),
    (TASK, "clearml.task.runsKept", 7, "ConfigMap", "data.CLEANUP_TASK_RUNS_KEPT", "7"),
    (
        TASK,
        "clearml.task.editable",
        ["workers", "projects"],
        "ConfigMap",
        "data.CLEANUP_TASK_EDITABLE",
        '["workers","projects"]',
    ),
    (TASK, "clearml.task.minThresholdDays", 7, "ConfigMap", "data.CLEANUP_TASK_MIN_THRESHOLD_DAYS", "7"),
    (TASK, "clearml.task.allowForceDelete", True, "ConfigMap", "data.CLEANUP_TASK_ALLOW_FORCE_DELETE", "true"),
    (TASK, "clearml.task.requirement", "x @ y", "ConfigMap", "data.CLEANUP_TASK_REQUIREMENT", "x @ y"),
    ({}, "networkPolicy.enabled", True, "NetworkPolicy", "spec.policyTypes", ["Ingress", "Egress"]),
    (NETWORK, "networkPolicy.clearmlPeers", [{"podSelector": {}}], "NetworkPolicy", "spec.egress.1.to", [{"podSelector": {}}]),
    (NETWORK, "networkPolicy.apiServerPorts", [16443], "NetworkPolicy", "spec.egress.2.ports.0.port", 16443),
    (NETWORK, "networkPolicy.apiServerPeers", [{"ipBlock": {}}], "NetworkPolicy", "spec.egress.2.to", [{"ipBlock": {}}]),
    (NETWORK, "networkPolicy.extraEgress", [{"to": []}], "NetworkPolicy", "spec.egress.3", {"to": []}),
    ({}, "sandbox.enabled", True, "Deployment", "metadata.name", "clearml-cleanup-sandbox"),
    (
        SANDBOX,
        "sandbox.image.registry",
        "other",
        "Deployment",
        f"{DEPLOYMENT}.image",
        "other/clearml-cleanup/clearml-cleanup:0.1.0-sandbox",
    ),
    (SANDBOX, "sandbox.image.repository", "own", "Deployment", f"{DEPLOYMENT}.image", "ghcr.io/own:0.1.0-sandbox"),
    (SANDBOX, "sandbox.image.tag", "1", "Deployment", f"{DEPLOYMENT}.image", "ghcr.io/clearml-cleanup/clearml-cleanup:1"),
    (
        SANDBOX,
        "sandbox.image.digest",
        "sha256:" + "b" * 64,
        "Deployment",
        f"{DEPLOYMENT}.image",
        "ghcr.io/clearml-cleanup/clearml-cleanup@sha256:" + "b" * 64,
    ),
    (SANDBOX, "sandbox.tasks", 1000000, "Deployment", f"{DEPLOYMENT}.args.4", "--tasks=1000000"),
    (SANDBOX, "sandbox.seed", 2000000, "Deployment", f"{DEPLOYMENT}.args.5", "--seed=2000000"),
    (SANDBOX, "sandbox.latencyMs", 2.5, "Deployment", f"{DEPLOYMENT}.args.6", "--latency-ms=2.5"),
    (SANDBOX, "sandbox.resources.requests.cpu", "2", "Deployment", f"{DEPLOYMENT}.resources.requests.cpu", "2"),
    (SANDBOX, "sandbox.resources.requests.memory", "2Gi", "Deployment", f"{DEPLOYMENT}.resources.requests.memory", "2Gi"),
    (
        SANDBOX,
        "sandbox.resources.requests.ephemeral-storage",
        "2Gi",
        "Deployment",
        f"{DEPLOYMENT}.resources.requests.ephemeral-storage",
        "2Gi",
    ),
    (SANDBOX, "sandbox.resources.limits.memory", "2Gi", "Deployment", f"{DEPLOYMENT}.resources.limits.memory", "2Gi"),
    (
        SANDBOX,
        "sandbox.resources.limits.ephemeral-storage",
        "2Gi",
        "Deployment",
        f"{DEPLOYMENT}.resources.limits.ephemeral-storage",
        "2Gi",
    ),
]
WITHOUT = [
    ("serviceAccount.create", False, "ServiceAccount"),
    ("rbac.create", False, "Role"),
    ("rbac.create", False, "RoleBinding"),
    ("lease.enabled", False, "Lease"),
    ("lease.create", True, "Lease"),
]
ELSEWHERE = ("cleanup.", "sweep.", "metrics.", "notify.", "polic", "existingPolicies")
"""tests/chart/test_settings.py, test_sweep.py, test_metrics.py, test_messages.py and test_policies.py have these."""


def named(table: list[Any], index: int) -> list[Any]:
    return [pytest.param(*row, id=row[index]) for row in table]


def show(kind: str, objects: list[dict[str, Any]], place: str) -> Any:
    tests = [item for item in objects if "helm.sh/hook" in item["metadata"].get("annotations", {})]
    return at(one(kind, [item for item in objects if item not in tests]), place)


@pytest.mark.parametrize(("value", "set_to", "kind", "place", "stands"), named(SHOWS, 0))
def test_a_value_shows(value: str, set_to: Any, kind: str, place: str, stands: Any) -> None:
    given = nested(value, set_to)
    assert show(kind, render(ENOUGH, given), place) == stands
    if kind != "Pod":
        assert show(kind, render(ENOUGH), place) != stands, "the default shows the same: nothing is tested"


@pytest.mark.parametrize(("others", "value", "set_to", "kind", "place", "stands"), named(WITH, 1))
def test_a_value_shows_with_others(others: dict[str, Any], value: str, set_to: Any, kind: str, place: str, stands: Any) -> None:
    enough = {} if "Key" in value and "existing" not in value else ENOUGH
    assert show(kind, render(enough, others, nested(value, set_to)), place) == stands


@pytest.mark.parametrize(("value", "set_to", "kind"), named(WITHOUT, 2))
def test_an_object_can_be_left_out(value: str, set_to: Any, kind: str) -> None:
    assert one(kind, render(ENOUGH))
    assert kind not in {item["kind"] for item in render(ENOUGH, nested(value, set_to))}


def test_every_value_is_tried() -> None:
    tried = [row[0] for row in SHOWS] + [row[1] for row in WITH] + [row[0] for row in WITHOUT]
    there = {path for path in leaves(default_values()) if not path.startswith(ELSEWHERE)}
    assert there == set(tried)


@pytest.mark.parametrize(
    "value",
    [
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "podFailurePolicy",
    ],
)
def test_null_leaves_a_field_to_kubernetes(value: str) -> None:
    cronjob = one("CronJob", render(ENOUGH, {value: None}))
    assert value not in cronjob["spec"]
    assert value not in cronjob["spec"]["jobTemplate"]["spec"]


def test_the_sandbox_takes_the_registry_of_the_job() -> None:
    objects = render(SANDBOX, nested("image.registry", "registry.example.com"))
    assert (
        at(one("Deployment", objects), f"{DEPLOYMENT}.image")
        == "registry.example.com/clearml-cleanup/clearml-cleanup:0.1.0-sandbox"
    )


def test_the_sandbox_is_placed_like_the_job() -> None:
    place = {"imagePullSecrets": [{"name": "pull"}], "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu"}]}
    pod = one("Deployment", render(SANDBOX, place))["spec"]["template"]["spec"]
    assert place == {name: pod[name] for name in place}


def test_objects_can_be_given_as_text_too() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: '{{ .Release.Name }}-x'}"
    assert at(one("Service", render(ENOUGH, {"extraObjects": [text]})), "metadata.name") == "clearml-cleanup-x"


def test_without_a_service_account_the_default_one_is_used() -> None:
    objects = render(ENOUGH, merged(nested("serviceAccount.create", value=False)))
    assert at(one("CronJob", objects), f"{POD}.serviceAccountName") == "default"
    assert at(one("RoleBinding", objects), "subjects.0.name") == "default"
