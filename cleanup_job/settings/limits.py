"""How much a pass may delete, how fast, and which files."""

from typing import ClassVar, Literal

from cleanup_job.settings.fields import Addresses, Folders, Group, Seconds, Verify, option
from cleanup_job.settings.scopes import Edit, Scope

SMALL_PROJECT = 10
"""Archived tasks of a project below which ``refuse_above_percent`` does not look at it alone: one of two is half of them."""


class LimitSettings(Group):
    """How much a pass may do."""

    heading: ClassVar = "Limits"

    max_tasks: int | None = option(
        None,
        "Budget: delete at most this many tasks in one pass, newest activity first, and report at least how many are left. "
        "With policies, it is for archived and slimmed tasks, too. Several pods divide it among themselves. Default: no limit.",
        edit=Edit.LOWER,
        ge=1,
    )
    refuse_above: int | None = option(
        None,
        "Safety limit: abort before deleting anything (exit code 2) if more than this many tasks match, in all pods "
        "together; a dry run lists them first. To be counted, the tasks are listed twice. With policies, tasks to "
        "archive and to slim count, too. Default: no limit.",
        edit=Edit.LOWER,
        ge=1,
    )
    refuse_above_percent: float | None = option(
        None,
        "Safety limit: abort before deleting anything (exit code 2) if more than this share of all archived tasks, in percent, "
        f"matches on the whole server, or in one project with {SMALL_PROJECT} archived tasks or more; a dry run lists them "
        "first. For this, all archived tasks are listed once more. With policies, tasks to slim count, too. Default: no limit.",
        edit=Edit.LOWER,
        gt=0,
        le=100,
        allow_inf_nan=False,
    )
    refuse_above_bytes: int | None = option(
        None,
        "Safety limit: abort before deleting anything (exit code 2) if the tasks that match have more than this many bytes in "
        "their folders; a dry run lists them first. Only the sizes in the tasks' records count, which are those of artifacts: "
        "files of models, debug samples and plots have none. For this, these tasks are read once more. With policies, "
        "artifacts that slimming may remove count, too. Default: no limit.",
        edit=Edit.LOWER,
        ge=1,
    )
    deadline_seconds: Seconds | None = option(
        None,
        "Start no new batch after this many seconds, and report at least how many tasks are left. Default: no limit.",
        edit=Edit.LOWER,
        rare=True,
    )
    max_tasks_per_second: float | None = option(
        None,
        "Process at most this many tasks per second, for a busy or small server. Batches become smaller accordingly. "
        "Default: no limit.",
        edit=Edit.LOWER,
        rare=True,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
    )

    @property
    def need_counting(self) -> bool:
        """Whether a limit is set for which everything is counted before the first deletion."""
        return any(limit is not None for limit in (self.refuse_above, self.refuse_above_percent, self.refuse_above_bytes))

    def tasks_per_second(self, shards: int) -> float | None:
        """The share that one of so many pods has of ``max_tasks_per_second``; None if there is no limit."""
        return None if self.max_tasks_per_second is None else self.max_tasks_per_second / shards


class FileSettings(Group):
    """Where files can be deleted, and what happens to a task if they can't be."""

    heading: ClassVar = "Files"
    rare: ClassVar = True

    files_url_prefixes: Addresses = option(
        (),
        "Further addresses of the same fileserver that records contain, such as a public name or the one from before a move.",
        chart=False,
    )
    mounted_folders: Folders = option(
        (),
        "Folders mounted into the pod, as absolute paths that records contain (`file:///mnt/share/…` or plain): task folders "
        "below them can be deleted.",
    )
    stores_verify_certificate: Verify = option(
        True,
        "Whether to verify the TLS certificates of object stores, or the path of a CA bundle to verify them with. "
        "An entry's own `verify` in `sdk.aws.s3` of clearml.conf takes precedence.",
        edit=Edit.ON,
        file=True,
        sweeps=True,
    )
    external_files: Literal["keep", "delete"] = option(
        "keep",
        "Files outside a task's folder, to which the task only links: keep them, or delete those on the fileserver that are "
        "not in another task's folder. With `delete`, files that something else links to are deleted too.",
        edit=Edit.STRICTER,
    )
    on_file_error: Literal["keep_record", "delete_record"] = option(
        "keep_record",
        "If a file of a task could not be deleted: keep the task's record, so that the next pass tries again, or delete the "
        "record and leave the file behind for good.",
        edit=Edit.STRICTER,
    )
    missing_files: Literal["keep_record", "delete_record"] = option(
        "keep_record",
        "If none of a task's files is found, and their addresses can be read in more than one way, so that they may exist "
        "under another name: keep the task, or delete its record. A task whose addresses have one reading is always deleted.",
        edit=Edit.STRICTER,
    )
    unknown_stores: Literal["keep_record", "delete_record"] = option(
        "keep_record",
        "If a task has files in a store that the job doesn't know: keep the task, or leave those files behind and delete the "
        "rest.",
        edit=Edit.STRICTER,
    )


class RunSettings(Group):
    """How a pass works."""

    heading: ClassVar = "Run"
    rare: ClassVar = True

    dry_run: bool = option(False, "Only read, and print what a pass would delete.", edit=Edit.ON, rare=False)
    page_size: int = option(
        500,
        "Records returned by one listing call. ClearML Server allows 500 at most.",
        edit=Edit.LISTED,
        sweeps=True,
        ge=1,
        le=500,
    )
    batch_size: int = option(500, "Tasks that are planned and deleted together.", edit=Edit.LISTED, ge=1, le=500)
    workers: int = option(4, "Batches in progress at the same time.", edit=Edit.LISTED, rare=False, ge=1, le=32)
    max_requests_in_flight: int = option(
        16,
        "Concurrent requests to each of ClearML's two servers, the API server and the fileserver. The job lowers the number by "
        "itself while a server answers 429 or 503, or does not answer.",
        edit=Edit.LISTED,
        sweeps=True,
        ge=1,
        le=64,
    )
    shards: int = option(
        1,
        "Pods that share a pass, as the indexes of an Indexed Job (`shards` in the chart). Each has its own days of "
        "`last_update`.",
        scope=Scope.RELEASE,
        chart=False,
        ge=1,
        le=100,
    )
    shard: int | None = option(
        None,
        "The index of this pod among them, from 0. Kubernetes sets it.",
        env="JOB_COMPLETION_INDEX",
        scope=Scope.RELEASE,
        chart=False,
        ge=0,
    )
    request_timeout_seconds: Seconds = option(
        120.0,
        "Time after which a request without an answer has failed; receiving a whole answer may take twice as long.",
        edit=Edit.LISTED,
        sweeps=True,
    )
    attempts: int = option(
        6,
        "How often a request is tried if it fails for a temporary reason, with back-off in between.",
        edit=Edit.LISTED,
        sweeps=True,
        ge=1,
        le=20,
    )
