"""All files of the debug samples and plots of many tasks, or of many models.

One call tells whether any of them has some, another one which of them have. No call returns the debug samples of many tasks
completely, so they are read task by task, a few at the same time. Plots are read for many tasks in one call if the answer shows
that it is complete.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from msgspec import Meta, Raw, Struct

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded
from cleanup_job.clearml_api.capabilities import ALL_PLOTS, ANY_METRICS, Capabilities
from cleanup_job.clearml_api.event_pages import IMAGES, PLOTS, WINDOW, Ask, Event, Files, Found, Kind, Pages
from cleanup_job.clearml_api.listing import LARGE, chunks
from cleanup_job.clearml_api.parallel import in_parallel
from cleanup_job.errors import AnswerError

AHEAD = 4
"""Calls for events that a batch makes at the same time. Each takes a server about 25 ms, however few events there are."""
MANY = 10
"""Tasks from which on it is worth asking first whether any has events: that takes a server 13 ms, or 1.5 ms for each to tell
which. A task that this call always fails for is in the end among fewer, and read."""
TASKS = 25
TITLES = 100
"""The most tasks in a call for plots, and the most titles that they may have together: plots are returned with all their
data."""


class _Having(Struct, frozen=True):
    task: str
    metrics: tuple[Raw, ...] = ()


class _Metrics(Struct, frozen=True):
    metrics: tuple[_Having, ...]


class _Any(Struct, frozen=True):
    metrics: tuple[Raw, ...]


class _Plots(Struct, frozen=True):
    plots: tuple[Event, ...]


class _Bulk(Struct, frozen=True):
    """Plots by metric, variant, task and iteration."""

    plots: dict[str, dict[str, dict[str, dict[str, _Plots]]]]
    total: Annotated[int, Meta(ge=0)]


def uris(
    ask: Ask,
    capabilities: Capabilities,
    owners: Sequence[str],
    *,
    of_models: bool = False,
    kinds: Sequence[Kind] = (),
) -> Iterator[tuple[str, Found]]:
    """Each file that events name, with the task or model it belongs to; and each owner whose events can't be read.

    Args:
        ask: Calls the API server. Safe to use from many threads.
        capabilities: What that server supports.
        owners: Ids of tasks, or of models.
        of_models: Whether they are models.
        kinds: Which events are wanted; none: all that have files.

    Raises:
        AnswerError: one of the owners does not exist (any more): subcode 101, for a model 201.
        UnreachableError: the server gives no usable answer.
    """
    reader = _Reader(Pages(ask, of_models), capabilities)
    # One after the other, so that a server which lacks the call is asked for it once.
    asked = {kind: reader.may_have(kind, owners) for kind in kinds or (PLOTS, IMAGES)}
    having = [partial(reader.having, kind, some) for kind, some in asked.items() if some]
    titles = dict(in_parallel(having, len(having)))
    plots = [partial(reader.plots, some) for some in _together(titles.get(PLOTS, {}))]
    images = [partial(reader.pages.read, IMAGES, owner) for owner in titles.get(IMAGES, ())]
    for jobs in (plots, images):  # one after the other, so that a task's files come in the same order each time
        for files in in_parallel(jobs, AHEAD):
            yield from files


def _together(titles: Mapping[str, int]) -> Iterator[list[str]]:
    """Groups of tasks with plots, each small enough for one call."""
    some: list[str] = []
    have = 0
    for owner, number in titles.items():
        if some and (len(some) == TASKS or have + number > TITLES):
            yield some
            some, have = [], 0
        some.append(owner)
        have += number
    if some:
        yield some


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the events of many tasks or models."""

    pages: Pages
    capabilities: Capabilities

    def may_have(self, kind: Kind, owners: Sequence[str]) -> list[str]:
        """Those that may have any such events: all or none of each chunk, by one call that costs little for many of them."""
        return [owner for chunk in chunks(owners) if len(chunk) < MANY or self._any_may_have(kind, chunk) for owner in chunk]

    def _any_may_have(self, kind: Kind, owners: list[str]) -> bool:
        """Whether any of them has, or may have."""
        try:
            return self.capabilities.prefer(ANY_METRICS, partial(self._any_has, kind, owners), lambda: True)
        except DECODING_ERRORS:
            return True
        except AnswerError as error:
            _raise_if_missing(error)
            return True

    def _any_has(self, kind: Kind, owners: list[str]) -> bool:
        body = self.pages.body({"tasks": owners, "event_type": kind.type})
        return bool(decoded(self.pages.ask("events.get_multi_task_metrics", body, Raw), _Any).metrics)

    def having(self, kind: Kind, owners: Sequence[str]) -> Iterator[tuple[Kind, dict[str, int]]]:
        """Those that have any such events, each with the number of its titles; all of them if the answer can't be used.

        A task's own `metric_stats` does not help: the server overwrites it with what the last batch of events contained.
        """
        found: dict[str, int] = {}
        for chunk in chunks(owners):
            try:
                body = self.pages.body({"tasks": chunk, "event_type": kind.type})
                answer = decoded(self.pages.ask("events.get_task_metrics", body, Raw), _Metrics)
                titles = {entry.task: len(entry.metrics) for entry in answer.metrics}
                if not titles:
                    continue  # the server has no such events
            except DECODING_ERRORS:
                titles = {}
            except AnswerError as error:
                _raise_if_missing(error)
                titles = {}
            # A task that is not mentioned may have some, too.
            found |= {owner: titles.get(owner, 1) for owner in chunk if titles.get(owner, 1)}
        yield kind, found

    def plots(self, owners: Sequence[str]) -> Iterator[Files]:
        """The plots of some tasks; one by one if the server lacks or refuses the call for many, or leaves something out."""
        try:
            found = self.capabilities.prefer(ALL_PLOTS, partial(self._all_plots, owners), dict[str, Files])
        except DECODING_ERRORS:
            found = {}
        except AnswerError as error:
            _raise_if_missing(error)
            found = {}
        yield from found.values()
        for owner in owners:
            if owner not in found:
                yield from self.pages.read(PLOTS, owner)

    def _all_plots(self, owners: Sequence[str]) -> dict[str, Files]:
        """The files of tasks whose plots one answer contains completely, that is, as many as it says there are.

        That number has to be below the server's limit for counting, and so below the number of iterations asked for.
        """
        body = {"tasks": list(owners), "iters": WINDOW, "last_iters_per_task_metric": False, "no_scroll": True}
        answer = decoded(self.pages.ask("events.get_multi_task_plots", self.pages.body(body), Raw, most=LARGE), _Bulk)
        files: dict[str, Files] = {}
        got = 0
        for variants in answer.plots.values():
            for tasks in variants.values():
                for owner, iterations in tasks.items():
                    for plots in iterations.values():
                        got += len(plots.plots)
                        files.setdefault(owner, []).extend((owner, uri) for plot in plots.plots for uri in plot.uris())
        if got != answer.total or got >= WINDOW:
            return {}
        return {owner: files[owner] for owner in owners if owner in files}


def _raise_if_missing(error: AnswerError) -> None:
    if error.says_missing:
        raise error
