"""Kubernetes Events on the CronJob: `kubectl describe cronjob` tells of each pass."""

import uuid
from datetime import UTC, datetime

from cleanup_job.cluster.connection import CallError, NoClusterError, connect

COMPONENT = "clearml-cleanup"
_TIMEOUT = 3.0
"""Seconds. An event is a courtesy: a pass does not hang for it."""


class EventError(Exception):
    """An Event could not be left. ``str()`` says why, and what is missing."""


def leave(  # noqa: PLR0913 -- what an Event has
    cronjob: str, namespace: str | None, *, kind: str, reason: str, message: str, pod: str
) -> None:
    """Leave an Event of type ``kind`` (Normal or Warning) on the CronJob; the namespace's default is the pod's own.

    Raises:
        EventError: it could not be left.
    """
    try:
        cluster = connect(_TIMEOUT)
        where = namespace or cluster.namespace
        # `kubectl describe` finds an object's events by its uid.
        found = cluster.call("BatchV1Api", "read_namespaced_cron_job", cronjob, where)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "metadata": {"name": f"{cronjob}.{uuid.uuid4().hex[:16]}", "namespace": where},
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
        raise EventError(f"no event was left on CronJob {cronjob} (CLEANUP_CRONJOB): {error}") from error
    except CallError as error:
        text = f"no event was left on CronJob {cronjob} (CLEANUP_CRONJOB): {error}"
        if error.refused:
            text += (
                ". It takes get on this CronJob and create on events, as the Helm chart's Role allows; unset CLEANUP_CRONJOB "
                "to have none."
            )
        raise EventError(text) from error
