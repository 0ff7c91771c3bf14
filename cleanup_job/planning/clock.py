"""Which clock ages are measured by: the server's, which wrote the times of all records. Pure: no I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(minutes=5)
"""A difference between two clocks that is not worth a warning."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What was found out about the two clocks when a pass began."""

    ahead: timedelta = timedelta()
    """How far the job's clock is ahead of the one that counts."""
    warning: str = ""
    """A warning for people; empty if there is nothing to say."""
    remark: str = ""
    """A line for the debug log; empty if there is nothing to say."""


def judged(now: datetime, claimed: timedelta | None, token: timedelta | None, newest: datetime | None) -> Clock:
    """Which clock counts.

    A server's clock that is behind the job's makes tasks look younger, and is believed. One that is ahead makes them look
    older, and the header may be a proxy's: it is believed if something that the server itself wrote confirms it.

    Args:
        now: The job's clock.
        claimed: How far it is ahead of the server's by the ``Date`` header; None if there is no such header.
        token: The same by the token that the server made at the login; None if it has no time.
        newest: The latest time of a task, which the server wrote; only needed if the server's clock is ahead.
    """
    if claimed is None:
        return Clock(remark="ClearML Server's answers have no Date header: ages count by the job's own clock")
    if abs(claimed) <= TOLERANCE:
        return Clock(claimed)
    clocks = f"the job's clock ({_shown(now)}) is {_words(claimed)} ClearML Server's ({_shown(now, claimed)})"
    borne_out = (token is not None and abs(token - claimed) <= TOLERANCE) or (
        newest is not None and newest - now >= -claimed / 2
    )
    if claimed > timedelta() or borne_out:
        return Clock(claimed, f"{clocks}: ages count by the server's clock. Set the clock that is wrong.")
    return Clock(
        warning=f"{clocks}, by the Date header of its answers, but nothing that the server wrote bears that out: ages count by "
        "the job's clock. Set the clock of the proxy in between, or the one that is wrong."
    )


def _shown(now: datetime, ahead: timedelta = timedelta()) -> str:
    try:
        return (now - ahead).isoformat(timespec="seconds")
    except OverflowError:
        return "out of range"


def _words(ahead: timedelta) -> str:
    seconds = abs(ahead).total_seconds()
    for unit, size in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * size:
            amount = f"{seconds / size:.1f} {unit}"
            break
    else:
        amount = f"{seconds / 60:.1f} minutes"
    return f"{amount} {'ahead of' if ahead > timedelta() else 'behind'}"
