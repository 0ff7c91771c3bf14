"""Every option once: its name, default, bounds and meaning.

The environment, the command line's flags, `clearml-cleanup settings` and the reference page in docs/ all come from `Settings`.
A value is taken from the flag, else the task in ClearML (where there is one), else the environment, else (for the connection)
clearml.conf, else the default. Nothing that is
empty, misspelled or out of bounds is ever read as "no limit": it is an error that names the setting, the value and the way out.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from cleanup_job.errors import SettingsError
from cleanup_job.settings.scopes import Edit, Scope
from cleanup_job.settings.text import (
    as_list,
    files_host,
    folder,
    http_address,
    mistakes,
    project_name,
    setting_name,
    threshold,
    true_or_path,
    unknown_name,
)

PREFIX = "CLEANUP_"
# What Kubernetes (docker-style service links) sets in every pod of a namespace that has a Service named `cleanup…`.
_SERVICE_LINK = re.compile(r"CLEANUP(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(as_list)]
Address = Annotated[str, AfterValidator(http_address)]
FilesHost = Annotated[str, AfterValidator(files_host)]
Addresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(as_list)]
Thresholds = Annotated[tuple[Annotated[str, AfterValidator(threshold)], ...], NoDecode, BeforeValidator(as_list)]
Folders = Annotated[tuple[Annotated[str, AfterValidator(folder)], ...], NoDecode, BeforeValidator(as_list)]
Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False)]

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
Statuses = Annotated[tuple[Status, ...], NoDecode, BeforeValidator(as_list)]
TaskTypes = Annotated[tuple[TaskType, ...], NoDecode, BeforeValidator(as_list)]

_DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""What Kubernetes takes as the name of most objects."""
_NAME = r"^\S(.*\S)?$"


_SCOPES = {"Connection": Scope.POD, "ClearML task": Scope.POD, "Sweep": Scope.SWEEP}
"""Of a group's settings, unless one has its own."""


def _option(  # noqa: PLR0913 -- all that a setting has beside its type
    default: Any,
    text: str,
    *,
    env: str | None = None,
    flag: str = "",
    group: str,
    scope: Scope | None = None,
    edit: Edit = Edit.NEVER,
    file: bool = False,
    **bounds: Any,
) -> Any:
    """A setting: where it may be said, what an edit in ClearML may do, and whether it names a file of the pod."""
    extra: dict[str, Any] = {
        "env": env,
        "flag": flag,
        "group": group,
        "scope": scope or _SCOPES.get(group, Scope.JOB),
        "edit": edit,
        "file": file,
    }
    return Field(default, description=text, json_schema_extra=extra, **bounds)


class Settings(BaseSettings):
    """All settings of a pass, checked."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)

    # -- connection: ClearML's own names
    api_host: Address | None = _option(
        None,
        "Address of ClearML's API server, such as http://clearml-apiserver:8008. There is no default server.",
        env="CLEARML_API_HOST",
        group="Connection",
    )
    access_key: SecretStr | None = _option(
        None, "Access key of the credentials to log in with.", env="CLEARML_API_ACCESS_KEY", group="Connection"
    )
    secret_key: SecretStr | None = _option(
        None, "Secret key of these credentials.", env="CLEARML_API_SECRET_KEY", group="Connection"
    )
    files_host: FilesHost | None = _option(
        None,
        "Address at which the job reaches the fileserver. Derived from the API server's where ClearML's SDK would "
        "(port 8008 becomes 8081, `api.` becomes `files.`), if a fileserver answers there. Without a fileserver: where the SDK "
        "keeps files, as in clearml.conf (`s3://bucket`); tasks with files on a fileserver are kept then.",
        env="CLEARML_FILES_HOST",
        group="Connection",
    )
    web_host: Address | None = _option(
        None,
        "Address of the web server, for links in reports. Derived like the fileserver's.",
        env="CLEARML_WEB_HOST",
        group="Connection",
    )
    verify_certificate: Annotated[bool | str, BeforeValidator(true_or_path)] = _option(
        True,
        "Whether to verify the servers' TLS certificates, or the path of a CA bundle to verify them with.",
        env="CLEARML_API_HOST_VERIFY_CERT",
        group="Connection",
        file=True,
    )
    config_file: Path | None = _option(
        None,
        "A clearml.conf to take the connection from where the variables above are not set. "
        "Without it ~/clearml.conf is read if it exists.",
        env="CLEARML_CONFIG_FILE",
        group="Connection",
        file=True,
    )

    # -- which tasks
    delete_threshold_days: Days = _option(
        30.0,
        "Age in days from which archived tasks are deleted. A task's age counts from its last status change; "
        "where it has none (a draft that never ran) or is still active, from its last update.",
        group="Which tasks",
        edit=Edit.THRESHOLD,
    )
    force_delete: bool = _option(
        False,
        "False: delete drafts only (status `created`). True: delete every archived task past the threshold, whatever its "
        "status.",
        group="Which tasks",
        edit=Edit.FORCE,
    )
    archived_for_days: Days = _option(
        0.0,
        "Grace in days since a task was archived (its last change; ClearML has no time of archiving).",
        group="Which tasks",
        edit=Edit.HIGHER,
    )
    projects: Names = _option(
        (),
        "Only tasks of these projects, by name or id, sub-projects included; `*` stands for any text. Default: all. What "
        "matches nothing any more is warned of, here as in `tags` and `users`, and is an error in any other filter.",
        group="Which tasks",
        edit=Edit.SOME,
    )
    exclude_projects: Names = _option(
        (), "No tasks of these projects, written like `projects`; wins over it.", group="Which tasks", edit=Edit.MORE
    )
    tags: Names = _option((), "Only tasks with one of these tags. Default: all.", group="Which tasks", edit=Edit.SOME)
    exclude_tags: Names = _option((), "No tasks with one of these tags; wins over `tags`.", group="Which tasks", edit=Edit.MORE)
    keep_tags: Names = _option(
        (),
        "Tasks with one of these tags stay, whatever any other setting says, and are reported as kept.",
        group="Which tasks",
        edit=Edit.MORE,
    )
    keep_projects: Names = _option(
        (),
        "Tasks of these projects stay, likewise; written like `projects`.",
        group="Which tasks",
        edit=Edit.MORE,
    )
    threshold_rules: Thresholds = _option(
        (),
        "Thresholds for some projects: `playground/*=7, vision=90, vision/golden=never`. Projects are written like `projects`; "
        "the first entry that fits a task counts, and `delete_threshold_days` for tasks that are in none.",
        group="Which tasks",
        edit=Edit.RULES,
    )
    types: TaskTypes = _option(
        (), "Only tasks of these types, such as `training`. Default: all.", group="Which tasks", edit=Edit.SOME
    )
    statuses: Statuses = _option((), "Only tasks in these statuses. Default: all.", group="Which tasks", edit=Edit.SOME)
    exclude_statuses: Statuses = _option(
        (), "No tasks in these statuses; wins over `statuses`.", group="Which tasks", edit=Edit.MORE
    )
    users: Names = _option(
        (),
        "Only tasks of these users, by name or id; users who were removed from ClearML by id. Default: all.",
        group="Which tasks",
        edit=Edit.SOME,
    )
    exclude_users: Names = _option(
        (), "No tasks of these users, written like `users`; wins over it.", group="Which tasks", edit=Edit.MORE
    )
    include_hidden: bool = _option(
        False,
        "Also delete archived tasks that ClearML hides from its lists (system tag `hidden`), also of datasets and pipelines.",
        group="Which tasks",
        edit=Edit.OFF,
    )
    include_pipeline_steps: bool = _option(
        False,
        "A pipeline's archived controller takes its steps along, hidden ones and such as are not archived too: all of them, or "
        "none. Without it, steps that are archived themselves go with or after their controller.",
        group="Which tasks",
    )

    protect_used_datasets: bool = _option(
        False,
        "Keep dataset versions that a task which stays has used. Those that a surviving version is made of stay in any case.",
        group="Which tasks",
        edit=Edit.ON,
    )
    protect_linked_artifacts: Literal["all", "pipelines", "off"] = _option(
        "all",
        "Which tasks protect what other tasks made, by naming it as an artifact, an output model or the place they write to. "
        "`all`: every task on the server is read once in each pass that has anything to delete. "
        "`pipelines`: only pipeline controllers and drafts (tasks are imported as drafts). `off`: none.",
        group="Which tasks",
        edit=Edit.STRICTER,
    )
    keep_model_tags: Names = _option(
        (),
        "Models with one of these tags, such as `production`, are kept with their files although their task is deleted. "
        "A tag that no model has is an error.",
        group="Which tasks",
        edit=Edit.MORE,
    )
    delete_empty_projects: bool = _option(
        False,
        "At the end, delete the projects that this pass emptied, with their hidden sub-projects.",
        group="Which tasks",
        edit=Edit.OFF,
    )

    # -- limits
    max_tasks: int | None = _option(
        None,
        "Budget: delete at most so many tasks in one pass, and say how many are left. Default: no limit.",
        group="Limits",
        edit=Edit.LOWER,
        ge=1,
    )
    refuse_above: int | None = _option(
        None,
        "Valve: a pass that finds more tasks than this refuses before it deletes anything (exit code 2); "
        "a dry run lists them first. Default: none.",
        group="Limits",
        edit=Edit.LOWER,
        ge=1,
    )
    deadline_seconds: Seconds | None = _option(
        None,
        "Start no new batch after so many seconds, and say how many tasks are left for the next pass. Default: none.",
        group="Limits",
        edit=Edit.LOWER,
    )

    max_tasks_per_second: float | None = _option(
        None,
        "Work through no more than so many tasks in a second, for a server that is busy or small. Batches get smaller with it. "
        "Default: no limit.",
        group="Limits",
        edit=Edit.LOWER,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
    )

    # -- files
    files_url_prefixes: Addresses = _option(
        (),
        "Further addresses of the same fileserver, as they stand in records: a public name, one from before a move.",
        group="Files",
    )
    mounted_folders: Folders = _option(
        (),
        "Folders that are mounted into the pod, by absolute paths as they stand in records (`file:///mnt/share/…` or plain): "
        "task folders below them can be deleted.",
        group="Files",
    )
    stores_verify_certificate: Annotated[bool | str, BeforeValidator(true_or_path)] = _option(
        True,
        "Whether to verify the TLS certificates of object stores, or the path of a CA bundle to verify them with. "
        "An entry's own `verify` in clearml.conf's `sdk.aws.s3` wins.",
        group="Files",
        edit=Edit.ON,
        file=True,
    )
    external_files: Literal["keep", "delete"] = _option(
        "keep",
        "Files outside the task's folder, which a task only links to: keep them, or delete those on the fileserver "
        "that lie in no other task's folder. Deleting can't know who else links to them.",
        group="Files",
        edit=Edit.STRICTER,
    )
    on_file_error: Literal["keep_record", "delete_record"] = _option(
        "keep_record",
        "When a file of a task could not be deleted: keep the task's record, so that the next pass tries again, "
        "or delete it and leave the file for good.",
        group="Files",
        edit=Edit.STRICTER,
    )
    missing_files: Literal["keep_record", "delete_record"] = _option(
        "keep_record",
        "When none of a task's files is there and their addresses can be read in more than one way, so that they may be there "
        "under another name: keep the task, or delete its record. A task whose addresses have one reading is deleted in any "
        "case.",
        group="Files",
        edit=Edit.STRICTER,
    )
    unknown_stores: Literal["keep_record", "delete_record"] = _option(
        "keep_record",
        "When a task has files on a store that the job doesn't know: keep the task, or leave the files there "
        "and delete the rest.",
        group="Files",
        edit=Edit.STRICTER,
    )

    # -- the run
    dry_run: bool = _option(False, "Only read, and print what a pass would delete.", group="Run", edit=Edit.ON)
    page_size: int = _option(
        500, "Records a listing call returns. ClearML Server cuts it at 500.", group="Run", edit=Edit.LISTED, ge=1, le=500
    )
    batch_size: int = _option(500, "Tasks planned and deleted together.", group="Run", edit=Edit.LISTED, ge=1, le=500)
    workers: int = _option(4, "Batches in progress at the same time.", group="Run", edit=Edit.LISTED, ge=1, le=32)
    max_requests_in_flight: int = _option(
        16,
        "Requests at the same time to each of ClearML's two servers, the API server and the fileserver. They get fewer by "
        "themselves while a server is slow, answers 429 or 503, or does not answer.",
        group="Run",
        edit=Edit.LISTED,
        ge=1,
        le=64,
    )
    shards: int = _option(
        1,
        "Pods that share a pass, each with its part of the tasks, as the indexes of an Indexed Job (`shards` in the chart).",
        group="Run",
        scope=Scope.RELEASE,
        ge=1,
        le=100,
    )
    shard: int | None = _option(
        None,
        "Which of them this one is, from 0. Kubernetes sets it.",
        env="JOB_COMPLETION_INDEX",
        group="Run",
        scope=Scope.RELEASE,
        ge=0,
    )
    request_timeout_seconds: Seconds = _option(
        120.0,
        "Time after which a request without an answer counts as failed; the whole answer may take twice as long.",
        group="Run",
        edit=Edit.LISTED,
    )
    attempts: int = _option(
        6,
        "Tries of a request that fails for a passing reason, with back-off between them.",
        group="Run",
        edit=Edit.LISTED,
        ge=1,
        le=20,
    )
    lease: str | None = _option(
        None,
        "Name of the Kubernetes Lease that keeps two passes from running at once. The Helm chart sets it; "
        "without it, nothing guards.",
        group="Run",
        scope=Scope.RELEASE,
        pattern=_DNS_NAME,
        max_length=253,
    )
    lease_namespace: str | None = _option(
        None,
        "Namespace of the Lease. Default: the pod's own, or that of the kubeconfig's context.",
        group="Run",
        scope=Scope.RELEASE,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
    )
    lease_wait_seconds: float = _option(
        300.0,
        "Wait so many seconds for another pass to end that holds the Lease; then give up (exit code 5). 0: don't wait.",
        group="Run",
        scope=Scope.POD,
        ge=0,
        le=604_800,
        allow_inf_nan=False,
    )
    cronjob: str | None = _option(
        None,
        "Name of the CronJob on which each pass leaves a Kubernetes Event. The Helm chart sets it; without it, none is left.",
        group="Run",
        scope=Scope.RELEASE,
        pattern=_DNS_NAME,
        max_length=52,
    )

    # -- the service task in ClearML
    task: bool = _option(
        False,
        "Read the parameters of the draft task in ClearML, where what was edited in the Web UI counts as far as the settings "
        "below allow, and leave a run of it for each pass.",
        group="ClearML task",
    )
    task_project: Annotated[str, BeforeValidator(project_name)] = _option(
        "DevOps",
        "Project of that task. As in ClearML, each part of its name has at least 3 characters, and blanks around a part don't "
        "count.",
        group="ClearML task",
        pattern=_NAME,
    )
    task_name: str = _option(
        "Cleanup Service",
        "Its name. Releases that clean the same server with other settings need tasks of their own.",
        group="ClearML task",
        min_length=3,
        pattern=_NAME,
    )
    task_mode: Literal["pod", "agent"] = _option(
        "pod",
        "`pod`: the pass runs here. `agent`: a scheduled Job only enqueues a clone of the draft, and a ClearML Agent runs the "
        "pass: on each schedule with run_as_service true, else once.",
        group="ClearML task",
    )
    task_queue: str = _option("services", "Queue to enqueue clones to.", flag="--queue", group="ClearML task", min_length=3)
    task_required: bool = _option(
        True,
        "Whether a pass that can't read that task deletes nothing (exit code 4; 2 where a right is missing). False: it goes by "
        "the environment's settings alone then, without what people edited there, such as `keep_tags`, and warns.",
        group="ClearML task",
    )
    task_runs_kept: int = _option(
        30,
        "Runs of the task to keep. Older ones are archived, and deleted by a pass once they are past the threshold.",
        group="ClearML task",
        ge=1,
        le=400,
    )
    task_requirement: str = _option(
        "",
        "What an agent installs to run a pass, as pip takes it: a version, a URL, the path of a wheel. "
        "Default: clearml-cleanup in the version that enqueued the pass.",
        group="ClearML task",
    )
    task_editable: Names = _option(
        (),
        "Settings that can be edited in ClearML beside the four of ClearML's own service, such as `workers,projects`. What "
        "makes a pass delete more than the environment says is never taken from there, listed or not; what only protects more "
        "(`dry_run`, `keep_tags`, `max_tasks` …) always is.",
        group="ClearML task",
    )
    task_min_threshold_days: Days | None = _option(
        None,
        "The shortest `delete_threshold_days` that is taken from there. Default: the environment's own, so that it can only be "
        "made longer.",
        group="ClearML task",
    )
    task_allow_force_delete: bool = _option(
        False,
        "Whether `force_delete` can be switched on there where the environment has it off. It can be switched off in any case.",
        group="ClearML task",
    )
    task_id: str | None = _option(
        None,
        "The task that this very pass is. A ClearML Agent sets it: what the release said when it was enqueued then counts.",
        env="CLEARML_TASK_ID",
        group="ClearML task",
        scope=Scope.RELEASE,
        pattern=r"^[0-9a-zA-Z_-]+$",
    )
    release: str | None = _option(
        None,
        "Name of the Helm release, a tag of the runs in ClearML. The Helm chart sets it.",
        group="Run",
        scope=Scope.RELEASE,
        max_length=253,
    )
    job: str | None = _option(
        None,
        "Name of the Job that this pod belongs to. A pass is only skipped as not due where the CronJob's schedule made the "
        "Job. The Helm chart sets it.",
        group="Run",
        scope=Scope.RELEASE,
        pattern=_DNS_NAME,
        max_length=253,
    )

    # -- output
    log_format: Literal["auto", "json", "text"] = _option(
        "auto",
        "`json`: one object a line. `text`: progress and tables for people. `auto`: text on a terminal, else json.",
        group="Output",
        scope=Scope.POD,
    )
    log_level: Literal["debug", "info", "warning", "error"] = _option(
        "info", "Least severe log lines to print.", group="Output", edit=Edit.LISTED
    )
    report: Path | None = _option(
        None,
        "Write a report to this file; its ending chooses the form: .json, .html or .md.",
        group="Output",
        scope=Scope.POD,
        file=True,
    )

    # -- the sweep
    sweep_stores: Names = _option(
        (),
        "Where to look for task folders without a record: `s3://`, `gs://` and `azure://` URLs, and absolute paths of mounted "
        "folders, such as the fileserver's volume.",
        flag="--store",
        group="Sweep",
    )
    sweep_delete: bool = _option(
        False,
        "Delete those that are older than the grace period. Without it they are only reported.",
        flag="--delete",
        group="Sweep",
    )
    sweep_grace_days: Annotated[float, Field(ge=1, le=36_500, allow_inf_nan=False)] = _option(
        30.0,
        "Folders in which a file changed within so many days stay.",
        flag="--grace-days",
        group="Sweep",
    )
    sweep_known_one_in: int = _option(
        10,
        "The sweep refuses (exit code 2) where the server knows fewer than one in so many of the folders' tasks: that is the "
        "wrong server, or a fresh database.",
        flag="--known-one-in",
        group="Sweep",
        ge=1,
        le=1_000_000,
    )
    sweep_refuse_above: float = _option(
        0.5,
        "The sweep refuses (exit code 2) where a larger share of the folders than this would be deleted, and where the server "
        "does not know most of those that are younger than the grace period.",
        flag="--refuse-above",
        group="Sweep",
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    sweep_i_know: str | None = _option(
        None,
        "The host name of the API server, to sweep however few of the tasks it knows and however many folders are unknown.",
        flag="--i-know",
        group="Sweep",
    )

    # -- the original service's schedule
    cleanup_period_in_days: float = _option(
        1.0,
        "The period is the CronJob's schedule, and the job runs once. With `task`, a scheduled pass ends as not due before so "
        "many days have passed since the last completed one began; without it, the value is only checked.",
        env="CLEANUP_PERIOD_IN_DAYS",
        group="Schedule",
        edit=Edit.FREE,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
    )
    run_as_service: bool = _option(
        False,
        "The job never loops; it is a CronJob. With `task_mode: agent`, true makes each scheduled Job enqueue a pass, false "
        "only the first one; else the value is only checked.",
        group="Schedule",
        edit=Edit.FREE,
    )

    @property
    def fileserver(self) -> str | None:
        """The fileserver's address; None where files are kept in a bucket or a folder, or nobody knows where."""
        return self.files_host if (self.files_host or "").startswith(("http://", "https://")) else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands in: it reads the sources itself, to tell where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("access_key", "secret_key")
    @classmethod
    def _not_empty(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and not value.get_secret_value().strip():
            message = f"{info.field_name} is empty"
            raise ValueError(message)
        return value

    @field_validator("report")
    @classmethod
    def _known_form(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix not in {".json", ".html", ".md"}:
            message = "must end in .json, .html or .md"
            raise ValueError(message)
        if value is not None and not os.access(value.parent, os.W_OK):
            message = "must be in a folder that exists and can be written to"
            raise ValueError(message)
        return value

    @field_validator("task_editable")
    @classmethod
    def _known_settings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(setting_name(name) for name in value)
        for given, name in zip(value, names, strict=True):
            if name not in cls.model_fields:
                near = difflib.get_close_matches(name, list(cls.model_fields), 1)
                hint = f"did you mean {near[0]}?" if near else "they are written like delete_threshold_days"
                message = f"has {given!r}, which is not the name of a setting; {hint}"
                raise ValueError(message)
        return names

    @model_validator(mode="after")
    def _knows_its_shard(self) -> Self:
        if self.shards > 1 and self.shard is None:
            message = (
                f"CLEANUP_SHARDS={self.shards}, but JOB_COMPLETION_INDEX is not set: shards are the indexes of an Indexed Job, "
                "which the chart makes. Leave CLEANUP_SHARDS out to run one pass over all tasks"
            )
            raise ValueError(message)
        if self.shard is not None and self.shard >= self.shards:
            message = (
                f"JOB_COMPLETION_INDEX={self.shard}, but CLEANUP_SHARDS={self.shards}: each index would do the same work. Set "
                "CLEANUP_SHARDS to the Job's completions"
            )
            raise ValueError(message)
        if self.shards > 1 and self.task_mode == "agent":
            message = "CLEANUP_TASK_MODE=agent hands a pass to one agent: it can't have CLEANUP_SHARDS"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _has_connection(self) -> Self:
        missing = [env_name(name) for name in ("api_host", "access_key", "secret_key") if getattr(self, name) is None]
        if missing:
            message = (
                f"{', '.join(missing)} not set: name your ClearML Server and its credentials in the environment, "
                "or in a clearml.conf (CLEARML_CONFIG_FILE)"
            )
            raise ValueError(message)
        return self


def env_name(field: str) -> str:
    """The environment variable of a setting."""
    return _extra(field, "env") or PREFIX + field.upper()


def flag_name(field: str) -> str:
    """The flag of a setting."""
    return _extra(field, "flag") or "--" + field.replace("_", "-")


def group_name(field: str) -> str:
    """The heading that a setting stands under."""
    return _extra(field, "group")


def scope_of(field: str) -> Scope:
    """Where a setting may be said."""
    return Scope(_extra(field, "scope"))


def edit_of(field: str) -> Edit:
    """What an edit of it in ClearML may do."""
    return Edit(_extra(field, "edit"))


def names_file(field: str) -> bool:
    """Whether its value can be the path of a file in the pod."""
    return bool(_extra(field, "file"))


def _extra(field: str, name: str) -> str:
    extra = Settings.model_fields[field].json_schema_extra
    assert isinstance(extra, dict)  # noqa: S101 -- every field is made by _option
    return str(extra[name] or "")


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    conf: Mapping[str, tuple[str, str]],
    parameters: Mapping[str, tuple[Any, str]] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each one where its value came from.

    Args:
        flags: Values given on the command line, by field name.
        environ: The environment.
        conf: Values of lower rank: for each field the value, and the words that name its source.
        parameters: What counts of a task in ClearML, likewise: it ranks over the environment, and below flags.

    Raises:
        SettingsError: something is empty, unknown, malformed or missing.
    """
    fields = {env_name(name): name for name in Settings.model_fields}
    unknown = [name for name in environ if name.startswith(PREFIX) and name not in fields and not _SERVICE_LINK.fullmatch(name)]
    if unknown:
        message = "\n".join(unknown_name(name, fields) for name in sorted(unknown))
        raise SettingsError(message)
    empty = [name for name in fields if environ.get(name) is not None and not environ[name].strip()]
    if empty:
        message = f"{', '.join(empty)}: set but empty. Give a value, or unset it to have the default."
        raise SettingsError(message)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for name, (value, source) in conf.items():
        values[name], origins[name] = value, source
    for variable, name in fields.items():
        if variable in environ:
            values[name], origins[name] = environ[variable].strip(), variable
    for name, (value, source) in (parameters or {}).items():
        values[name], origins[name] = value, source
    for name, value in flags.items():
        values[name], origins[name] = value, flag_name(name)
    try:
        return Settings(**values), origins
    except ValidationError as error:
        raise SettingsError(mistakes(error, values, origins, env_name)) from None
