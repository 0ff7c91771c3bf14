"""Prints docs/settings.md from the settings model. `make docs` writes the file; a test compares it."""

from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr

from cleanup_job.settings.model import TABLE, Entry

HEAD = """# Settings

Generated from the groups in `cleanup_job/settings/` by `make docs`. Don't edit it by hand.

The flag of `clearml-cleanup run` takes precedence (for those under Sweep, the flag of `clearml-cleanup sweep`), then the
environment, then, for the connection only, a `clearml.conf`, then the default. `clearml-cleanup settings` prints the effective
values and where each came from.

A value that is empty, misspelled or out of bounds is never read as "no limit": it ends the job with exit code 2 before anything
is deleted. So do an unknown variable that begins with `CLEANUP_`, an exclusion, keep rule or threshold that names a project,
user or tag that does not exist, and filters that leave nothing to delete, such as the same project in `CLEANUP_PROJECTS` and in
`CLEANUP_EXCLUDE_PROJECTS`. Lists are written `a,b` or `["a", "b"]`; flags may be repeated.
"""


def kind(annotation: Any) -> str:
    """Describes the values that an annotation allows."""
    annotation = annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = get_args(annotation)[0]
        if inner is SecretStr:
            return "list, with blanks between (secret)"
        return "list" if get_origin(inner) is not Literal else "list of " + ", ".join(f"`{c}`" for c in get_args(inner))
    found = [arg for arg in get_args(annotation) if arg is not type(None)]
    if found and get_origin(annotation) is not None:
        return " or ".join(dict.fromkeys(kind(arg) for arg in found))
    names = {"bool": "true or false", "int": "whole number", "float": "number", "SecretStr": "text (secret)", "Path": "path"}
    return names.get(getattr(annotation, "__name__", ""), "text")


def bounds(metadata: list[Any]) -> str:
    """The limits of a number, such as `≥ 0`."""
    words = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(item, name):,.10g}" for item in flat(metadata) for name, sign in words.items() if hasattr(item, name)
    ]
    return ", ".join(found)


def flat(metadata: list[Any]) -> list[Any]:
    """All constraints, including those inside a Field of an Annotated type."""
    return [inner for item in metadata for inner in (item.metadata if hasattr(item, "metadata") else [item])]


def default(value: Any) -> str:
    """A default, as a user would write it."""
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def row(entry: Entry) -> str:
    """A setting's row in its table."""
    flag = "" if entry.secret else f"<br>`{entry.flag}`"
    limits = bounds(entry.field.metadata)
    value = kind(entry.field.annotation) + (f", {limits}" if limits else "")
    return f"| `{entry.env}`{flag} | {value} | {default(entry.default)} | {entry.field.description} |"


def page() -> str:
    """The whole page: a table for each heading, in the order of the model."""
    groups: dict[str, list[str]] = {}
    for entry in TABLE.values():
        groups.setdefault(entry.heading, []).append(row(entry))
    lines = [HEAD]
    for group, rows in groups.items():
        lines += [f"## {group}", "", "| variable and flag | value | default | meaning |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 -- its output is the page
