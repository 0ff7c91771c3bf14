"""Kubernetes Events on the CronJob, so that `kubectl describe cronjob` shows each pass."""

import uuid
from datetime import UTC, datetime

from cleanup_job.cluster.connection import CONFLICT, CallError, NoClusterError, connect

COMPONENT = "clearml-cleanup"
_TIMEOUT = 3.0
"""Seconds for each call. An event is only a help: a pass does not wait long for it."""


class EventError(Exception):
    """An Event could not be created. ``str()`` says why, and what is missing."""


def leave(  # noqa: PLR0913 -- the fields of an Event
    cronjob: str, namespace: str | None, *, kind: str, reason: str, message: str, pod: str, name: str = ""
) -> bool:
    """Create an Event of type ``kind`` (Normal or Warning) on the CronJob, by default in the pod's own namespace.

    Returns:
        Whether it is new. Only one with a ``name`` may not be: one of this name was there.

    Raises:
        EventError: it could not be created.
    """
    try:
        cluster = connect(_TIMEOUT)
        where = namespace or cluster.namespace
        # `kubectl describe` finds an object's events by its uid.
        found = cluster.call("BatchV1Api", "read_namespaced_cron_job", cronjob, where)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "metadata": {"name": name or f"{cronjob}.{uuid.uuid4().hex[:16]}", "namespace": where},
            "involvedObject": {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "name": cronjob,
                "namespace": where,
                "uid": found["metadata"]["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": pod,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        cluster.call("CoreV1Api", "create_namespaced_event", where, event)
    except NoClusterError as error:
        raise EventError(f"no event was created on CronJob {cronjob} (CLEANUP_CRONJOB): {error}") from error
    except CallError as error:
        if name and error.status == CONFLICT:
            return False
        text = f"no event was created on CronJob {cronjob} (CLEANUP_CRONJOB): {error}"
        if error.refused:
            text += (
                ". Allow get on this CronJob and create on events, as the Helm chart's Role does; or unset CLEANUP_CRONJOB to "
                "have no events."
            )
        raise EventError(text) from error
    return True
