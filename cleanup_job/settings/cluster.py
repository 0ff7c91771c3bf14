"""The job in Kubernetes."""

from typing import ClassVar

from cleanup_job.settings.fields import Group, option
from cleanup_job.settings.scopes import Scope
from cleanup_job.settings.text import DNS_LABEL, DNS_NAME


class ClusterSettings(Group):
    """The objects in Kubernetes that a pass uses or belongs to."""

    heading: ClassVar = "Run"
    scope: ClassVar = Scope.RELEASE
    chart: ClassVar = False
    rare: ClassVar = True

    lease: str | None = option(
        None,
        "Name of the Kubernetes Lease that prevents two passes from running at once. The Helm chart sets it; without it, "
        "nothing prevents that.",
        sweeps=True,
        pattern=DNS_NAME,
        max_length=253,
    )
    lease_namespace: str | None = option(
        None,
        "Namespace of the Lease. Default: the pod's own, or that of the kubeconfig's context.",
        sweeps=True,
        pattern=DNS_LABEL,
        max_length=63,
    )
    lease_wait_seconds: float = option(
        300.0,
        "How many seconds to wait while another pass holds the Lease, before giving up (exit code 5). 0: don't wait.",
        scope=Scope.POD,
        sweeps=True,
        chart=True,
        ge=0,
        le=604_800,
        allow_inf_nan=False,
    )
    cronjob: str | None = option(
        None,
        "Name of the CronJob on which each pass leaves a Kubernetes Event. The Helm chart sets it; without it, none is left.",
        pattern=DNS_NAME,
        max_length=52,
    )
    release: str | None = option(
        None, "Name of the Helm release, a tag of the runs in ClearML. The Helm chart sets it.", max_length=253
    )
    job: str | None = option(
        None,
        "Name of the Job that this pod belongs to. Only a pass in a Job that the CronJob's schedule made can be skipped as not "
        "due, and only pods of the same Job share a pass (`shards`). The Helm chart sets it.",
        pattern=DNS_NAME,
        max_length=253,
    )
    job_uid: str | None = option(
        None,
        "Uid of that Job, which tells it from an earlier one with the same name. The Helm chart sets it with `shards`.",
        pattern=DNS_NAME,
        max_length=63,
    )
