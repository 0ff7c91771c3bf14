"""What a ClearML Server supports, by its API version; and what it turned out to lack nevertheless.

Taken from the schema of ClearML Server (`apiserver/schema/services`), whose keys say which version introduced a call or
parameter.
"""

from collections.abc import Callable
from typing import TypeVar

from cleanup_job.errors import AnswerError

T = TypeVar("T")
Version = tuple[int, int]

UPDATE_TAGS = "tasks.update_tags"
LAST_CHANGED_BY = "last_changed_by of tasks"
HYPERPARAMS = "parameters in sections, and the type service, of tasks"
MODEL_EVENTS = "model_events of events.*"
ALL_PLOTS = "last_iters_per_task_metric of events.get_multi_task_plots"
ANY_METRICS = "events.get_multi_task_metrics"
REPORTS = "report of tasks"
REPORT_ASSETS = "report_assets of tasks"
TASKS_DELETE_MANY = "tasks.delete_many"
MODELS_DELETE_MANY = "models.delete_many"
DELETE_EXTERNAL = "delete_external_artifacts of tasks.delete*"
SINCE: dict[str, Version] = {
    HYPERPARAMS: (2, 9),
    TASKS_DELETE_MANY: (2, 13),
    MODELS_DELETE_MANY: (2, 13),
    DELETE_EXTERNAL: (2, 21),
    MODEL_EVENTS: (2, 22),
    REPORTS: (2, 23),
    REPORT_ASSETS: (2, 24),
    ALL_PLOTS: (2, 26),
    UPDATE_TAGS: (2, 27),
    LAST_CHANGED_BY: (2, 27),  # it is not in the schema: the source that has the tags has it
    ANY_METRICS: (2, 28),
}
"""The version that introduced each. With an older server, the job does without it."""
NO_SUCH_CALL = (404, 0)
"""The server's answer to a call that it doesn't have (recording ``api_unknown``)."""


class Capabilities:
    """What one server supports. Safe to use from many threads."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self._lacks: set[str] = set()

    def has(self, what: str) -> bool:
        """Whether the server supports a call or a parameter, as far as is known."""
        return self.version >= SINCE[what] and what not in self._lacks

    def prefer(self, what: str, new: Callable[[], T], old: Callable[[], T]) -> T:
        """The result of ``new``, or of ``old`` if the server does not support what ``new`` needs.

        Once it says so, that is remembered.

        Raises:
            AnswerError: the server refused the call for another reason.
        """
        if self.has(what):
            try:
                return new()
            except AnswerError as error:
                if (error.status, error.subcode) != NO_SUCH_CALL:
                    raise
                self._lacks.add(what)
        return old()
