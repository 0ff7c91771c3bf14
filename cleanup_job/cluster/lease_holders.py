"""Whether the holder of a Lease still lives, by the pods and Jobs of the release."""

from cleanup_job.cluster.connection import Document
from cleanup_job.cluster.cronjob import container_of, ending
from cleanup_job.cluster.lease_status import LeaseStatus
from cleanup_job.cluster.pod_ends import has_ended


def ended_holders(
    leases: list[LeaseStatus],
    cronjob: Document,
    namespace: str,
    jobs: list[Document] | None,
    pods: dict[str, list[Document]] | None,
) -> list[str]:
    """Holders whose pod or Job has ended, or is no longer there; none where pods or Jobs could not be read.

    A holder is named after its pod's host name or its Job: ``<name>_<process>_<random>``. One that is named after neither, such
    as a pass on someone's own machine, is taken to live.
    """
    if jobs is None or (pods is None and jobs):
        return []
    alive, ended = _names(jobs, pods or {})
    prefix = f"{cronjob['metadata']['name']}-"

    def is_over(holder: str) -> bool:
        name = holder.split("_", 1)[0]
        return name not in alive and (name in ended or name.startswith(prefix))

    return [entry.holder for entry in leases if entry.holder and entry.namespace == namespace and is_over(entry.holder)]


def _names(jobs: list[Document], pods: dict[str, list[Document]]) -> tuple[set[str], set[str]]:
    """The names of pods and Jobs that live, and of those that have ended."""
    alive: set[str] = set()
    ended: set[str] = set()
    for job in jobs:
        (ended if ending(job) else alive).add(job["metadata"]["name"])
    for pod in (pod for of_job in pods.values() for pod in of_job):
        over = has_ended(pod, container_of(pod)["name"])
        (ended if over else alive).add(pod["spec"].get("hostname") or pod["metadata"]["name"])
    return alive, ended
