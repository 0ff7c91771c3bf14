"""The chart's values.schema.json, printed: its `cleanup` part comes from the settings themselves, the rest is here."""

import json
from typing import Any

from cleanup_job.settings.model import TABLE, names, schema_of
from cleanup_job.settings.policy_schema import json_schema
from cleanup_job.settings.scopes import Scope

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
OBJECTS: Schema = {"type": "array", "items": OBJECT}
LABELS: Schema = {"type": "object", "additionalProperties": STRING}
TEMPLATE = r"\{\{.*\}\}"
"""Text that the chart renders: only then is known what it is."""
ADDRESS: Schema = {"type": "string", "pattern": rf"^$|^https?://\S+$|{TEMPLATE}"}
FILES_HOST: Schema = {"type": "string", "pattern": rf"^$|^(https?|s3|gs|azure|file)://\S+$|^/\S+$|{TEMPLATE}"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
DNS_LABEL: Schema = {"type": "string", "pattern": "^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
DNS_NAME: Schema = {"type": "string", "pattern": rf"^$|^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$|{TEMPLATE}"}
NAMESPACE: Schema = {"type": "string", "pattern": rf"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?$|{TEMPLATE}"}
NAME: Schema = {"type": "string", "minLength": 3}
PROJECT: Schema = {"type": "string", "pattern": r"^/*\s*[^\s/][^/]+[^\s/]\s*(/+\s*[^\s/][^/]+[^\s/]\s*)*/*$"}
"""A project's name as `settings.text.project_name` accepts it: three characters or more in each part, blanks aside."""
NAMED: Schema = {"type": "array", "items": {"type": "object", "required": ["name"]}}
PATH: Schema = {"type": "string", "pattern": rf"^/|{TEMPLATE}"}
TEXTS: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
PULL_SECRETS: Schema = {
    "type": "array",
    "items": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "required": ["name"]}]},
}
PROXY: Schema = {"type": "string", "pattern": rf"^$|^https?://\S+$|{TEMPLATE}"}
VERIFY: Schema = {"anyOf": [BOOLEAN, PATH]}
SECRET_KEY: Schema = {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"}

ALERTS = tuple(f"ClearMLCleanup{what}" for what in ("Stale", "Failed", "Unseen", "LeftGrows", "UnknownStores", "FreesNothing"))
"""Alerts that `metrics.prometheusRule.disabledAlerts` may name."""


def whole(minimum: int, *, none: bool = False) -> Schema:
    """A whole number from ``minimum`` on, or null."""
    return {"type": ["integer", "null"] if none else "integer", "minimum": minimum}


def one_of(*values: str) -> Schema:
    """One of these words."""
    return {"enum": list(values)}


def section(**properties: Schema) -> Schema:
    """An object that has these keys and no others: a typo is an error."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def camel(name: str) -> str:
    """``delete_threshold_days`` as the chart writes it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def setting(schema: Schema) -> Schema:
    """A setting's own schema; null keeps the job's default."""
    kinds = schema.get("anyOf", [schema])
    if {"boolean", "string"} <= {kind.get("type") for kind in kinds}:
        return {"anyOf": [{"type": ["boolean", "null"]}, PATH], "description": schema["description"]}
    kind = next(kind for kind in kinds if kind.get("type") != "null")
    known = ("type", "enum", "minimum", "exclusiveMinimum", "maximum", "pattern", "maxLength")
    made = {name: kind[name] for name in known if name in kind}
    if "enum" in made:
        return {"enum": [*made["enum"], None], "description": schema["description"]}
    if made["type"] == "string":
        made["minLength"] = 1
    if made["type"] == "number":
        # `--set` reads 1.0 as a string. The job checks the bounds of these.
        number = made | {"type": ["number", "null"]}
        return {"anyOf": [number, {"type": "string", "pattern": r"^\d+(\.\d+)?$"}], "description": schema["description"]}
    if made["type"] == "array":
        item = kind["items"]
        made["items"] = {"enum": item["enum"]} if "enum" in item else {"type": "string", "minLength": 1}
    return made | {"type": [made["type"], "null"], "description": schema["description"]}


def cleanup() -> Schema:
    """Every setting of a pass that the chart does not set itself, or have under another key."""
    made = section(**{camel(name): setting(schema_of(name)) for name in names(lambda entry: entry.chart)})
    made["properties"]["report"] |= {"type": ["array", "string", "null"], "minLength": 1}  # one file may be a text
    return made


def editable() -> list[str]:
    """Settings that ``clearml.task.editable`` may list, as the chart and as ClearML write them."""
    parameters = names(lambda entry: entry.scope is Scope.JOB)
    return list(dict.fromkeys(written for name in parameters for written in (camel(name), name)))


def image(**more: Schema) -> Schema:
    """Where an image is found."""
    digest = {"type": "string", "pattern": "^$|^sha256:[0-9a-f]{64}$"}
    return section(registry=STRING, repository={"type": "string", "minLength": 1}, tag=STRING, digest=digest, **more)


def prometheus_rule() -> Schema:
    """The alerts."""
    return section(
        enabled=BOOLEAN,
        namespace=NAMESPACE,
        labels=LABELS,
        annotations=LABELS,
        ruleLabels=LABELS,
        severity={"type": "string", "minLength": 1},
        staleAfterSchedules={"type": "number", "minimum": 1},
        leftGrowsDays={"type": "number", "minimum": 1},
        freesNothingNights=whole(1),
        disabledAlerts={"type": "array", "items": one_of(*ALERTS)},
        additionalRules=OBJECTS,
        runbookUrl={"type": "string", "pattern": r"^$|^https?://\S+$"},
    )


def dashboard() -> Schema:
    """The ConfigMap for Grafana's sidecar."""
    return section(enabled=BOOLEAN, namespace=NAMESPACE, labels=LABELS, annotations=LABELS)


def values() -> Schema:
    """The schema of the whole values.yaml."""
    # Five fields, or a macro. Kubernetes refuses a time zone in the schedule: that is what `timeZone` is for.
    schedule = {
        "type": "string",
        "pattern": r"^$|^@(hourly|daily|midnight|weekly|monthly|yearly|annually)$|^[^\s=@]+(\s+[^\s=]+){4}$",
    }
    resources = section(requests=OBJECT, limits=OBJECT, claims=OBJECTS)
    # A chart that uses this one may have more under `global`.
    shared = {"type": "object", "properties": {"imageRegistry": STRING, "imagePullSecrets": PULL_SECRETS}}
    file = json_schema()
    properties = section(
        **{"global": shared},
        dryRunFirst=BOOLEAN,
        nameOverride=DNS_LABEL,
        fullnameOverride=DNS_LABEL,
        namespaceOverride=NAMESPACE,
        commonLabels=LABELS,
        commonAnnotations=LABELS,
        image=image(pullPolicy=one_of("IfNotPresent", "Always", "Never")),
        imagePullSecrets=PULL_SECRETS,
        schedule=schedule,
        timeZone={"type": "string", "pattern": r"^$|^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", "not": {"const": "Local"}},
        suspend=BOOLEAN,
        concurrencyPolicy=one_of("Forbid", "Replace", "Allow"),
        # Kubernetes looks every ten seconds: with less, a schedule could always be missed.
        shards=whole(1) | {"maximum": 100},
        startingDeadlineSeconds=whole(10, none=True),
        successfulJobsHistoryLimit=whole(0, none=True),
        failedJobsHistoryLimit=whole(0, none=True),
        backoffLimit=whole(0, none=True),
        activeDeadlineSeconds=whole(1, none=True),
        ttlSecondsAfterFinished=whole(0, none=True),
        terminationGracePeriodSeconds=whole(0),
        podFailurePolicy={"type": ["object", "null"]},
        clearml=section(
            apiHost=ADDRESS,
            filesHost=FILES_HOST,
            webHost=ADDRESS,
            filesUrlPrefixes={"type": "array", "items": {"type": "string", "pattern": rf"^https?://\S+$|{TEMPLATE}"}},
            verifyCertificate=VERIFY,
            accessKey=STRING,
            secretKey=STRING,
            existingSecret=DNS_NAME,
            existingSecretKeys=section(accessKey=SECRET_KEY, secretKey=SECRET_KEY),
            existingConfigSecret=DNS_NAME,
            existingConfigSecretKey=SECRET_KEY,
            task=section(
                enabled=BOOLEAN,
                mode=one_of("pod", "agent"),
                queue=NAME,
                project=PROJECT,
                name=NAME,
                editable={"type": "array", "items": {"enum": editable()}},
                minThresholdDays=setting(schema_of("task_min_threshold_days")),
                allowForceDelete=BOOLEAN,
                required=BOOLEAN,
                runsKept=whole(1) | {"maximum": 400},
                requirement=STRING,
            ),
        ),
        caBundle=section(configMap=DNS_NAME, secret=DNS_NAME, key=SECRET_KEY),
        proxy=section(httpProxy=PROXY, httpsProxy=PROXY, noProxy=TEXTS),
        cleanup=cleanup(),
        policies={name: part for name, part in file["properties"]["policies"].items() if name != "minItems"},
        policyTaskTags=file["properties"]["task_tags"],
        existingPoliciesConfigMap=DNS_NAME,
        existingPoliciesConfigMapKey=SECRET_KEY,
        sweep=section(
            enabled=BOOLEAN,
            schedule=schedule | {"minLength": 1},
            suspend=BOOLEAN,
            stores={"type": "array", "items": {"type": "string", "pattern": rf"^(s3|gs|azure|file)://.|^/.|{TEMPLATE}"}},
            delete=BOOLEAN,
            graceDays={"type": "number", "minimum": 1},
            knownOneIn=whole(1),
            refuseAbove={"type": "number", "minimum": 0, "maximum": 1},
            extraArgs=TEXTS,
            backoffLimit=whole(0),
            activeDeadlineSeconds=whole(1, none=True),
            fileserver=section(existingClaim=DNS_NAME, mountPath={"type": "string", "pattern": "^/."}, subPath=STRING),
            podSecurityContext=OBJECT,
            resources=resources,
        ),
        lease=section(enabled=BOOLEAN, create=BOOLEAN),
        events=section(enabled=BOOLEAN),
        notify=section(
            urls={"type": "array", "items": {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$"}},
            existingSecret=DNS_NAME,
            existingSecretKey=SECRET_KEY,
            when={"type": "array", "items": one_of(*TABLE["notify_when"].choices)},
            ports={"type": "array", "items": PORT, "minItems": 1},
        ),
        metrics=section(
            pushgateway=section(url=ADDRESS, existingSecret=DNS_NAME, existingSecretKey=SECRET_KEY, verifyCertificate=VERIFY),
            otlp=section(endpoint=ADDRESS),
            prometheusRule=prometheus_rule(),
            dashboard=dashboard(),
        ),
        serviceAccount=section(create=BOOLEAN, name=DNS_NAME, annotations=LABELS, labels=LABELS, automount=BOOLEAN),
        rbac=section(create=BOOLEAN),
        labels=LABELS,
        annotations=LABELS,
        jobLabels=LABELS,
        jobAnnotations=LABELS,
        podLabels=LABELS,
        podAnnotations=LABELS,
        extraArgs=TEXTS,
        extraEnv=NAMED,
        envFrom=OBJECTS,
        extraVolumes=NAMED,
        extraVolumeMounts={"type": "array", "items": {"type": "object", "required": ["name", "mountPath"]}},
        initContainers=NAMED,
        extraContainers=NAMED,
        lifecycle=OBJECT,
        resources=resources,
        nodeSelector=LABELS,
        tolerations=OBJECTS,
        affinity=section(nodeAffinity=OBJECT, podAffinity=OBJECT, podAntiAffinity=OBJECT),
        topologySpreadConstraints=OBJECTS,
        priorityClassName=DNS_NAME,
        runtimeClassName=DNS_NAME,
        hostAliases=OBJECTS,
        dnsPolicy=one_of("", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        dnsConfig=OBJECT,
        podSecurityContext=OBJECT,
        securityContext=OBJECT,
        networkPolicy=section(
            enabled=BOOLEAN,
            clearmlPeers=OBJECTS,
            apiServerPorts={"type": "array", "items": PORT, "minItems": 1},
            apiServerPeers=OBJECTS,
            extraEgress=OBJECTS,
        ),
        sandbox=section(
            enabled=BOOLEAN,
            image=image(),
            tasks=whole(0),
            seed={"type": "integer"},
            latencyMs={"type": "number", "minimum": 0},
            resources=resources,
        ),
        extraObjects={"type": "array", "items": {"type": ["object", "string"]}},
    )
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of clearml-cleanup"}
    return {**head, **properties, "definitions": file["definitions"]}


if __name__ == "__main__":
    print(json.dumps(values(), indent=2))
