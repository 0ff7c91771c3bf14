"""Tries out policies on the tasks of a server. Changes nothing.

rules -> all tasks that the settings let policies change, in pages, newest first -> what becomes of each
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from cleanup_job.passes.ports import RankServer
from cleanup_job.passes.rules_now import RulesNow
from cleanup_job.planning.policy_trial import Fate
from cleanup_job.planning.records import Unreadable
from cleanup_job.planning.selection import Query, Rules

EVERY = 500
"""Tasks between two reports of progress."""


def fates(
    server: RankServer, known: Sequence[RulesNow], progress: Callable[[str], None] = lambda _: None
) -> Iterator[Sequence[Fate] | Unreadable]:
    """What becomes of each task by each of some rules, which differ in their policies alone.

    Raises:
        CleanupError: the server gives no usable answer.
    """
    for number, record in enumerate(server.tasks_of(listing(known[0].rules)), 1):
        yield record if isinstance(record, Unreadable) else [Fate.of(one.rules, record, one.now) for one in known]
        if not number % EVERY:
            progress(f"{number:,} tasks read")


def listing(rules: Rules) -> Query:
    """The listing of all tasks to which policies may apply: archived or not, and in any status."""
    return replace(rules, force_delete=True).query()
