"""The forms of call that the product sends to ClearML Server, and the table of those that are known.

A form is an endpoint with all that decides how the server reads the request: the names of the fields, the operators of ranges,
whether there is one tag or more, flags, order and paging. Values that are only data are left out, and so are the names in
``only_fields``: each of these is a form of its own. Which metric it is does not decide either.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("forms.toml")
_DATE = re.compile(r"(>=|<=|>|<)?\d{4}-\d\d-\d\d[T ].*")
_METRIC = re.compile(r"last_metrics\.[0-9a-f]{32}\.[0-9a-f]{32}")
_DATA = frozenset({"hyperparams", "configuration", "script", "container", "execution", "requirements", "runtime", "metadata"})
"""Fields whose content is stored as it is."""


def table() -> tuple[dict[str, str], dict[str, str]]:
    """The forms with a recording, each with its name; and those without one, each with a reason why it is sent."""
    found = tomllib.loads(TABLE.read_text())
    return found["recorded"], {form: why for why, forms in found["not_recorded"].items() for form in forms}


def forms(call: str, body: object) -> Iterator[str]:
    """Yield the form of a call, and of each field that it asks for."""
    if isinstance(body, str):  # lines
        yield f"{call} lines"
        return
    if not isinstance(body, Mapping):
        return
    yield " ".join([call, *(f"{name}={_shape(name, body[name])}" for name in sorted(body) if name != "only_fields")])
    service = call.partition(".")[0]
    for name in body.get("only_fields") or ():
        yield f"{service} only_fields={_METRIC.sub('last_metrics.MD5.MD5', name)}"


def _shape(name: str, value: Any) -> str:  # noqa: PLR0911 -- one for each kind of value
    if name in _DATA and isinstance(value, Mapping):
        return "{…}"
    if name == "order_by":
        return _METRIC.sub("last_metrics.MD5.MD5", ",".join(value) if isinstance(value, list) else str(value))
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return _date(value) or ("text" if value else "''")
    if isinstance(value, Mapping):
        return "{" + " ".join(f"{key}={_shape(key, value[key])}" for key in sorted(value)) + "}"
    entries = [_shape("", one) for one in value]
    if any(_date(one) for one in value if isinstance(one, str)):
        return f"[{' '.join(entries)}]"
    one = not name.endswith("tags") or len(value) == 1  # of several tags the server looks for any
    return f"[{' or '.join(sorted(set(entries)))}{'' if one else ' …'}]"


def _date(text: str) -> str:
    found = _DATE.fullmatch(text)
    return f"{found[1] or ''}T" if found else ""
