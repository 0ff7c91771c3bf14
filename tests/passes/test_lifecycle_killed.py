"""Killed at any request, passes with policies converge: the same end, and nothing else touched."""

import contextlib

import pytest

from cleanup_job.errors import CleanupError
from clearml_sandbox.server import Fault, Request
from clearml_sandbox.store import Document
from clearml_sandbox.worlds.builder import World
from tests.passes.nights import Nights, nights
from tests.passes.test_lifecycle import task
from tests.passes.test_lifecycle_trouble import WRITES

__all__ = ["nights"]
POLICIES = """
policies:
  - {name: kept, match: {tags: [gold]}, keep: all}
  - {name: noticed, match: {projects: [noticed]}, notice: 7d, archive: {after: 14d}, delete: {after: 30d}}
  - {name: slimmed, match: {projects: [slimmed]}, slim: {after: 10d, remove: [artifacts, debug_samples, checkpoints]}}
  - {name: lab, match: {projects: [lab]}, archive: {after: 14d}, delete: {after: 30d}}
"""


def world(nights: Nights) -> World:
    """Something for each stage, and neighbours that are left alone."""
    made = nights.world()
    to_delete = task(made, "to delete", archived=True, days_old=60)
    to_archive = task(made, "to archive")
    to_notice = task(made, "to notice", project="noticed", days_old=9)
    to_put_right = task(made, "to put right", project="noticed", days_old=1, tags=["cleanup:archives=2026-11-20", "mine"])
    to_slim = task(made, "to slim", project="slimmed", archived=True, days_old=30)
    living, gold = task(made, "living", days_old=1), task(made, "gold", tags=["gold"])
    for one in (to_delete, to_archive, to_notice, to_put_right, to_slim, living, gold):
        one.artifact("data")
        one.debug_images(2)
        one.model("first")
        one.model("last")
    return made


def end(nights: Nights) -> Document:
    """All that is there, without what differs with the moment and the number of tries."""
    now = nights.everything()
    moments = {"last_change", "last_update", "last_changed_by"}
    tasks = {i: {k: v for k, v in one.items() if k not in moments} for i, one in now["tasks"].items()}
    return {**now, "tasks": tasks, "models": sorted(now["models"])}


@pytest.fixture
def expected(nights: Nights) -> Document:
    """What undisturbed nights leave."""
    nights.load(world(nights), POLICIES)
    nights.until_quiet()
    return end(nights)


def untouched(nights: Nights) -> list[Document]:
    return [one for one in nights.everything()["tasks"].values() if one["name"] in {"living", "gold"}]


def requests_of_a_night(nights: Nights) -> list[Request]:
    nights.load(world(nights), POLICIES)
    nights.night(workers=1)
    return list(nights.sandbox.requests)


def changes(request: Request) -> bool:
    return request.call in WRITES or request.call == "/delete_many"


def test_killed_at_any_request(nights: Nights, expected: Document) -> None:
    """The n-th request is carried out, and neither it nor any that follow get an answer.

    A pass that is killed while it reads leaves what its last change left: of these requests, some are tried.
    """
    known = requests_of_a_night(nights)
    for n in (n for n, one in enumerate(known, 1) if changes(one) or n % 40 == 0):
        nights.load(world(nights), POLICIES)
        neighbours = untouched(nights)

        def dead(request: Request, n: int = n) -> Fault | None:
            number = len(nights.sandbox.requests)
            return None if number < n else Fault(after=number == n)

        nights.sandbox.fault = dead
        with contextlib.suppress(CleanupError):  # one, or another, depending on n
            nights.night(attempts=1, workers=1)
        nights.sandbox.fault = None
        nights.until_quiet()
        assert end(nights) == expected, f"request {n}"
        assert untouched(nights) == neighbours, f"request {n}"
