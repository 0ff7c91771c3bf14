"""The listing for policies is narrowed by what filters and policies have in common, and never to an empty list."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cleanup_job.planning.filters import ActiveFilter
from cleanup_job.planning.lifecycle.fate import Lifecycle
from cleanup_job.planning.lifecycle.policy import LifecyclePolicy, Match, PolicyFile
from cleanup_job.planning.selection import Query, Rules
from cleanup_job.planning.staged import staged_query

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def only(name: str, *ids: str) -> ActiveFilter:
    return ActiveFilter(name, frozenset(ids))


def rules(*projects: set[str] | None, **more: object) -> Rules:
    """Rules with one policy for each set of projects; None is for all."""
    policies = [LifecyclePolicy(str(n), Match(None if one is None else frozenset(one))) for n, one in enumerate(projects)]
    return replace(Rules(NOW, lifecycle=Lifecycle(PolicyFile(tuple(policies)), NOW)), **more)


@pytest.mark.parametrize(
    ("given", "query"),
    [
        (Rules(NOW), None),
        (rules({"a"}, {"b", "a"}), Query(projects=("a", "b"))),
        (rules({"a"}, None), Query()),
        (rules({"a", "b"}, only=(only("projects", "b", "c"),)), Query(projects=("b",))),
        (rules({"a"}, only=(only("projects", "c"),)), None),
        (rules(None, only=(only("projects", "c"),)), Query(projects=("c",))),
        (rules(None, only=(only("users"),)), None),
        (rules(None, only=(only("users", "u"),), include_hidden=True), Query(users=("u",), hidden=True)),
        (rules({"a"}, force_delete=True), Query(projects=("a",))),
    ],
)
def test_the_listing(given: Rules, query: Query | None) -> None:
    assert staged_query(given) == query
