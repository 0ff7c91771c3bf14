"""The JSON schema of the file with policies, for editors and for the chart."""

from collections.abc import Mapping
from typing import Any, cast

from cleanup_job.settings.policy_document import PolicyDocument

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
"""What Helm and the language servers for YAML read."""
_KEYWORDS = frozenset(
    {
        "description",
        "type",
        "enum",
        "const",
        "pattern",
        "examples",
        "additionalProperties",
        "required",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
    }
)


def json_schema() -> Schema:
    """The schema, in the draft that Helm reads: it refuses what the job refuses, apart from rules on several fields."""
    made = PolicyDocument.model_json_schema()
    definitions = cast("Mapping[str, Schema]", made.pop("$defs"))
    return {
        "$schema": DRAFT,
        "title": "Policies of clearml-cleanup",
        **_plain(made),
        "definitions": {name: _plain(part) for name, part in sorted(definitions.items())},
    }


def _plain(schema: Mapping[str, Any]) -> Schema:
    """A schema without what pydantic adds for itself: nothing may be null, since a key without a value is a mistake."""
    found = {key: value for key, value in schema.items() if key in _KEYWORDS}
    if "$ref" in schema:
        return _referring({"$ref": schema["$ref"].replace("#/$defs/", "#/definitions/")}, found)
    if "properties" in schema:
        found["properties"] = {name: _plain(part) for name, part in schema["properties"].items()}
    if "items" in schema:
        found["items"] = _plain(schema["items"])
    choices = [_plain(one) for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) == 1:
        return _referring(choices[0], found) if "$ref" in choices[0] else choices[0] | found
    return found | {"anyOf": choices} if choices else found


def _referring(reference: Schema, more: Schema) -> Schema:
    """A reference and more: beside a reference itself, draft 7 ignores everything."""
    return {"allOf": [reference], **more} if more else reference
