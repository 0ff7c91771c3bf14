"""Who made the models that tasks list as their outputs.

A task can list a model that another one made: an import, a pipeline that monitors models. The server would delete it with the
lister (recording ``delete_listed_models``), and nothing in the lister's own record tells which it is.
"""

from collections.abc import Iterable, Sequence

from msgspec import UnsetType

from cleanup_job.clearml_api.documents import MakerOf
from cleanup_job.clearml_api.listed_documents import Malformed, page
from cleanup_job.clearml_api.listing import Call, chunks
from cleanup_job.planning.paths import ModelId, TaskId
from cleanup_job.planning.records import DELETED_PREFIX
from cleanup_job.transport.bounded_http import MOST_BYTES
from cleanup_job.transport.splitting import Splitting

UNKNOWN = TaskId("")
"""The maker of a model whose record can't be read: it may be any task."""


def makers_of(split: Splitting[Call], models: Iterable[ModelId]) -> dict[ModelId, TaskId]:
    """The makers of these models.

    Left out are models that no task on the server can have made: those without a maker, those whose maker was deleted, and
    those that no longer exist.

    Args:
        split: Calls the server, and divides calls that fail: a model for which the server fails has an unknown maker.
        models: Their ids.

    Raises:
        DownError: the server gives no usable answer to anything.
    """
    found: dict[ModelId, TaskId] = {}
    for chunk in chunks(sorted({model for model in models if not model.startswith(DELETED_PREFIX)})):
        answers, failed = split.each("makers of models", chunk, _makers)
        found |= dict.fromkeys(failed, UNKNOWN)
        for some in answers:
            found |= some
    return found


def _makers(call: Call, models: Sequence[ModelId]) -> dict[ModelId, TaskId]:
    """Those of at most a page. What an answer lacks is asked for once more: a server may cut it off, and does not say."""
    found: dict[ModelId, TaskId] = {}
    left = set(models)
    while left:
        body = {"id": sorted(left), "only_fields": ["id", "task"], "order_by": ["id"]}
        answer = page(call("models.get_all", body, MOST_BYTES), "models", MakerOf)
        found |= {ModelId(entry.id): maker for entry in answer if (maker := _maker(entry)) is not None and entry.id in left}
        missing = left.difference(entry.id for entry in answer)
        if any(not entry.id for entry in answer):  # it may be any of those that seem to be gone
            return found | dict.fromkeys(missing, UNKNOWN)
        if len(missing) == len(left):
            break
        left = missing
    return found


def _maker(entry: MakerOf | Malformed) -> TaskId | None:
    """The task that made a model; None if none on the server can have."""
    if isinstance(entry, Malformed):
        return UNKNOWN
    maker = "" if isinstance(entry.task, UnsetType) else entry.task
    return TaskId(maker) if maker and not maker.startswith(DELETED_PREFIX) else None
