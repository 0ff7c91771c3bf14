"""What the guides say to `kubectl`, read as it reads it."""

import shlex
from dataclasses import dataclass, field

VERBS = {
    "apply": ("--filename", "--kustomize"),
    "cp": ("--namespace",),
    "create": ("--namespace", "--from-literal", "--from-file"),
    "delete": ("--namespace",),
    "describe": ("--namespace",),
    "exec": ("--namespace",),
    "get": ("--namespace", "--selector", "--output"),
    "logs": ("--namespace", "--selector", "--tail"),
}
"""Each with the flags that the guides use; all of them have a value."""
KINDS = {"cronjob", "deployment", "job", "jobs", "pod"}


@dataclass(frozen=True)
class KubectlLine:
    """One command."""

    words: tuple[str, ...]
    verb: str
    kind: str = ""
    objects: tuple[tuple[str, str], ...] = ()
    options: dict[str, list[str]] = field(default_factory=dict)
    target: str = ""
    """Where a copy goes."""

    def __str__(self) -> str:
        return shlex.join(("kubectl", *self.words))


def parse(words: tuple[str, ...]) -> KubectlLine:
    verb, *rest = words
    assert verb in VERBS, f"kubectl {verb}: not known here"
    if "--" in rest:  # what follows runs in a pod
        rest = rest[: rest.index("--")]
    names, options = _sorted(rest, VERBS[verb])
    if verb == "cp":
        source, target = names
        pod, _, path = source.partition(":")
        assert path.rpartition("/")[2] == target
        return KubectlLine(words, verb, "", (("pod", pod),), options, target)
    if verb == "create":
        assert names[0] in {"secret", "configmap"}
        return KubectlLine(words, verb, names[0], (), options)
    kind = names[0] if names and "/" not in names[0] else ""
    assert kind in {"", *KINDS}, f"kubectl {verb} {kind}: not known here"
    named = [(kind, name) for name in names[1:]] if kind else [(part[0], part[2]) for part in (n.partition("/") for n in names)]
    return KubectlLine(words, verb, kind, tuple(named), options)


def _sorted(words: list[str], known: tuple[str, ...]) -> tuple[list[str], dict[str, list[str]]]:
    """Names, and flags with their values."""
    options: dict[str, list[str]] = {}
    names: list[str] = []
    left = iter(words)
    for word in left:
        if not word.startswith("-"):
            names.append(word)
            continue
        flag, sign, value = word.partition("=")
        assert flag in known, f"{flag}: not known here"
        value = value if sign else next(left, "")
        assert value, f"{flag} has no value"
        options.setdefault(flag, []).append(value)
    return names, options
