"""Which tasks a pass may delete.

Each setting of ``FilterSettings`` that names what tasks have has a predicate in ``planning/filters.py`` under the same name.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from cleanup_job.settings.fields import Days, Group, Names, Thresholds, option
from cleanup_job.settings.scopes import Edit
from cleanup_job.settings.text import as_list

Status = Literal[
    "created", "queued", "in_progress", "stopped", "completed", "failed", "closed", "publishing", "published", "unknown"
]
TaskType = Literal[
    "training",
    "testing",
    "inference",
    "data_processing",
    "application",
    "monitor",
    "controller",
    "report",
    "optimizer",
    "service",
    "qc",
    "custom",
]
Statuses = Annotated[tuple[Status, ...], BeforeValidator(as_list)]
TaskTypes = Annotated[tuple[TaskType, ...], BeforeValidator(as_list)]


class FilterSettings(Group):
    """Which archived tasks are old enough, and are meant."""

    heading: ClassVar = "Which tasks"

    delete_threshold_days: Days = option(
        30.0,
        "Age in days from which archived tasks are deleted. The age counts from a task's last status change, or from its last "
        "update if it has none (a draft that never ran) or is still active.",
        edit=Edit.THRESHOLD,
        original=True,
    )
    force_delete: bool = option(
        False,
        "False: delete drafts only (status `created`). True: delete every archived task past the threshold, in any status.",
        edit=Edit.FORCE,
        original=True,
    )
    archived_for_days: Days = option(
        0.0,
        "Grace period in days after a task was archived. ClearML does not record when that was, so the task's last change "
        "counts.",
        edit=Edit.HIGHER,
        rare=True,
    )
    projects: Names = option(
        (),
        "Only tasks in these projects, by name or id, including sub-projects; `*` stands for any text. Default: all. An entry "
        "that no longer matches anything causes a warning, here and in `tags` and `users`, and an error in every other filter.",
        edit=Edit.SOME,
    )
    exclude_projects: Names = option(
        (), "No tasks in these projects, written as in `projects`, over which this takes precedence.", edit=Edit.MORE
    )
    tags: Names = option((), "Only tasks with one of these tags. Default: all.", edit=Edit.SOME)
    exclude_tags: Names = option((), "No tasks with one of these tags. Takes precedence over `tags`.", edit=Edit.MORE)
    keep_tags: Names = option(
        (),
        "Always keep tasks with one of these tags, regardless of every other setting, and report them as kept.",
        edit=Edit.MORE,
    )
    keep_projects: Names = option(
        (),
        "Always keep tasks in these projects, and report them as kept. Written as in `projects`.",
        edit=Edit.MORE,
    )
    threshold_rules: Thresholds = option(
        (),
        "Thresholds for single projects: `playground/*=7, vision=90, vision/golden=never`. Projects are written as in "
        "`projects`; the first matching entry counts, and `delete_threshold_days` applies to tasks that match none.",
        edit=Edit.RULES,
    )
    types: TaskTypes = option((), "Only tasks of these types, such as `training`. Default: all.", edit=Edit.SOME, rare=True)
    statuses: Statuses = option((), "Only tasks in these statuses. Default: all.", edit=Edit.SOME, rare=True)
    exclude_statuses: Statuses = option(
        (), "No tasks in these statuses. Takes precedence over `statuses`.", edit=Edit.MORE, rare=True
    )
    users: Names = option(
        (),
        "Only tasks of these users, by name or id; by id for users who were removed from ClearML. Default: all.",
        edit=Edit.SOME,
    )
    exclude_users: Names = option(
        (), "No tasks of these users, written as in `users`, over which this takes precedence.", edit=Edit.MORE
    )
    include_hidden: bool = option(
        False,
        "Also delete archived tasks that ClearML hides from its lists (system tag `hidden`), including those of datasets and "
        "pipelines.",
        edit=Edit.OFF,
        rare=True,
    )
    include_pipeline_steps: bool = option(
        False,
        "Delete the steps of an archived pipeline controller together with it, hidden and unarchived ones included: all of "
        "them, or none and not the controller. If false, steps that are archived themselves are deleted with or after their "
        "controller.",
        rare=True,
    )


class RelatedSettings(Group):
    """What else a pass looks at: datasets, linked tasks, models and projects."""

    heading: ClassVar = "Which tasks"
    rare: ClassVar = True

    protect_used_datasets: bool = option(
        False,
        "Keep dataset versions that were used by a task that is kept. Versions that a kept version builds on are always kept.",
        edit=Edit.ON,
    )
    protect_linked_artifacts: Literal["all", "pipelines", "off"] = option(
        "all",
        "Which tasks protect the files of other tasks by naming them as an artifact, an output model or the place they write "
        "to. `all`: every task; each one is read once in every pass that has something to delete. `pipelines`: only pipeline "
        "controllers and drafts (imported tasks are drafts). `off`: none.",
        edit=Edit.STRICTER,
    )
    keep_model_tags: Names = option(
        (),
        "Keep models with one of these tags, such as `production`, and their files, even if their task is deleted. A tag that "
        "no model has is an error.",
        edit=Edit.MORE,
    )
    delete_empty_projects: bool = option(
        False,
        "At the end, delete the projects that this pass has emptied, and their hidden sub-projects.",
        edit=Edit.OFF,
    )
