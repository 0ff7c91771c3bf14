"""The installed CronJob, and Jobs created from it as `kubectl create job --from` creates them."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from cleanup_job.cluster.connection import (
    FORBIDDEN,
    NOT_FOUND,
    UNKNOWN_USER,
    CallError,
    Cluster,
    Document,
    NoClusterError,
    connect,
)
from cleanup_job.errors import CleanupError, SettingsError, UnreachableError

LABEL = "app.kubernetes.io/name=clearml-cleanup,app.kubernetes.io/component!=sweep"
"""Selects the CronJob of passes; that of sweeps has a component of its own."""
CONTAINER = "clearml-cleanup"
JOB_NAME = "batch.kubernetes.io/job-name"
"""The label of a pod that names its Job."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""The label of a pod that numbers its shard."""
_TIMEOUT = 30.0


def connect_as_user(context: str | None) -> Cluster:
    """The cluster of the user's kubeconfig.

    Raises:
        SettingsError: there is no usable kubeconfig.
    """
    try:
        return connect(_TIMEOUT, context)
    except NoClusterError as error:
        raise SettingsError(
            f"No cluster was found: {error} Set KUBECONFIG to your kubeconfig, or choose one of its contexts with --context."
        ) from error


def explained(error: CallError, verb: str, resource: str, namespace: str) -> CleanupError:
    """What a failed call means to the user who made it, and the way out."""
    if error.status == UNKNOWN_USER:
        return SettingsError(
            f"The cluster does not accept your credentials: {error}. Log in to it again, or choose another context of your "
            "kubeconfig with --context."
        )
    if error.status == FORBIDDEN:
        return SettingsError(
            f"Your account may not {verb} {resource} in namespace {namespace}: {error}. Ask for a Role there that allows it, "
            "or choose another context or namespace with --context and --namespace."
        )
    if not error.passing:
        return SettingsError(f"Kubernetes refused to {verb} {resource} in namespace {namespace}: {error}.")
    return UnreachableError(f"The Kubernetes API gave no usable answer when asked to {verb} {resource}: {error}.")


def find(cluster: Cluster, namespace: str, name: str | None) -> Document:
    """The CronJob of that name; without a name, the only one of ClearML Cleanup in the namespace.

    Raises:
        SettingsError: there is none, there are several, or it can't be read.
    """
    try:
        if name is not None:
            found: Document = cluster.call("BatchV1Api", "read_namespaced_cron_job", name, namespace)
            return found
        items = cluster.call("BatchV1Api", "list_namespaced_cron_job", namespace, label_selector=LABEL)["items"]
    except CallError as error:
        if error.status == NOT_FOUND:
            text = f"There is no CronJob {name} in namespace {namespace}: check --cronjob and --namespace."
            raise SettingsError(text) from error
        raise explained(error, "get" if name else "list", "cronjobs.batch", namespace) from error
    if not items:
        raise SettingsError(
            f"There is no CronJob with the label {LABEL} in namespace {namespace}: choose its namespace with --namespace, or "
            "name it with --cronjob."
        )
    if len(items) > 1:
        names = ", ".join(sorted(item["metadata"]["name"] for item in items))
        raise SettingsError(f"There are several CronJobs in namespace {namespace}: {names}. Choose one with --cronjob.")
    only: Document = items[0]
    return only


def container_of(pod_template: Document) -> Document:
    """The container that runs the pass."""
    containers: list[Document] = pod_template["spec"]["containers"]
    return next((container for container in containers if container["name"] == CONTAINER), containers[0])


def variable(cronjob: Document, name: str) -> str | None:
    """The value of one of the pass's environment variables, as the CronJob has it; None if it has none of its own."""
    entries = container_of(cronjob["spec"]["jobTemplate"]["spec"]["template"]).get("env") or []
    return next((entry.get("value") for entry in entries if entry["name"] == name), None)


def by_age(items: Iterable[Document]) -> list[Document]:
    """Objects in the order of their creation, oldest first."""
    return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))


def ending(job: Document) -> Document | None:
    """The condition, `Complete` or `Failed`, that says how the Job ended; None while it runs."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] in {"Complete", "Failed"} and entry["status"] == "True"), None)


def state_of(pod: Document, container: str) -> Document:
    """The state of a pod's container: `waiting`, `running` or `terminated`, with what is known of it."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((status.get("state") or {} for status in statuses if status["name"] == container), {})


def job_from(cronjob: Document, name: str | None, arguments: Sequence[str]) -> Document:
    """A Job as `kubectl create job --from=cronjob/…` creates it, with further arguments for its container."""
    metadata = cronjob["metadata"]
    template = cronjob["spec"]["jobTemplate"]
    spec = deepcopy(template["spec"])
    container = container_of(spec["template"])
    if arguments:
        container["args"] = [*(container.get("args") or []), *arguments]
    made = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            # The Job's name becomes a label, which has 63 characters at most.
            "name": name or f"{metadata['name'][:48].rstrip('-.')}-manual-{secrets.token_hex(3)}",
            "labels": made.get("labels") or {},
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"} | (made.get("annotations") or {}),
            # Without blockOwnerDeletion, which would need one more right.
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": spec,
    }


def create(cluster: Cluster, namespace: str, job: Mapping[str, Any]) -> str:
    """Create the Job; gives its name.

    Raises:
        SettingsError: it can't be created, or there is one of this name.
    """
    try:
        made = cluster.call("BatchV1Api", "create_namespaced_job", namespace, job)
    except CallError as error:
        raise explained(error, "create", "jobs.batch", namespace) from error
    return str(made["metadata"]["name"])
