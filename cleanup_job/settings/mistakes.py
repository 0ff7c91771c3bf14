"""Mistakes in settings, explained: each names the setting, the value and the way out. Secrets never leave here."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cleanup_job.redaction import MASK, redacted
from cleanup_job.settings.text import PATTERNS

_PLAIN = re.compile(r"\S(.*\S)?")


class Named(Protocol):
    """What a message needs to know of a setting."""

    @property
    def env(self) -> str:
        """Its environment variable."""

    @property
    def secret(self) -> bool:
        """Whether its value must never be shown."""


def meant(name: str, known: Iterable[str], otherwise: str) -> str:
    """A question for the known name that is most like a wrong one, or, where none is, what else to say."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]}?" if near else otherwise


def unknown_name(name: str, known: Iterable[str]) -> str:
    """What to say of a name that looks like a setting but is not."""
    hint = meant(name, known, "`clearml-cleanup settings` lists them all.")
    return f"unknown setting {name}; {hint} A misspelled filter would delete more than intended, so nothing was done."


def explained(error: ValidationError, values: Mapping[str, tuple[Any, str]], table: Mapping[str, Named]) -> str:
    """Every mistake on a line of its own.

    Args:
        error: What pydantic found.
        values: For each setting that is set, its value and where it came from.
        table: What is known of each setting.
    """
    lines, missing = [], []
    for mistake in error.errors(include_url=False, include_input=False):
        name = _setting(mistake)
        if name not in table:  # it is in several settings, which it names
            lines.append(_said(mistake))
        elif mistake["type"] == "missing":
            missing.append(table[name].env)
        else:
            value, where = values.get(name, ("", table[name].env))
            lines.append(f"{where}={MASK if table[name].secret else _shown(value)}: {_hint(mistake)}")
    if missing:
        lines.append(
            f"{', '.join(missing)} not set: set the address of your ClearML Server and its credentials in the environment, or "
            "in a clearml.conf (CLEARML_CONFIG_FILE)."
        )
    return "\n".join(dict.fromkeys(lines))


def _setting(mistake: ErrorDetails) -> str:
    """The flat name of the setting; empty where the mistake is in several."""
    named = mistake.get("ctx", {}).get("setting")
    return str(named or (mistake["loc"][1:] or ("",))[0])


def _said(mistake: ErrorDetails) -> str:
    return str(mistake["msg"]).removeprefix("Value error, ")


def _shown(value: object) -> str:
    """A value as it was written; in quotes where its ends could not be seen otherwise."""
    text = redacted(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return text if _PLAIN.fullmatch(text) else repr(text)


_HINTS = {
    "bool_parsing": "use true or false",
    "bool_type": "use true or false",
    "int_parsing": "use a whole number",
    "int_type": "use a whole number",
    "int_from_float": "use a whole number",
    "int_parsing_size": "use a smaller number",
    "float_parsing": "use a number",
    "float_type": "use a number",
    "finite_number": "use a number that is not infinite",
    "greater_than_equal": "use {ge} or more",
    "greater_than": "use more than {gt}",
    "less_than_equal": "use {le} or less",
    "less_than": "use less than {lt}",
    "literal_error": "use {expected}",
    "string_too_short": "use at least {min_length} characters",
    "string_too_long": "use at most {max_length} characters",
    "string_pattern_mismatch": "{pattern}",
}
"""What to do about a mistake, by pydantic's name for it."""


def _hint(mistake: ErrorDetails) -> str:
    hint = _HINTS.get(mistake["type"])
    if hint is None:
        said = _said(mistake)
        return said if said.endswith(("?", ".")) else said + "."
    facts = {name: f"{fact:g}" if isinstance(fact, float) else fact for name, fact in mistake.get("ctx", {}).items()}
    if "pattern" in facts:
        facts["pattern"] = PATTERNS[facts["pattern"]]
    if "expected" in facts:
        facts["expected"] = str(facts["expected"]).replace("'", "")
    return hint.format_map(facts) + "."
