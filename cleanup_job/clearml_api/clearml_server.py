"""ClearML Server as a pass needs it: what ``passes.ports.Server`` asks for, by subject in the modules beside this one."""

from datetime import timedelta
from functools import cached_property

from cleanup_job.clearml_api.best_tasks import BestTasks
from cleanup_job.clearml_api.current_user import current_user
from cleanup_job.clearml_api.model_reader import ModelReader
from cleanup_job.clearml_api.task_writer import TaskWriter


class ClearMLServer(TaskWriter, BestTasks, ModelReader):
    """The server's records: reading, changes and deletion. Safe to use from many threads."""

    def probe(self) -> None:
        """Check that the server answers, by a call that has nothing to do with any particular task.

        Raises:
            UnreachableError: it gives no usable answer, after all tries.
        """
        self.newest()

    def me(self) -> str:
        """The id of the user whose key the job has, asked for once; empty if the server doesn't say.

        Raises:
            UnreachableError: no usable answer, after all tries.
        """
        return self._me

    @cached_property
    def _me(self) -> str:
        return current_user(self._client)[0]

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far the job's clock is ahead of the server's, by its answers so far; None if none of them was dated."""
        return self._client.clock.ahead

    @property
    def token_ahead(self) -> timedelta | None:
        """The same by the date in the login's token, which no proxy writes; None if the token has no date."""
        return self._client.token_ahead
