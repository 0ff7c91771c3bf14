"""What can be asked of tasks, models, queues and projects, as the server's own database models say it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What can be asked of a kind of document."""

    name: str
    lists: frozenset[str]
    """Fields with a list of values, in which `-x` excludes and `__$…` are operators."""
    dates: frozenset[str] = frozenset()
    ranges: frozenset[str] = frozenset()
    """Fields that need a lower and an upper bound, of which one may be null; `x.*` are all fields below `x`."""
    texts: frozenset[str] = frozenset({"name"})
    """Fields searched by a regular expression."""
    equal: str = ""
    """What the names of fields begin with that are compared as they are."""
    fields: frozenset[str] = frozenset()
    """Top-level fields that a document may have."""
    links: frozenset[str] = frozenset()
    """Fields with the id of another document, which `get_all_ex` gives as `{"id": …}`."""


TASK = Kind(
    "Task",
    frozenset({"id", "status", "type", "user", "project", "parent", "tags", "system_tags", "models.input.model", "queue"}),
    frozenset({"status_changed", "last_update", "last_change"}),
    frozenset({"created", "started", "last_iteration", "active_duration", "last_metrics.*"}),
    equal="runtime.",
    fields=frozenset(
        "id name user company company_origin type status status_reason status_message status_changed comment report "
        "report_assets "
        "created started completed published active_duration parent project output execution container models tags "
        "system_tags script last_worker last_worker_report last_update last_change last_iteration last_metrics unique_metrics "
        "metric_stats hyperparams configuration runtime last_changed_by".split()
    ),
    links=frozenset({"company", "user", "project", "parent"}),
)  # fmt: skip
MODEL = Kind(
    "Model",
    frozenset({"id", "task", "uri", "project", "user", "framework", "tags", "system_tags", "parent"}),
    frozenset({"last_update", "last_change"}),
    fields=frozenset(
        "id name user company company_origin created task parent comment tags system_tags uri framework design labels ready "
        "ui_cache project metadata last_update last_change last_changed_by last_iteration last_metrics unique_metrics".split()
    ),
    links=frozenset({"company", "user", "project", "task", "parent"}),
)
QUEUE = Kind(
    "Queue",
    frozenset({"id", "tags", "system_tags"}),
    fields=frozenset("id name display_name user company created tags system_tags entries last_update metadata".split()),
    links=frozenset({"company", "user"}),
)
PROJECT = Kind(
    "Project",
    frozenset({"id", "user", "parent", "tags", "system_tags"}),
    ranges=frozenset({"last_update"}),
    fields=frozenset(
        "id name basename user company company_origin created description default_output_destination tags system_tags "
        "last_update featured parent path logo_url logo_blob".split()
    ),
    links=frozenset({"company", "user"}),
)
