"""A task's artifacts right before its list of them is changed: each as the server gives it, so that no field of it is lost."""

from collections.abc import Collection, Sequence

from msgspec import Raw, Struct

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded
from cleanup_job.clearml_api.documents import ArtifactEntry, Status, Text
from cleanup_job.planning.records import Artifact


class _ArtifactsNow(Struct, frozen=True):
    artifacts: list[Raw]


class OutputsNow(Struct, frozen=True):
    """A task with its status and its artifacts."""

    status: Status
    execution: _ArtifactsNow


class _ArtifactNow(ArtifactEntry, frozen=True, kw_only=True):
    """One of them; its key must be readable."""

    key: Text


def without(now: Sequence[Raw], gone: Collection[Artifact]) -> list[Raw] | None:
    """The rest of a list of artifacts; None if it can't be known, or if one that is to go was changed meanwhile."""
    by_place = {(one.key, one.mode): one for one in gone}
    rest: list[Raw] = []
    for raw in now:
        try:
            artifact = decoded(raw, _ArtifactNow).artifact()
        except DECODING_ERRORS:
            return None
        known = by_place.get((artifact.key, artifact.mode))
        if known is None:
            rest.append(raw)
        elif known != artifact:
            return None
    return rest
