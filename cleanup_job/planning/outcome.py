"""The outcome of a pass: one record for each task, and their sum.

The sum grows with the number of projects and reasons, not with the number of tasks: examples are cut at ``EXAMPLES``.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.paths import TaskId

EXAMPLES = 100
"""Tasks named for each reason in a report; the log names every one. Also warnings, and projects that were deleted."""
NAMED = 20
"""Addresses, stores and rules in a line: no line grows with what a record, or a server, holds."""
PROJECTS = 1000
"""Projects with a row of their own in a report file: the largest."""


SERVERS = ("api", "files", "s3", "gs", "azure")
"""What requests are counted by: ClearML's two servers, and the kinds of buckets."""


class Verdict(StrEnum):
    """What became of a task; in a dry run, what would."""

    DELETED = "deleted"
    WOULD_DELETE = "would_delete"
    """In a dry run."""
    KEPT = "kept"
    FAILED = "failed"
    NOT_OURS = "not_ours"
    GONE_ALREADY = "gone_already"
    """Its record was deleted by someone else while the pass ran: another release, or a person."""
    ARCHIVED = "archived"
    WOULD_ARCHIVE = "would_archive"
    """In a dry run, as the two below."""
    SLIMMED = "slimmed"
    """Outputs of it were removed; its record is kept."""
    WOULD_SLIM = "would_slim"
    NOTICED = "noticed"
    """It got the tag that announces its next stage."""
    WOULD_NOTICE = "would_notice"


NOTICES = frozenset({Verdict.NOTICED, Verdict.WOULD_NOTICE})
STAGED = NOTICES | {Verdict.ARCHIVED, Verdict.WOULD_ARCHIVE, Verdict.SLIMMED, Verdict.WOULD_SLIM}
"""That a policy did something with a task, or in a dry run would, apart from its deletion."""
GONE = frozenset({Verdict.DELETED, Verdict.WOULD_DELETE})
"""That the pass deleted a task, or in a dry run would."""


class Reason(StrEnum):
    """Why a selected task is kept. The values are part of the log's schema."""

    UNKNOWN_STORE = "unknown_store"
    UNUSABLE_PATH = "unusable_path"
    CHANGED = "changed"
    NEEDS_FORCE = "needs_force"
    IN_USE = "in_use"
    DATASET_IN_USE = "dataset_in_use"
    KEEP_RULE = "keep_rule"
    PIPELINE_STEP = "pipeline_step"
    PUBLIC = "public"
    FORBIDDEN = "forbidden"
    FILE_ERROR = "file_error"
    FILES_NOT_FOUND = "files_not_found"
    RECORD_ERROR = "record_error"
    SERVER_ERROR = "server_error"
    UNREADABLE = "unreadable"
    UNREACHABLE = "unreachable"
    NOT_AUDITED = "not_audited"
    NOT_SELECTED = "not_selected"
    RESTORED = "restored"


REASON_TEXTS = {
    Reason.UNKNOWN_STORE: "has files on a store that the job does not know",
    Reason.UNUSABLE_PATH: "names a file by a path that is not safe to send to a store",
    Reason.CHANGED: "was restored, re-run or changed since it was selected",
    Reason.NEEDS_FORCE: "has published children or models, and force_delete is off",
    Reason.IN_USE: "made something that a task which is kept still uses",
    Reason.DATASET_IN_USE: "is a dataset version still needed by versions or tasks that are kept",
    Reason.KEEP_RULE: "is kept by a rule of yours",
    Reason.PIPELINE_STEP: "is a step of a pipeline whose controller is kept",
    Reason.PUBLIC: "is a public example",
    Reason.FORBIDDEN: "may not be written with this key",
    Reason.FILE_ERROR: "has files that could not be deleted",
    Reason.FILES_NOT_FOUND: "has no file where its record says, but may have some under another name",
    Reason.RECORD_ERROR: "has a record that could not be deleted",
    Reason.SERVER_ERROR: "is one that the server fails to answer for",
    Reason.UNREADABLE: "has a record that can't be read as ClearML's API describes it",
    Reason.UNREACHABLE: "was left when the server could not be reached",
    Reason.NOT_AUDITED: "is one whose lines in the audit log could not be written",
    Reason.NOT_SELECTED: "was asked for by its ID, and is not one that your settings allow to delete",
    Reason.RESTORED: "was restored from the archive after a policy had archived or announced something",
}


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """One selected task.

    Counts are of what was deleted with it: nothing if it is kept, files alone if its record could not be deleted afterwards, or
    was deleted by someone else. ``bytes`` counts known sizes only.
    """

    task: TaskId
    name: str
    project: str
    """The project's name."""
    project_id: str
    verdict: Verdict
    reason: Reason | None = None
    detail: str = ""
    """One line for people: what exactly, and the way out."""
    models: int = 0
    files: int = 0
    bytes: int = 0
    files_missing: int = 0
    """Files that its record names on the fileserver and that were not there any more; not in ``files``."""
    kept_models: int = 0
    """Output models that are kept although the task is deleted: published, or used by others."""
    protected: tuple[str, ...] = ()
    """URIs in the task's folder that are kept because a surviving record needs them."""
    external: tuple[str, ...] = ()
    """URIs outside the task's folder (at most ``EXAMPLES``): kept, or deleted if ``external_files`` says so."""
    external_count: int = 0
    unknown_stores: tuple[tuple[str, int], ...] = ()
    """Addresses of stores that the job doesn't know, each with its number of files."""
    rule: str = ""
    """The entry of ``threshold_rules`` that its age was measured by; empty for the threshold of all."""
    unsized: int = 0
    """Those of ``files`` whose size is not known."""
    user: str = ""
    """The id of its owner; empty if unknown."""
    status: str = ""
    active: datetime | None = None
    """The moment from which its age counts; None if unknown."""
    digest: str = ""
    """Of the record of a task that is deleted, and of those of its models (`deletion.digest_of`)."""
    policy: str = ""
    """The name of the policy that counts for it; empty if there are none."""
    stage: Stage | None = None
    """What of its policy was done, announced, or failed; None without policies, and for what is kept."""
    due: datetime | None = None
    """Of a notice: the moment that is announced."""


@dataclass(slots=True)
class ProjectSum:
    """The row of one project."""

    name: str
    tasks: int = 0
    models: int = 0
    files: int = 0
    bytes: int = 0
    unsized: int = 0
    """Those of ``files`` whose size is not known."""
    kept: int = 0
    failed: int = 0
    not_ours: int = 0
    gone_already: int = 0

    @property
    def weight(self) -> int:
        """Tasks that were looked at here."""
        return self.tasks + self.kept + self.failed

    def count_in(self, row: "ProjectSum") -> None:
        """Add another row's numbers."""
        for name in ("tasks", "models", "files", "bytes", "unsized", "kept", "failed", "not_ours", "gone_already"):
            setattr(self, name, getattr(self, name) + getattr(row, name))


@dataclass(slots=True)
class ReasonSum:
    """All tasks that are kept for one reason, with the first ones as examples."""

    reason: Reason
    count: int = 0
    failed: int = 0
    """Those of them that could not be deleted, or not be read."""
    examples: list[TaskOutcome] = field(default_factory=list)


@dataclass(slots=True)
class StageSum:
    """What one policy did with tasks in one stage; counts are of tasks unless they say otherwise."""

    stage: Stage
    policy: str
    done: int = 0
    """In a dry run, those with which it would be done."""
    failed: int = 0
    models: int = 0
    files: int = 0
    bytes: int = 0
    """Of known sizes."""
    noticed: int = 0
    """Those for which it was announced."""
    soonest: datetime | None = None
    """The earliest moment that was announced."""
    examples: list[TaskOutcome] = field(default_factory=list)
    """The first ones that were announced, and the first ones with which it was done."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Archived tasks that a setting leaves out."""

    count: int
    text: str
    """Which tasks they are, after their number: ``archived tasks past the threshold are not drafts``."""
    setting: str
    """What would include them, such as ``CLEANUP_FORCE_DELETE=true``, or the setting that leaves them out."""
    is_least: bool = False
    """Whether there may be more: not all archived tasks were looked at."""


@dataclass(slots=True)
class Report:
    """The sum of a pass. Warnings may come from many threads; everything else is changed by the one that runs the pass."""

    version: str
    dry_run: bool
    started: datetime
    cutoff: datetime
    """Tasks whose age counts from before this moment were eligible, by the server's clock."""
    server: str = ""
    """The address of the API server."""
    web: str = ""
    """The address of the web server, for links; empty if unknown."""
    finished: datetime | None = None
    selected: int = 0
    """Tasks found so far: it grows during the pass."""
    counted: bool = False
    """Whether ``selected`` and ``left`` are what the whole listing gave, as far as it was read: not if it failed at once."""
    oldest: datetime | None = None
    """The moment from which the age of the oldest task counts that was found; None if there is none, or it is unknown."""
    left: int = 0
    """Selected tasks that this pass did not come to: its budget or deadline ended, or it was stopped."""
    left_is_least: bool = False
    """Whether more than these may be left: the listing was not read to its end."""
    stopped_by: StopReason | None = None
    """Why it ended early, if it did."""
    error: str = ""
    exit_code: int = 0
    requests: int = 0
    requests_to: Counter[str] = field(default_factory=Counter)
    """The same by server (``SERVERS``). Logins don't count; calls about the job's own task in ClearML do, up to the end."""
    retries_to: Counter[str] = field(default_factory=Counter)
    """Requests that were tried again, by server."""
    projects: dict[str, ProjectSum] = field(default_factory=dict)
    reasons: dict[Reason, ReasonSum] = field(default_factory=dict)
    unknown_stores: Counter[str] = field(default_factory=Counter)
    files_missing: int = 0
    protected: int = 0
    kept_models: int = 0
    external: int = 0
    external_examples: list[tuple[TaskId, str]] = field(default_factory=list)
    protected_examples: list[tuple[TaskId, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """The first ones (at most ``EXAMPLES``)."""
    warned: int = 0
    """Lines of warning, those included that only the log has."""
    rules: Counter[str] = field(default_factory=Counter)
    """Tasks that were deleted by each entry of ``threshold_rules``."""
    emptied: list[str] = field(default_factory=list)
    """Names of projects that were deleted since nothing was left in them."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds spent in each phase (``select``, ``plan``, ``files``, ``records``), added up over all workers."""
    shard: int | None = None
    """Which part of a pass it is, from 0; None if the pass has no parts."""
    shards: int = 1
    run: str = ""
    """The task in ClearML that this pass is, or is reported in; empty if there is none."""
    settings: list[tuple[str, str, str]] = field(default_factory=list)
    """The settings that are not at their defaults: each one's name, its value as it may be shown, and where it came from."""
    users: Mapping[str, str] = field(default_factory=dict)
    """The users' names by id, where they were asked for."""
    audit: str = ""
    """Where its audit log is; empty if it keeps none."""
    audit_hash: str = ""
    """The hash of the last line there."""
    stages: dict[tuple[str, str], StageSum] = field(default_factory=dict)
    """With policies: what they did, by stage and policy. What was deleted is in ``projects``, too."""
    policies: str = ""
    """The digest of the file with policies; empty if there is none."""
    left_out: list[LeftOut] = field(default_factory=list)
    """In a dry run: archived tasks that the settings leave out."""
    clock_ahead: timedelta = timedelta()
    """How far ``started`` is ahead of the clock that ages count by."""
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    @property
    def unfinished(self) -> bool:
        """Whether tasks are, or may be, left for the next pass."""
        return bool(self.left or self.left_is_least)

    def add(self, outcome: TaskOutcome) -> None:
        """Count one task in."""
        if outcome.stage is not None and (outcome.policy or outcome.verdict in STAGED):
            self._add_stage(outcome.stage, outcome)
        if outcome.verdict not in STAGED:
            self._add_to_its_project(outcome)
        if outcome.reason is not None:
            entry = self.reasons.setdefault(outcome.reason, ReasonSum(outcome.reason))
            entry.count += 1
            entry.failed += outcome.verdict is Verdict.FAILED
            if len(entry.examples) < EXAMPLES:
                entry.examples.append(outcome)
        for address, files in outcome.unknown_stores:
            self.unknown_stores[address] += files

    def _add_to_its_project(self, outcome: TaskOutcome) -> None:
        row = self.projects.setdefault(outcome.project_id, ProjectSum(outcome.project))
        row.files += outcome.files
        row.bytes += outcome.bytes
        row.unsized += outcome.unsized
        self.files_missing += outcome.files_missing
        if outcome.verdict in GONE:
            if outcome.rule:
                self.rules[outcome.rule] += 1
            row.tasks += 1
            row.models += outcome.models
            self.kept_models += outcome.kept_models
            self.protected += len(outcome.protected)
            self.external += outcome.external_count
            _extend(self.protected_examples, outcome.task, outcome.protected)
            _extend(self.external_examples, outcome.task, outcome.external)
        elif outcome.verdict is Verdict.KEPT:
            row.kept += 1
        elif outcome.verdict is Verdict.FAILED:
            row.failed += 1
        elif outcome.verdict is Verdict.GONE_ALREADY:
            row.gone_already += 1
        else:
            row.not_ours += 1

    def _add_stage(self, stage: Stage, outcome: TaskOutcome) -> None:
        entry = self.stages.setdefault((stage.value, outcome.policy), StageSum(stage, outcome.policy))
        is_notice = outcome.verdict in NOTICES
        if is_notice:
            entry.noticed += 1
            entry.soonest = min((one for one in (entry.soonest, outcome.due) if one is not None), default=None)
        elif outcome.verdict in GONE | STAGED:
            entry.done += 1
        else:
            entry.failed += outcome.verdict is Verdict.FAILED
        entry.models += outcome.models
        entry.files += outcome.files
        entry.bytes += outcome.bytes
        if outcome.verdict in GONE | STAGED and (entry.noticed if is_notice else entry.done) <= EXAMPLES:
            entry.examples.append(outcome)

    def warn(self, text: str) -> None:
        """Note something that people should look at. Safe to call from many threads."""
        with self._lock:
            self.warned += 1
            if len(self.warnings) < EXAMPLES:
                self.warnings.append(text)

    def warn_in_log(self) -> None:
        """Count a line of warning that only the log has. Safe to call from many threads."""
        with self._lock:
            self.warned += 1

    def total(self) -> ProjectSum:
        """All projects in one row."""
        total = ProjectSum("total")
        for row in self.projects.values():
            total.count_in(row)
        return total

    def largest_projects(self) -> list[tuple[str, ProjectSum]]:
        """Projects by id, those with the most tasks first, at most ``PROJECTS``."""
        rows = sorted(self.projects.items(), key=lambda pair: (-pair[1].weight, pair[1].name))
        return rows[:PROJECTS]

    def task_link(self, task: TaskId, project_id: str) -> str:
        """The task's page in ClearML's web server; empty if its address is unknown."""
        return f"{self.web}/projects/{project_id or '*'}/experiments/{task}/output/execution" if self.web else ""


def _extend(examples: list[tuple[TaskId, str]], task: TaskId, uris: tuple[str, ...]) -> None:
    examples.extend((task, uri) for uri in uris[: EXAMPLES - len(examples)])
