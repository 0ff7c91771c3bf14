"""Answers about the job's own tasks, which are read field by field."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cleanup_job.errors import AnswerError

Document = dict[str, Any]


def documents(data: Document, key: str) -> list[Document]:
    """The list of documents in an answer.

    Raises:
        AnswerError: there is none, or one of them has no id.
    """
    found = data.get(key)
    if not isinstance(found, list) or not all(isinstance(d, dict) and isinstance(d.get("id"), str) for d in found):
        message = f"an answer without a list of {key}"
        raise AnswerError(message)
    return found


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Around the reading of an answer: what has another shape than the API promises can't be trusted.

    Raises:
        AnswerError: it has another shape.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"{what}: an answer that can't be read ({error})") from error
