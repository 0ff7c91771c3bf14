"""The draft of the job's task in ClearML: what a release writes there, and where a pass on an agent finds it."""

from collections.abc import Callable, Mapping

from cleanup_job.errors import AnswerError, CleanupError, SettingsError, UnreachableError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import ServiceTask
from cleanup_job.redaction import redacted
from cleanup_job.service_task import parameters
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.settings.model import Settings, shown

GENERATIONS = 20
"""How many clones of clones are followed up to a draft."""
RIGHTS = frozenset({401, 403})
"""Statuses that mean that the key lacks a right."""


def found(tasks: ServiceTasks, settings: Settings) -> ServiceTask | None:
    """The draft, or None if there certainly is none.

    Raises:
        SettingsError: a right is missing, the server's API is too old, or several tasks could be the draft.
        UnreachableError: the server gives no usable answer.
    """
    try:
        return tasks.find()
    except AnswerError as error:
        raise unread(named(settings), error) from error


def unread(task: str, error: AnswerError) -> CleanupError:
    """The error that ends a pass when the task whose parameters count can't be read."""
    message = f"{task} can't be read, so its edits are unknown and nothing was deleted: {error}."
    if error.status in RIGHTS:
        return SettingsError(f"{message} Give the key the right to read that project, or see CLEANUP_TASK_REQUIRED.")
    return UnreachableError(message)


def register(
    tasks: ServiceTasks, draft: ServiceTask | None, settings: Settings, origins: Mapping[str, str], warn: Callable[[str], None]
) -> ServiceTask:
    """Create the draft or bring it up to date. Values edited in ClearML are kept; all others follow the settings.

    Args:
        tasks: The job's own tasks in ClearML.
        draft: What ``find`` returned.
        settings: The settings to write there.
        origins: Where each setting came from.
        warn: Gets a warning of a secret that others will be able to read.

    Raises:
        SettingsError: the draft has unknown parameters.
    """
    warn_of_secret(settings, warn)
    statement = parameters.statement_of(settings, origins)
    wanted = parameters.parameters_of(statement)
    if draft is None:
        return tasks.create(wanted, statement)
    found = parameters.read(draft.hyperparams, draft.words)
    if not draft.is_draft:  # it was enqueued itself, or archived: the next one gets its edits
        return tasks.create(wanted | parameters.edited(found, draft.registered), statement)
    return tasks.update(draft, parameters.sync(found, draft.registered, statement))


def warn_of_secret(settings: Settings, warn: Callable[[str], None]) -> None:
    """Warn of credentials in what agents install: the draft and its clones show them."""
    if redacted(settings.service_task.task_requirement) != settings.service_task.task_requirement:
        warn(
            "CLEANUP_TASK_REQUIREMENT holds credentials, which everyone who may see the draft in ClearML can read there. "
            "Give them to the agents instead: agent.package_manager.extra_index_url in their clearml.conf, or a netrc file"
        )


def preview(tasks: ServiceTasks, draft: ServiceTask | None, settings: Settings, origins: Mapping[str, str]) -> list[str]:
    """Describe what `register` would write, without writing anything.

    Raises:
        SettingsError: the draft has unknown parameters.
    """
    statement = parameters.statement_of(settings, origins)
    wanted = parameters.parameters_of(statement)
    if draft is None or not draft.is_draft:
        found = parameters.read(draft.hyperparams, draft.words) if draft else {}
        values = wanted | (parameters.edited(found, draft.registered) if draft else {})
        return [f"make a draft: {named(settings)}", *(f"set {_parameter(name, value)}" for name, value in values.items())]
    found = parameters.read(draft.hyperparams, draft.words)
    sync = parameters.sync(found, draft.registered, statement)
    return [
        *(
            f"set {_parameter(n, v)} (now {shown(n, found[n])})" if n in found else f"set {_parameter(n, v)}"
            for n, v in sync.change.items()
        ),
        *(f"delete {_parameter(name, found[name])}" for name in sorted(sync.remove)),
        *(["change what an agent installs and runs"] if tasks.outdated(draft) else []),
        *(["note what can be edited, and from which values on"] if sync.registered != draft.registered else []),
    ]


def statement_of(tasks: ServiceTasks, own: ServiceTask) -> parameters.Values:
    """The release's settings: `enqueue` wrote them into the task; for a clone made in the Web UI, they are in its original.

    The original is the clone's parent, unless someone chose another one.

    Raises:
        SettingsError: none of these tasks has them.
    """
    task, seen = own, {own.id}
    while not task.registered and task.parent and task.parent not in seen and len(seen) < GENERATIONS:
        seen.add(TaskId(task.parent))
        try:
            task = tasks.read(task.parent)
        except AnswerError:  # it was deleted
            break
    if task.registered:
        return dict(task.registered)
    raise SettingsError(
        f"{own.words} does not say which release it belongs to, and neither does the task that it was cloned from, so it is "
        "unknown what it may delete. Enqueue one with `clearml-cleanup enqueue`, or clone the draft that `register` creates."
    )


def _parameter(name: str, value: str) -> str:
    return f"{parameters.section_of(name)}/{name}={shown(name, value)}"


def named(settings: Settings) -> str:
    """The draft as messages name it."""
    return f"task {settings.service_task.task_name!r} in project {settings.service_task.task_project!r}"
