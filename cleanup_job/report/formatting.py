"""Text, numbers, sizes and times as all forms of the report show them."""

import re
from datetime import UTC, datetime, timedelta

from cleanup_job.redaction import redacted

LONGEST = 4000
"""Characters of one text in a line or a report."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MISLEADING = re.compile(r"[\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """Text on one line, without secrets, and without characters that move a cursor, reverse the text or can't be encoded."""
    safe = redacted(str(text))
    if not (safe.isascii() and safe.isprintable()):
        safe = _MISLEADING.sub("\ufffd", _UNPRINTABLE.sub(" ", safe))
    return shortened(safe)


def shortened(text: str) -> str:
    """A text cut at ``LONGEST``: a record may name a file by an address of megabytes. Secrets must be out of it before."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more characters)"


def middle(text: str, width: int) -> str:
    """A text of at most so many characters: of a longer one, the middle is left out."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def grouped(number: int) -> str:
    """A number with its thousands separated: ``1,200``."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 file``, ``1,200 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: float) -> str:
    """A number of bytes in the unit that suits it: ``5.0 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004 -- of bytes
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"


def at_least(known: int, unsized: int) -> str:
    """The bytes of some files, of which so many have an unknown size: ``5.0 MiB``, ``at least 5.0 MiB``, ``size unknown``."""
    if not unsized:
        return size(known)
    return f"at least {size(known)}" if known else "size unknown"


def duration(number: float) -> str:
    """A number of seconds in the units that suit it: ``2 h 1 min``."""
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{number:.1f} s"


def days(span: timedelta) -> str:
    """A long time in whole days, or in hours: ``62 days``, ``1.5 hours``."""
    found = span / timedelta(days=1)
    return f"{found:,.0f} days" if found >= 2 else f"{span / timedelta(hours=1):,.1f} hours"  # noqa: PLR2004 -- in words


def moment(text: str) -> str:
    """An ISO 8601 time to the second, in UTC."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
