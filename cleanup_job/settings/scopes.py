"""Where a setting may differ, and what an edit of it in ClearML may do. Every setting has both; pure.

The environment (or the chart, or a flag) is the operator's decision. People who may edit the job's task in ClearML's Web UI can
only make a pass delete less than that, with two exceptions that the operator can allow: a shorter threshold
(``task_min_threshold_days``) and ``force_delete`` (``task_allow_force_delete``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from cleanup_job.planning.filters import threshold_of


class Scope(StrEnum):
    """For what a setting may differ."""

    RELEASE = "release"
    """Nothing: it keeps two passes of a release apart, so it is the same for all of its Jobs."""
    POD = "pod"
    """Single Jobs. It belongs to the place where the job runs, and is not passed on to an agent."""
    JOB = "job"
    """Single Jobs. An agent that runs the pass gets it."""
    SWEEP = "sweep"
    """Sweeps, which alone have it."""


class Edit(StrEnum):
    """What an edit in ClearML may do."""

    NEVER = "never"
    """Nothing."""
    FREE = "free"
    """Anything: the setting decides when passes run, not what they delete."""
    LISTED = "listed"
    """Anything, if ``task_editable`` lists the setting: it decides how fast or how verbose a pass is."""
    SOME = "some"
    """If ``task_editable`` lists the setting, choose from the operator's entries; from all if the operator set none."""
    THRESHOLD = "threshold"
    """Make it longer, or as short as ``task_min_threshold_days``."""
    FORCE = "force"
    """Switch it off, and on with ``task_allow_force_delete``."""
    ON = "on"
    """Switch it on."""
    OFF = "off"
    """Switch it off."""
    HIGHER = "higher"
    """Raise it."""
    LOWER = "lower"
    """Lower it; no limit is the highest value."""
    MORE = "more"
    """Add entries to the operator's, which are kept."""
    STRICTER = "stricter"
    """Choose a value that comes before the operator's in the list of possible ones."""
    RULES = "rules"
    """Give projects a longer threshold than the operator does, or ``never``."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator allows beyond deleting less."""

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
    """The values that the setting can have, the strictest first."""


def taken(edit: Edit, asked: Asked) -> Any:
    """The value that counts: the one that was asked for if it is allowed, otherwise the operator's."""
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
    """The operator's entries, each with the longer of both thresholds, preceded by new ones that shorten no threshold.

    The first matching entry counts: a new one must be at least as long as any that it could hide.
    """
    entries = {threshold_of(text)[0]: text for text in reversed(it.own)}  # of two entries for one project the first counts
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
        Edit.ON: lambda it: it.own if it.own is not False else it.asked is True,  # the path of a CA bundle is kept
        Edit.OFF: lambda it: it.own and it.asked,
        Edit.HIGHER: lambda it: max(it.own, it.asked),
        Edit.LOWER: _lower,
        Edit.MORE: _more,
        Edit.STRICTER: _stricter,
        Edit.RULES: _rules,
    }
)
