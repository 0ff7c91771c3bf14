"""Reads of the cluster that a user's rights may not allow: what could be read, and why the rest could not."""

from typing import Any

from cleanup_job.cluster.connection import NOT_FOUND, CallError, Cluster
from cleanup_job.cluster.cronjob import explained


class UnreadableError(Exception):
    """Something could not be read; ``Reader.missing`` says why."""


class Reader:
    """Reads what the user's rights allow; ``missing`` says what could not be read, and why."""

    def __init__(self, cluster: Cluster) -> None:
        """Sends no request yet."""
        self._cluster = cluster
        self.missing: list[str] = []

    def ask(self, right: tuple[str, str], api: str, method: str, *arguments: Any, **options: Any) -> Any:
        """The answer; None where there is no such object.

        Args:
            right: The verb and the resource, for the error.
            api: One of the package's APIs, such as `CoreV1Api`.
            method: Its method.
            arguments: What it takes, with the namespace last.
            options: What it takes by name.

        Raises:
            UnreadableError: it could not be read, which is noted in ``missing``.
        """
        try:
            return self._cluster.call(api, method, *arguments, **options)
        except CallError as error:
            if error.status == NOT_FOUND:
                return None
            self.missing.append(str(explained(error, *right, arguments[-1])))
            raise UnreadableError from error
