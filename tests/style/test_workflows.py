"""Each action is pinned to a commit, with its version beside it, and is the same one everywhere."""

import re
from pathlib import Path

import pytest

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / ".github" / "workflows").glob("*.yml"))
USES = re.compile(r"uses: (?P<action>[^@\s]+)(?:@(?P<commit>\S+)(?: # (?P<version>\S+))?)?$", re.MULTILINE)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned(path: Path) -> None:
    found = [match for match in USES.finditer(path.read_text(encoding="utf-8")) if not match["action"].startswith("./")]
    assert found
    for match in found:
        assert re.fullmatch(r"[0-9a-f]{40}", match["commit"] or ""), match[0]
        assert re.fullmatch(r"v\d+\.\d+\.\d+", match["version"] or ""), match[0]


def test_an_action_has_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for match in USES.finditer(path.read_text(encoding="utf-8")):
            pins.setdefault(match["action"], set()).add(f"{match['commit']} {match['version']}")
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_allowed_that_a_job_does_not_ask_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
