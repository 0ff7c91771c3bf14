"""What a server of an older API version lacks, or does otherwise.

Read from the source of ClearML Server, whose schema says since when it has a call or a parameter; nothing of it is recorded.
"""

from typing import Any

Version = tuple[int, int]

CALLS: dict[str, Version] = {
    "tasks.delete_many": (2, 13),
    "models.delete_many": (2, 13),
    "tasks.archive_many": (2, 13),
    "events.plots": (2, 20),
    "reports.get_all_ex": (2, 23),
    "tasks.update_tags": (2, 27),
    "events.get_multi_task_metrics": (2, 28),
}
"""Since when there is a call, where the endpoint's own version doesn't say it."""
PARAMETERS: dict[str, dict[str, Version]] = {
    "projects.get_all": {"last_update": (2, 20)},
    "events.debug_images": {"model_events": (2, 22)},
    "events.plots": {"model_events": (2, 22)},
    "events.get_task_metrics": {"model_events": (2, 22)},
    "events.get_task_events": {"model_events": (2, 22), "metrics": (2, 22)},
    "events.get_multi_task_plots": {
        "no_scroll": (2, 16),
        "model_events": (2, 22),
        "last_iters_per_task_metric": (2, 26),
        "metrics": (2, 28),
    },
    "tasks.delete_many": {"include_pipeline_steps": (2, 30)},
    "tasks.delete": {"include_pipeline_steps": (2, 30)},
}
"""The same of parameters: one that a server doesn't know it drops without a word."""
FIELDS: dict[str, Version] = {"report": (2, 23), "report_assets": (2, 24), "last_changed_by": (2, 27)}
"""The same of a task's fields: to ask for one that there is not is an error. It is not known which version before 2.27 was the
first one with ``last_changed_by``."""
LOCKED: Version = (2, 30)
"""Up to this version a published task was not deleted without force: its models were, then its events were refused."""
BY_TIME: Version = (2, 15)
"""Up to this version the events of a task were scrolled by time, to an empty page."""


def lacks(server: Version, name: str) -> bool:
    """Whether a server is too old for a call."""
    return CALLS.get(name, (0, 0)) > server


def understood(server: Version, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a server makes of a request: the parameters that it knows."""
    since = PARAMETERS.get(name, {})
    return {key: value for key, value in body.items() if since.get(key, (0, 0)) <= server}
