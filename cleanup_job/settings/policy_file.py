"""The file with policies, read with line numbers. What is wrong is an error with its line and field."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cleanup_job.settings.policy_document import PolicyDocument
from cleanup_job.settings.policy_mistakes import problems

LARGEST = 1_000_000
"""Bytes that the file may have."""
DEEPEST = 20
"""Lists and mappings in each other that the file may have: more than there are fields for."""
_HINT = "use the path of a YAML file with policies"
_DATE = "tag:yaml.org,2002:timestamp"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_CAUSES = (
    ("\\t", "; indent with blanks, not with tabs"),
    ("cannot start any token", "; indent with blanks, not with tabs, and put texts that begin with @, ` or % in quotes"),
    ("alphabetic or numeric", "; put texts that begin with * or & in quotes"),
    ("single document", "; the file may have no second document after ---"),
    ("mapping values are not allowed", "; check the indentation, and put texts with `: ` in quotes"),
)
"""What may be the cause of an error, by a part of libyaml's text for it."""


class _Loader(yaml.SafeLoader):
    """YAML's own types, but dates: these stay texts, as in YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- PyYAML's own form
        first: [one for one in some if one[0] != _DATE] for first, some in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was in the file when it was read."""

    document: PolicyDocument
    digest: str
    """BLAKE2b of its bytes, 128 bits, in hexadecimal digits."""


def read(path: Path) -> PolicyDocument:
    """The document at a path.

    Raises:
        ValueError: it can't be read, or is not a file with policies; the message names each line and field.
    """
    return load(path).document


def load(path: Path) -> Loaded:
    """The document at a path, with the digest of the file.

    Raises:
        ValueError: it can't be read, or is not a file with policies; the message names each line and field.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        message = f"the file can't be read: {error.strerror}; {_HINT}"
        raise ValueError(message) from None
    except ValueError:  # a path with a character that no path has
        message = f"this is not a valid path; {_HINT}"
        raise ValueError(message) from None
    if len(content) > LARGEST:
        message = f"the file is larger than {LARGEST:,} bytes; {_HINT}"
        raise ValueError(message)
    return Loaded(_parsed(content), blake2b(content, digest_size=16).hexdigest())


@cache
def _parsed(content: bytes) -> PolicyDocument:
    try:
        text = content.decode()
        _refuse_what_policies_need_not(text)
        node = yaml.compose(text, Loader=_Loader)
        if unclear := "\n".join(_unclear(node)):
            raise ValueError(unclear)
        document = _built(text)
    except UnicodeDecodeError:
        message = "the file is not a text in UTF-8; save it as that"
        raise ValueError(message) from None
    except yaml.YAMLError as error:
        raise ValueError(_not_yaml(error)) from None
    if not isinstance(document, dict):
        message = "the file has no policies; it begins with `policies:` and a list of them"
        raise ValueError(message)  # noqa: TRY004 -- pydantic reports ValueError as a validation error
    try:
        return PolicyDocument.model_validate(document)
    except ValidationError as error:
        raise ValueError("\n".join(problems(error, node))) from None


def _built(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader
    except ValueError as error:  # PyYAML takes `0x_` for a number
        message = f"the file has a number that can't be read ({error}); put texts that look like numbers in quotes"
        raise ValueError(message) from None


def _refuse_what_policies_need_not(text: str) -> None:
    """Refuse what could grow beyond all bounds before it is built, aliases and deep nesting, and types that the file names."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            message = (
                f"{_line(event)}: *{event.anchor} is an alias of YAML, which is not read here; put a text that begins with * "
                "in quotes, and write out what is meant by an alias"
            )
            raise ValueError(message)  # noqa: TRY004 -- pydantic reports ValueError as a validation error
        if getattr(event, "tag", None) is not None:
            message = f"{_line(event)}: a tag of YAML (! and a name) is not read here; put a text that begins with ! in quotes"
            raise ValueError(message)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            message = f"{_line(event)}: too many lists and mappings in each other; policies have fewer"
            raise ValueError(message)


def _line(place: yaml.Node | yaml.Event) -> str:
    mark = place.start_mark
    return f"line {mark.line + 1 if mark is not None else 1}"


def _not_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark is not None else ""
    problem = str(getattr(error, "problem", None) or error)
    hint = next((hint for part, hint in _CAUSES if part in problem), "")
    return f"{where}the file is not YAML: {problem}{hint}"


def _unclear(node: yaml.Node | None, path: str = "") -> Iterator[str]:
    """What is YAML, but can't be meant: a key that is there twice, of which YAML takes the last, and a key with no value."""
    if isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            yield from _unclear_value(item, item, f"{path}[{at}]")
    elif isinstance(node, yaml.MappingNode):
        seen: set[Any] = set()
        for key, value in node.value:
            where = f"{path}.{key.value}".lstrip(".") if isinstance(key, yaml.ScalarNode) else path
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                yield f"{line}, {where or 'the file'}: this can't be a key; see the documentation for those that there are"
            elif key.value in seen:
                yield f"{line}, {where}: this key is there twice; remove one of them"
            else:
                seen.add(key.value)
            yield from _unclear_value(key, value, where)


def _unclear_value(place: yaml.Node, value: yaml.Node, where: str) -> Iterator[str]:
    if value.tag == _NULL:
        yield f"{_line(place)}, {where}: there is no value; write one, or remove it"
    yield from _unclear(value, where)
