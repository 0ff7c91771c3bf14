"""The job as a task in ClearML."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, field_validator

from cleanup_job.settings.fields import Days, Group, Names, option
from cleanup_job.settings.scopes import Edit, Scope
from cleanup_job.settings.text import TASK_ID, TRIMMED, project_name, setting_name


class ServiceTaskSettings(Group):
    """The draft task in ClearML, whose parameters people edit, and its runs."""

    heading: ClassVar = "ClearML task"
    scope: ClassVar = Scope.POD
    chart: ClassVar = False
    rare: ClassVar = True

    task: bool = option(
        False,
        "Read the parameters of the draft task in ClearML, where values edited in the Web UI count as far as the settings "
        "below allow, and create a run of it for each pass.",
        flag="--service-task",
    )
    task_project: Annotated[str, BeforeValidator(project_name)] = option(
        "DevOps",
        "Project of that task. As in ClearML, each part of the name has at least 3 characters, and blanks around a part are "
        "ignored.",
        pattern=TRIMMED,
    )
    task_name: str = option(
        "Cleanup Service",
        "Name of that task. Releases that clean the same server with different settings need different tasks.",
        min_length=3,
        pattern=TRIMMED,
    )
    task_mode: Literal["pod", "agent"] = option(
        "pod",
        "`pod`: the pass runs here. `agent`: a scheduled Job only enqueues a clone of the draft, and a ClearML Agent runs the "
        "pass: on every schedule if run_as_service is true, otherwise once.",
    )
    task_queue: str = option("services", "Queue in which clones are enqueued.", flag="--queue", min_length=3)
    task_required: bool = option(
        True,
        "Whether a pass that can't read that task deletes nothing (exit code 4, or 2 if a right is missing). False: it warns, "
        "and uses the environment's settings alone, without anything that was edited in the task, such as `keep_tags`.",
    )
    task_runs_kept: int = option(
        30,
        "Number of runs of the task to keep. Older ones are archived, and deleted by a pass once they are past the threshold.",
        ge=1,
        le=400,
    )
    task_requirement: str = option(
        "",
        "What an agent installs to run a pass, in a form that pip accepts: a version, a URL, the path of a wheel. "
        "Default: clearml-cleanup in the version that enqueued the pass.",
    )
    task_editable: Names = option(
        (),
        "Settings that can be edited in ClearML in addition to the four of ClearML's own service, such as `workers,projects`. "
        "An edit never makes a pass delete more than the environment allows, whether it is listed or not; an edit that only "
        "protects more (`dry_run`, `keep_tags`, `max_tasks` …) always counts.",
        bound=True,
    )
    task_min_threshold_days: Days | None = option(
        None,
        "The shortest `delete_threshold_days` that can be set there. Default: the environment's own value, so that it can only "
        "be made longer.",
        bound=True,
    )
    task_allow_force_delete: bool = option(
        False,
        "Whether `force_delete` can be switched on there if the environment has it off. It can always be switched off.",
        bound=True,
    )
    task_id: str | None = option(
        None,
        "The task in which this pass itself runs. A ClearML Agent sets it; the settings that the release had when it enqueued "
        "the pass then count.",
        env="CLEARML_TASK_ID",
        scope=Scope.RELEASE,
        pattern=TASK_ID,
    )

    @field_validator("task_editable")
    @classmethod
    def _as_settings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(setting_name, value))


class ScheduleSettings(Group):
    """The schedule, as ClearML's own service has it."""

    heading: ClassVar = "Schedule"
    rare: ClassVar = True

    cleanup_period_in_days: float = option(
        1.0,
        "The CronJob's schedule decides how often the job runs, and the job runs once. With `task`, a scheduled pass is "
        "skipped as not due until this many days after the last completed one began; without it, the value is only checked.",
        env="CLEANUP_PERIOD_IN_DAYS",
        edit=Edit.FREE,
        original=True,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
    )
    run_as_service: bool = option(
        False,
        "The job never loops; it is a CronJob. With `task_mode: agent`, true makes every scheduled Job enqueue a pass, and "
        "false only the first one; otherwise the value is only checked.",
        edit=Edit.FREE,
        original=True,
    )
