"""Combines the operator's settings with what people edited in ClearML. Pure except for ``read``, which reads settings again."""

from collections.abc import Callable, Mapping

from cleanup_job.errors import SettingsError
from cleanup_job.service_task import parameters
from cleanup_job.settings.mistakes import unknown_name
from cleanup_job.settings.model import Settings
from cleanup_job.settings.sources import DEFAULT

Known = tuple[Settings, dict[str, str]]
"""Settings, and where each one came from."""
Given = Mapping[str, tuple[object, str]]
"""Values, each with the words that name its source."""
Read = Callable[[Given], Known]
"""Reads all settings again, with values that rank above the environment and below flags."""


def beside(operator: Known, edits: parameters.Values, task: str, read: Read) -> tuple[Known, tuple[str, ...]]:
    """The settings that count for a pass, and notes on the edits that don't.

    Args:
        operator: The operator's settings.
        edits: What people edited in the task. A flag, which is for this pass alone, takes precedence.
        task: The task in words.
        read: Reads settings on top of the operator's.

    Raises:
        SettingsError: an edit that could count is not a valid value.
    """
    settings, origins = operator
    where = {n: place for n, place in parameters.origins_of(edits, task).items() if not _is_flag(origins[n])}
    asked, _ = read({name: (edits[name], where[name]) for name in parameters.open_to(settings, where)})
    taken = parameters.narrowed(settings, asked, where)
    if not taken.values:
        return operator, taken.notes
    return read({name: (value, where[name]) for name, value in taken.values.items()}), taken.notes


def registered(environment: Known, statement: parameters.Values, task: str) -> Given:
    """The settings that a release registered in a task, as far as the environment does not set them.

    Raises:
        SettingsError: it registered settings that this version doesn't know.
    """
    known = {*parameters.TRANSFERABLE, *parameters.BOUNDS}
    if strange := sorted(statement.keys() - known):
        raise SettingsError(
            f"{task} was registered with {strange[0]}, and {unknown_name(strange[0], known)} Let the agent install the version "
            "of clearml-cleanup that registered it (CLEANUP_TASK_REQUIREMENT)."
        )
    origins = environment[1]
    return {name: (value, _place(name, task)) for name, value in statement.items() if origins[name] == DEFAULT}


def handed_over(environment: Known, statement: parameters.Values, task: str, read: Read) -> tuple[Given, tuple[str, ...]]:
    """The operator's settings where an agent runs the pass: the release's, or the agent's environment's if that is narrower.

    Args:
        environment: The settings of the environment in which the pass runs.
        statement: The settings that the release had when it registered or enqueued the task.
        task: The task in words.
        read: Reads settings on top of the environment's.

    Returns:
        The release's settings that count before the environment's, for ``read``; and notes on those that don't count.

    Raises:
        SettingsError: the statement has settings that this version doesn't know, or values that are not valid.
    """
    settings, origins = environment
    alone = registered(environment, statement, task)
    both = {name: _place(name, task) for name in statement.keys() - alone.keys() if not _is_flag(origins[name])}
    asked, _ = read({name: (statement[name], place) for name, place in both.items()})
    taken = parameters.narrowed(settings, asked, both, trusted=True)
    return {**alone, **{name: (value, both[name]) for name, value in taken.values.items()}}, taken.notes


def _place(name: str, task: str) -> str:
    return f"{name} as registered for {task}"


def _is_flag(origin: str) -> bool:
    return origin.startswith("--")
