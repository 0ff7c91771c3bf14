"""Jinja2 as the report's templates use it: nothing reaches a file unescaped by mistake.

What a template prints is text from a server, unless it is `Markup`, and each format says how such text is escaped. A name
that a template misspells is an error.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cleanup_job.report.formatting import counted, duration, grouped, moment, size
from cleanup_job.report.phrases import VERDICT_NAMES


def environment(escape: Callable[[object], Markup], filters: Mapping[str, Callable[..., Any]] | None = None) -> Environment:
    """The environment of one format, whose ``escape`` makes any text safe to print."""

    def printed(value: object) -> Markup:
        return value if isinstance(value, Markup) else escape(value)

    made = Environment(
        loader=PackageLoader("cleanup_job.report", "templates"),
        autoescape=True,  # macros give Markup then; text that `finalize` did not see would be escaped as HTML
        finalize=printed,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "counted": counted,
        "duration": duration,
        "grouped": grouped,
        "moment": moment,
        "size": size,
        "verdict": lambda verdict: VERDICT_NAMES[verdict],
        **(filters or {}),
    }
    return made
