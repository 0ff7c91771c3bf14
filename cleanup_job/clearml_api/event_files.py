"""The files of debug samples and plots of many tasks, or models: every one of them.

Which of them have any is asked for many in one call. No call gives the debug samples of many completely, so they are read one
by one, a few at the same time; plots come for many in one answer where it shows by itself that it is complete.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from msgspec import Meta, Raw, Struct

from cleanup_job.clearml_api.envelope import MISSHAPEN, decoded
from cleanup_job.clearml_api.event_pages import IMAGES, PLOTS, WINDOW, Ask, Event, Files, Found, Kind, Pages
from cleanup_job.clearml_api.listing import LARGE, chunks
from cleanup_job.clearml_api.side_by_side import at_once
from cleanup_job.clearml_api.versions import ALL_PLOTS, ANY_METRICS, Offer
from cleanup_job.errors import AnswerError

AHEAD = 4
"""Calls for events that a batch has under way at the same time: one takes a server about 25 ms, whatever it holds."""
TASKS = 25
TITLES = 100
"""Tasks in a call for plots, and titles that they may have together: plots come with all their data."""


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


def uris(ask: Ask, offer: Offer, owners: Sequence[str], *, of_models: bool = False) -> Iterator[tuple[str, Found]]:
    """Each file that events name, with the task (or model) it belongs to; and each owner whose events can't be read.

    Args:
        ask: Calls the API server. Safe to use from many threads.
        offer: What that server has.
        owners: Ids of tasks, or of models.
        of_models: Whether they are models.

    Raises:
        AnswerError: one of the owners does not exist (any more): subcode 101, for a model 201.
        UnreachableError: the server gives no usable answer.
    """
    reader = _Reader(Pages(ask, of_models), offer)
    having = [partial(reader.having, kind, owners) for kind in (PLOTS, IMAGES)]
    titles = dict(at_once(having, len(having)))
    plots = [partial(reader.plots, some) for some in _together(titles[PLOTS])]
    images = [partial(reader.pages.read, IMAGES, owner) for owner in titles[IMAGES]]
    for jobs in (plots, images):  # one after the other: what is told of one task has the same order each time
        for files in at_once(jobs, AHEAD):
            yield from files


def any_of_models(ask: Ask, offer: Offer, models: Sequence[str]) -> bool:
    """Whether any of these models has events of whatever kind: one call in place of one a kind, since hardly any has."""
    return any(offer.newest(ANY_METRICS, partial(_any, ask, chunk), lambda: True) for chunk in chunks(models))


def _any(ask: Ask, models: list[str]) -> bool:
    try:
        return bool(decoded(ask("events.get_multi_task_metrics", {"tasks": models, "model_events": True}, Raw), _Any).metrics)
    except MISSHAPEN:
        return True


def _together(titles: Mapping[str, int]) -> Iterator[list[str]]:
    """Those with plots, as many as belong in one call."""
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
    """Reads the events of many."""

    pages: Pages
    offer: Offer

    def having(self, kind: Kind, owners: Sequence[str]) -> Iterator[tuple[Kind, dict[str, int]]]:
        """Those that have any such events, each with the number of its titles; all of them where the answer can't be used.

        A task's own `metric_stats` does not tell: the server sets it to what the last batch of events brought.
        """
        found: dict[str, int] = {}
        for chunk in chunks(owners):
            try:
                body = self.pages.body({"tasks": chunk, "event_type": kind.type})
                answer = decoded(self.pages.ask("events.get_task_metrics", body, Raw), _Metrics)
                titles = {entry.task: len(entry.metrics) for entry in answer.metrics}
                if not titles:
                    continue  # the server has no such events at all
            except MISSHAPEN:
                titles = {}
            except AnswerError as error:
                _unless_gone(error)
                titles = {}
            # One that is not mentioned may have some, too.
            found |= {owner: titles.get(owner, 1) for owner in chunk if titles.get(owner, 1)}
        yield kind, found

    def plots(self, owners: Sequence[str]) -> Iterator[Files]:
        """The plots of some; one by one where the server lacks the call for many, refuses it, or does not give all."""
        try:
            found = self.offer.newest(ALL_PLOTS, partial(self._all_plots, owners), dict[str, Files])
        except MISSHAPEN:
            found = {}
        except AnswerError as error:
            _unless_gone(error)
            found = {}
        yield from found.values()
        for owner in owners:
            if owner not in found:
                yield from self.pages.read(PLOTS, owner)

    def _all_plots(self, owners: Sequence[str]) -> dict[str, Files]:
        """The files of those whose plots an answer holds completely: as many as it says that there are.

        That is less than the server counts to, and so less than the iterations asked for.
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


def _unless_gone(error: AnswerError) -> None:
    if error.says_missing:
        raise error
