"""The flags that name an installed release, for the commands that use the user's own kubeconfig."""

import argparse

from cleanup_job.cluster.connection import Cluster, Document
from cleanup_job.cluster.cronjob import connect_as_user, find


def add_release_flags(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("--namespace", "-n", metavar="NAME", help="namespace of the CronJob (default: the context's)")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    parser.add_argument("--cronjob", metavar="NAME", help="name of the CronJob (default: the only one in the namespace)")


def release_of(options: argparse.Namespace) -> tuple[Cluster, str, Document]:
    """The cluster, the namespace and the CronJob that the flags name.

    Raises:
        CleanupError: there is no such CronJob, or the user may not read it.
    """
    cluster = connect_as_user(options.context)
    namespace = options.namespace or cluster.namespace
    return cluster, namespace, find(cluster, namespace, options.cronjob)
