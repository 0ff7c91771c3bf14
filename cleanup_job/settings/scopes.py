"""Where a setting may be said, and what an edit of it in ClearML may do. Every field of ``Settings`` has both; pure.

The operator's word is the environment's (or the chart's, or a flag's). Whoever may edit the job's task in ClearML's Web UI can
only make a pass delete less than that, with the two exceptions that the operator allows: a shorter threshold
(``task_min_threshold_days``) and ``force_delete`` (``task_allow_force_delete``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from cleanup_job.settings.text import threshold_of


class Scope(StrEnum):
    """For whom a setting may differ."""

    RELEASE = "release"
    """For no one: it keeps two passes of a release apart, so it is the same for all of its Jobs."""
    POD = "pod"
    """One Job may have its own; it belongs to the place where the job runs, and no agent is told of it."""
    JOB = "job"
    """One Job may have its own, and an agent that runs the pass is handed it."""
    SWEEP = "sweep"
    """It belongs to sweeps alone."""


class Edit(StrEnum):
    """What an edit in ClearML may do."""

    NEVER = "never"
    """Nothing."""
    FREE = "free"
    """Anything: it decides when passes run, and not what they delete."""
    LISTED = "listed"
    """Anything where ``task_editable`` lists it: it decides how fast or how loud a pass is."""
    SOME = "some"
    """Where ``task_editable`` lists it, choose among what the operator chose; among all where that is all."""
    THRESHOLD = "threshold"
    """Be longer, or as short as ``task_min_threshold_days``."""
    FORCE = "force"
    """Be switched off; on as well with ``task_allow_force_delete``."""
    ON = "on"
    """Be switched on."""
    OFF = "off"
    """Be switched off."""
    HIGHER = "higher"
    """Be higher."""
    LOWER = "lower"
    """Be lower; no limit is the highest."""
    MORE = "more"
    """Have more entries than the operator's, which stay."""
    STRICTER = "stricter"
    """Be one that stands before the operator's in the list of what it can be."""
    RULES = "rules"
    """Give projects a longer threshold than the operator does, or ``never``."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator allows beyond narrowing."""

    min_days: float
    """The shortest ``delete_threshold_days``."""
    allow_force: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """An edit of a setting."""

    own: Any
    """The operator's value."""
    asked: Any
    """The value that was entered in ClearML."""
    bounds: Bounds
    threshold: float
    """The operator's ``delete_threshold_days``."""
    choices: Sequence[str] = ()
    """What the setting can be, the strictest first."""


def taken(edit: Edit, asked: Asked) -> Any:
    """The value that counts: what was asked for, as far as it may be, else the operator's."""
    return _TAKEN[edit](asked)


def needs_list(edit: Edit) -> bool:
    """Whether ``task_editable`` has to list the setting."""
    return edit in {Edit.LISTED, Edit.SOME}


def _some(it: Asked) -> Any:
    return (tuple(entry for entry in it.asked if entry in it.own) or it.own) if it.own else it.asked


def _threshold(it: Asked) -> float:
    return float(it.asked if it.asked >= min(it.own, it.bounds.min_days) else it.own)


def _lower(it: Asked) -> Any:
    return it.asked if it.asked is not None and (it.own is None or it.asked < it.own) else it.own


def _more(it: Asked) -> Any:
    return (*it.own, *(entry for entry in dict.fromkeys(it.asked) if entry not in it.own))


def _stricter(it: Asked) -> Any:
    return min(it.own, it.asked, key=list(it.choices).index)


def _rules(it: Asked) -> tuple[str, ...]:
    """The operator's entries, each with the longer of both thresholds, after new ones that no project has a longer one than.

    The first entry that fits a project counts: a new one must be at least as long as any that it could hide.
    """
    entries = {threshold_of(text)[0]: text for text in reversed(it.own)}  # of two for one project the first counts
    longest = max((_days(text) for text in it.own), default=it.threshold)
    new = []
    for text in it.asked:
        project = threshold_of(text)[0]
        if project in entries:
            entries[project] = max(entries[project], text, key=_days)
        elif _days(text) >= max(longest, it.threshold) and text not in new:
            new.append(text)
    own = dict.fromkeys(entries[threshold_of(text)[0]] for text in it.own)
    return (*new, *own)


def _days(text: str) -> float:
    days = threshold_of(text)[1]
    return float("inf") if days is None else days


_TAKEN: Mapping[Edit, Callable[[Asked], Any]] = MappingProxyType(
    {
        Edit.NEVER: lambda it: it.own,
        Edit.FREE: lambda it: it.asked,
        Edit.LISTED: lambda it: it.asked,
        Edit.SOME: _some,
        Edit.THRESHOLD: _threshold,
        Edit.FORCE: lambda it: it.asked if it.bounds.allow_force else it.own and it.asked,
        Edit.ON: lambda it: it.own if it.own is not False else it.asked is True,  # a path of CA certificates stays
        Edit.OFF: lambda it: it.own and it.asked,
        Edit.HIGHER: lambda it: max(it.own, it.asked),
        Edit.LOWER: _lower,
        Edit.MORE: _more,
        Edit.STRICTER: _stricter,
        Edit.RULES: _rules,
    }
)
