"""Tasks as people name them: by id, or by the address of a page in ClearML's Web UI."""

import re
from collections.abc import Iterable
from itertools import pairwise
from urllib.parse import urlsplit

from cleanup_job.errors import SettingsError
from cleanup_job.planning.paths import TaskId

_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_BEFORE_AN_ID = frozenset({"experiments", "tasks"})
"""Parts of a page's address that a task's id follows."""


def task_ids(words: Iterable[str]) -> list[TaskId]:
    """The tasks that these words name, each once; a word may hold several, with commas in between.

    Raises:
        SettingsError: a word is neither an id nor the address of a task's page.
    """
    return list(dict.fromkeys(_task_id(part.strip()) for word in words for part in word.split(",")))


def _task_id(word: str) -> TaskId:
    found = word if _ID.fullmatch(word) else _in_link(word)
    if not found:
        message = (
            f"{word!r} is not the ID of a task: use its 32 hexadecimal digits, or the address of its page in ClearML's Web UI, "
            "…/projects/…/experiments/ID"
        )
        raise SettingsError(message)
    return TaskId(found.lower())


def _in_link(word: str) -> str:
    """The id of the one task whose page has this address; empty if there is none."""
    try:
        address = urlsplit(word)
    except ValueError:
        return ""
    parts = address.path.split("/")
    found = {part for before, part in pairwise(parts) if before in _BEFORE_AN_ID and _ID.fullmatch(part)}
    return found.pop() if address.scheme in {"http", "https"} and len(found) == 1 else ""
