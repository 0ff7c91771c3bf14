"""The sandbox takes whole conversations of real clients: Task.init with outputs, clones, agents and the original service.

They come without a world: `before` makes one from what a conversation itself shows. Each request is then sent in the
recorded order, one at a time, where the real client's threads were at work at once. Compared are status, codes and the
whole answer, lists without their order. Left out: how long a task was at work, which of two workers that reported at once
came last, the wording of errors, and the contents of uploads, which the recordings lack.
"""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import Document
from tests.conformance.before import Before
from tests.conformance.recorded import KEY, SECRET, recorded, title

FREE = {"active_duration": "<now>", "last_worker": "<any>", "result_msg": "<any>"}
"""Fields that must be there; "<now>" is any number."""
SENT_AT = 1_795_384_049_000


@pytest.mark.parametrize("path", recorded("sdk"), ids=title)
def test_a_recorded_clients_requests(replay: ModuleType, server: Sandbox, path: Path) -> None:
    steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
    before = Before(steps)
    context = replay.Context({"{API}": server.api_url, "{FILES}": server.files_url, "{KEY}": KEY, "{SECRET}": SECRET}, {})
    server.load(replay.fill(before.world(KEY, SECRET), context))
    context.bound.update(before.ids())
    found = []
    for number, step in enumerate(steps, 1):
        status, _, data = replay.send(_sent(step), context)
        where = f"step {number} {step['method']} {step['path']}: "
        if status != step["status"]:
            found.append(f"{where}status: want {step['status']}, got {status}")
        found += [where + line for line in replay.differences(_freed(step["response"]), data, context, unordered=True)]
    assert found == []


def _sent(step: Document) -> Document:
    """A request that can be sent: with a time, and with contents in uploads."""
    sent: Document = json.loads(re.sub(r'"<now>"', str(SENT_AT), json.dumps({**step, "response": None})))
    if "upload" in sent:
        sent["upload"] = [{**part, "content": "x" * part["size"]} for part in sent["upload"]]
        del sent["send_headers"]  # a content type without the boundary
    return sent


def _freed(value: Any) -> Any:
    """An answer in which the fields that depend on the time of day are open."""
    if isinstance(value, dict):
        return {name: FREE.get(name) or _freed(of) for name, of in value.items()}
    return [_freed(item) for item in value] if isinstance(value, list) else value
