"""Prints docs/settings.md from the settings model: `make docs` writes it, and a test compares the two."""

from typing import Any, Literal, get_args, get_origin

from cleanup_job.settings.model import TABLE

HEAD = """# Settings

Generated from `cleanup_job/settings/` by `make docs`; do not edit it by hand.

A value is taken from the flag of `clearml-cleanup run` (those under Sweep: of `clearml-cleanup sweep`), else from the
environment, else (for the connection) from a `clearml.conf`, else it is the default. `clearml-cleanup settings` prints the
effective values and where each came from.

A value that is empty, misspelled or out of bounds is never read as "no limit": it ends the job with exit code 2 before anything
is deleted. So does the name of a project, user or tag that matches nothing, and an unknown variable that begins with
`CLEANUP_`. Lists are written `a,b` or `["a", "b"]`; flags may be repeated.
"""


def kind(annotation: Any) -> str:
    """The kind of value, in words."""
    annotation = annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = get_args(annotation)[0]
        return "list" if get_origin(inner) is not Literal else "list of " + ", ".join(f"`{c}`" for c in get_args(inner))
    found = [arg for arg in get_args(annotation) if arg is not type(None)]
    if found and get_origin(annotation) is not None:
        return " or ".join(dict.fromkeys(kind(arg) for arg in found))
    names = {"bool": "true or false", "int": "whole number", "float": "number", "SecretStr": "text (secret)", "Path": "path"}
    return names.get(getattr(annotation, "__name__", ""), "text")


def bounds(metadata: list[Any]) -> str:
    """Limits of a number, in words."""
    words = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(item, name):g}" for item in flat(metadata) for name, sign in words.items() if hasattr(item, name)
    ]
    return ", ".join(found)


def flat(metadata: list[Any]) -> list[Any]:
    """Constraints, including those in a Field of an Annotated type."""
    return [inner for item in metadata for inner in (item.metadata if hasattr(item, "metadata") else [item])]


def default(value: Any) -> str:
    """A default as it would be written."""
    if value is None or value == ():
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def page() -> str:
    """The whole page."""
    headings: dict[str, list[str]] = {}
    for entry in TABLE.values():
        flag = "" if entry.secret else f"`{entry.flag}`"
        limits = bounds(entry.field.metadata)
        value = kind(entry.field.annotation) + (f", {limits}" if limits else "")
        row = f"| `{entry.env}` | {flag} | {value} | {default(entry.default)} | {entry.field.description} |"
        headings.setdefault(entry.heading, []).append(row)
    lines = [HEAD]
    for heading, rows in headings.items():
        lines += [f"## {heading}", "", "| variable | flag | value | default | meaning |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 -- its output is the page
