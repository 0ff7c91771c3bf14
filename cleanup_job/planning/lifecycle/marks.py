"""Tags with dates: what the job leaves on tasks, and what owners of tasks ask for with tags. Pure: no I/O.

A date has no time of day, so each is read in the way that makes things happen later: what is announced for a date comes at its
beginning or later, and something was archived at its end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from cleanup_job.planning.lifecycle.policy import Stage, TagNames, duration

PREFIX = "cleanup:"
ARCHIVED = f"{PREFIX}archived"
SLIMMED = f"{PREFIX}slimmed"
NOTICES = MappingProxyType({Stage.ARCHIVE: f"{PREFIX}archives", Stage.SLIM: f"{PREFIX}slims", Stage.DELETE: f"{PREFIX}deletes"})
"""The tag that announces each stage."""
DAY = timedelta(days=1)
_YEARS = range(1970, 9000)
"""Other years are not meant, and what is reckoned with them could leave the calendar."""


def is_plausible(moment: datetime) -> bool:
    """Whether a time can be reckoned with: others are mistakes in a record."""
    return moment.year in _YEARS


def _date(text: str) -> date:
    """A date, written in full: ``fromisoformat`` takes a week for its Monday, too."""
    found = date.fromisoformat(text)
    if found.year not in _YEARS or found.isoformat() != text:
        raise ValueError(text)
    return found


def tag(name: str, day: date) -> str:
    """A tag with its date."""
    return f"{name}={day.isoformat()}"


def begins(day: date) -> datetime:
    """The first moment of a date, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def ends(day: date) -> datetime:
    """The first moment after a date, in UTC."""
    return begins(day) + DAY


def first_date_from(moment: datetime) -> date:
    """The first date that begins at a moment or later, in UTC."""
    day = moment.astimezone(UTC).date()
    return day if begins(day) == moment else day + DAY


def _dated(tags: Iterable[str], name: str) -> list[date]:
    """The dates of a tag; the text behind ``=`` of other ones is not a date, and does not count."""
    found: list[date] = []
    for one in tags:
        key, mark, value = one.partition("=")
        if mark and key == name:
            try:
                found.append(_date(value))
            except ValueError:
                continue
    return found


@dataclass(frozen=True, slots=True)
class Marks:
    """What the job has left on a task. Of several dates of one kind, the latest counts."""

    archived: date | None = None
    slimmed: date | None = None
    notice: tuple[Stage, date] | None = None
    """The stage that is announced; of several, the one that comes last."""
    notices: tuple[str, ...] = ()
    """All tags of notices, in any shape."""

    @classmethod
    def of(cls, tags: Iterable[str]) -> "Marks":
        """Those among the tags of a task."""
        return _marks(tuple(one for one in tags if one.startswith(PREFIX)))


@lru_cache(maxsize=4096)
def _marks(some: tuple[str, ...]) -> Marks:
    """What some tags with the job's prefix say: those of many tasks are the same."""
    announced = [(day, stage) for stage, name in NOTICES.items() for day in _dated(some, name)]
    latest = max(announced, default=None)
    return Marks(
        archived=max(_dated(some, ARCHIVED), default=None),
        slimmed=max(_dated(some, SLIMMED), default=None),
        notice=(latest[1], latest[0]) if latest else None,
        notices=tuple(one for one in some if one.partition("=")[0] in NOTICES.values()),
    )


def _lifetime(text: str) -> timedelta:
    """What ``ttl=`` says. Zero is none: in other programs it means "without an end"."""
    found = duration(text)
    if not found:
        raise ValueError(text)
    return found


@dataclass(frozen=True, slots=True)
class OwnersWish:
    """What the owner of a task asks for with its tags."""

    keep: str = ""
    """The tag that keeps it; empty if there is none."""
    lifetime: timedelta | None = None
    """The longest of its ``ttl`` tags."""
    expires: datetime | None = None
    """The end of the latest of its ``expires`` dates."""
    malformed: str = ""
    """A tag that seems to be one of these, but can't be read; empty if there is none."""

    @classmethod
    def of(cls, tags: Iterable[str], names: TagNames | None) -> "OwnersWish":
        """That of the owner of a task with these tags; none at all without ``names``."""
        if names is None:
            return cls()
        some = tuple(tags)
        lifetimes, dates, malformed = list[timedelta](), list[date](), ""
        for one in some:
            key, _, value = one.partition("=")
            try:
                if key == names.ttl:
                    lifetimes.append(_lifetime(value))
                elif key == names.expires:
                    dates.append(_date(value))
                elif one != names.keep and key.strip().casefold() in names.folded:
                    malformed = malformed or one
            except ValueError:
                malformed = malformed or one
        return cls(
            keep=names.keep if names.keep in some else "",
            lifetime=max(lifetimes, default=None),
            expires=ends(max(dates)) if dates else None,
            malformed=malformed,
        )

    def until(self, since: datetime) -> datetime | None:
        """Until when the task is to live, if its age counts from a moment; None if its owner does not ask for anything."""
        wishes = [since + self.lifetime] if self.lifetime is not None else []
        wishes += [self.expires] if self.expires is not None else []
        return max(wishes, default=None)
