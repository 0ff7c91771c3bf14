"""What the guides say to `kubectl`, read as it reads it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

VALUES = (
    "--namespace",
    "--selector",
    "--filename",
    "--kustomize",
    "--from-literal",
    "--from-file",
    "--tail",
    "--output",
    "--patch",
)
"""Flags with a value; there are no others in the guides."""
VERBS = {
    "apply": ("--filename", "--kustomize"),
    "create": ("--namespace", "--from-literal", "--from-file"),
    "delete": ("--namespace",),
    "describe": ("--namespace",),
    "exec": ("--namespace",),
    "get": ("--namespace", "--selector", "--output"),
    "logs": ("--namespace", "--selector", "--tail"),
}
KINDS = {"cronjob", "deployment", "job", "jobs", "pod"}


@dataclass(frozen=True)
class KubectlLine:
    """One command."""

    words: tuple[str, ...]
    verb: str
    kind: str = ""
    objects: tuple[tuple[str, str], ...] = ()
    options: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return shlex.join(("kubectl", *self.words))


def parse(words: tuple[str, ...]) -> KubectlLine:
    verb, *rest = words
    assert verb in VERBS, f"kubectl {verb}: not known here"
    options: dict[str, list[str]] = {}
    names: list[str] = []
    left = iter(rest)
    for word in left:
        if word == "--":
            break
        if word.startswith("-"):
            flag, sign, value = word.partition("=")
            assert flag in VERBS[verb], f"kubectl {verb} {flag}: not known here"
            options.setdefault(flag, []).append(value if sign else _value(left, flag))
        else:
            names.append(word)
    if verb == "create":
        assert names[0] in {"secret", "configmap"}
        return KubectlLine(words, verb, names[0], (), options)
    kind = names[0] if names and "/" not in names[0] else ""
    objects = [tuple(name.split("/")) for name in names if "/" in name] + [(kind, name) for name in names[1:] if kind]
    assert not kind or kind in KINDS, f"kubectl {verb} {kind}: not known here"
    return KubectlLine(words, verb, kind, tuple((one, name) for one, name in objects), options)


def _value(words: Iterator[str], flag: str) -> str:
    assert flag in VALUES
    value = next(words, "")
    assert value, f"{flag} has no value"
    return value
