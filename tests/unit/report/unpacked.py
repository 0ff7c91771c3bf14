"""The tasks of a page, unpacked as its script does it."""

import base64
import gzip
import json
import re
from typing import Any

FIELDS = (
    "task", "name", "project", "owner", "verdict", "reason", "detail", "status", "rule", "models", "files", "bytes", "unsized",
    "active", "stage", "policy", "due",
)  # fmt: skip


def packed_text(page: str) -> str:
    """The JSON inside the page."""
    (found,) = re.findall(r'<script type="text/plain" id="rows">([A-Za-z0-9+/=]*)</script>', page)
    return gzip.decompress(base64.b64decode(found, validate=True)).decode()


def tasks(page: str) -> list[dict[str, Any]]:
    """The rows, with their texts in place of numbers."""
    found = json.loads(packed_text(page))
    rows = [dict(zip(FIELDS, row, strict=True)) for row in found["rows"]]
    for row in rows:
        row["project"], row["project_id"] = found["projects"][row["project"]]
        row["owner"] = found["owners"][row["owner"]][0]
        row["verdict"] = found["verdicts"][row["verdict"]][0]
        row["reason"] = found["reasons"][row["reason"]][0] if row["reason"] >= 0 else None
        row["status"] = found["statuses"][row["status"]][0]
        row["rule"] = found["rules"][row["rule"]][0]
        row["stage"] = found["stages"][row["stage"]][0]
        row["policy"] = found["policies"][row["policy"]][0]
    return rows
