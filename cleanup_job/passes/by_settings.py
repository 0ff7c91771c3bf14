"""What a pass may do, and what it has to know, by its settings."""

from collections.abc import Callable, Mapping

from cleanup_job.passes.claim_index import ClaimIndex
from cleanup_job.passes.ports import Server, Storage
from cleanup_job.planning.policy import Policy, shared_folders
from cleanup_job.planning.selection import Rules
from cleanup_job.settings.filters import RelatedSettings
from cleanup_job.settings.model import Settings


def claim_index(server: Server, storage: Storage, settings: Settings, stopped: Callable[[], bool]) -> ClaimIndex:
    """An index of what other records need, as far as these settings ask for it; nothing is read yet."""
    return ClaimIndex(
        server,
        storage,
        settings.related.protect_linked_artifacts,
        links=settings.files.external_files == "delete",
        stopped=stopped,
    )


def related_of(settings: Settings) -> RelatedSettings:
    """What else is looked at: models with a tag that a policy names are kept, too."""
    document, related = settings.policies.document, settings.related
    if document is None:
        return related
    tags = dict.fromkeys((*related.keep_model_tags, *sorted(document.model_tags)))
    return related.model_copy(update={"keep_model_tags": tuple(tags)})


def policy_of(settings: Settings, storage: Storage, rules: Rules, projects: Mapping[str, str]) -> Policy:
    """What the settings allow; ``projects``: names by id."""
    return Policy(
        rules,
        unknown_stores=settings.files.unknown_stores,
        links=storage.links if settings.files.external_files == "delete" else frozenset(),
        by_file=storage.by_file,
        lists=storage.lists,
        shared=shared_folders(projects.values()),
        keep_model_tags=frozenset(related_of(settings).keep_model_tags),
    )


def must_exist(settings: Settings) -> tuple[str, ...]:
    """The projects that policies name, without which they can't be read."""
    document = settings.policies.document
    return tuple(document.must_exist()) if document is not None else ()
