"""The page of `usage` has exactly the fields of its JSON form."""

import re
from pathlib import Path

from cleanup_job.planning.usage import Kind
from cleanup_job.report.usage_document import as_document
from tests.unit.report.example_usage import report

PAGE = Path(__file__).parents[2] / "docs" / "commands" / "usage.md"


def test_each_field_is_documented_and_no_other() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## JSON")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", table, re.MULTILINE))
    found = as_document(report())
    assert set(rows) == set(found)
    sums = {"tasks", "files", "bytes", "unsized"}
    for field, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            missing = [name for name in value[0].keys() - sums if f"`{name}`" not in rows[field]]
            assert not missing, field
    assert {kind.value for kind in Kind} <= set(re.findall(r"`(\w+)`", rows["kinds"]))
