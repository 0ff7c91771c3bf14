"""What is said before a pass on a terminal begins."""

import io
from typing import Any

import pytest
from rich.console import Console

from cleanup_job.report import head
from tests.unit.report.example_report import report

LONG = "CLEANUP_EXCLUDE_PROJECTS", ",".join(f"project-{n}" for n in range(30)), "environment"


def shown(*settings: tuple[str, str, str], dry_run: bool = False, **options: Any) -> list[str]:
    stream = io.StringIO()
    made = report(dry_run=dry_run)
    made.server, made.settings = "https://api.example", list(settings)
    head.render(made, Console(file=stream, width=80), **options)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("settings", "options", "first"),
    [
        ([], {}, "Pass on https://api.example: drafts only"),
        ([("CLEANUP_FORCE_DELETE", "True", "x")], {}, "Pass on https://api.example: tasks in any status"),
        ([("CLEANUP_FORCE_DELETE", "False", "x")], {"dry_run": True}, "Dry run on https://api.example: drafts only"),
        ([], {"dry_run": True, "is_plan": True}, "Plan for https://api.example: drafts only"),
    ],
)
def test_the_first_line_says_what_where_and_how_much(settings: list[Any], options: dict[str, Any], first: str) -> None:
    assert shown(*settings, **options)[0] == first


def test_whose_key_which_cut_off_and_which_filters_follow() -> None:
    lines = shown(LONG, ("CLEANUP_WORKERS", "8", "x"), ("CLEANUP_MAX_TASKS", "5", "x"), key="Ada (u1)", asks=False)
    assert lines[1] == "  with the key of     Ada (u1)"
    assert lines[2].startswith("  last active before  2026-")
    assert lines[2].endswith(" days ago)")
    assert lines[3] == f"  filters             {LONG[0]}={LONG[1]}", "people copy it, so it is whole"
    assert lines[4:] == [f"{'':22}CLEANUP_MAX_TASKS=5", "  without a question  --yes"]


def test_with_policies_their_file_stands_in_place_of_the_one_cut_off() -> None:
    lines = shown(("CLEANUP_POLICIES", "/etc/policies.yaml", "environment"), LONG)
    assert lines[1] == "  by the policies in  /etc/policies.yaml"
    assert lines[2].startswith("  filters ")
    assert len(lines) == 3


def test_what_is_not_known_or_not_asked_is_left_out() -> None:
    assert len(shown()) == 2
    assert len(shown(dry_run=True, asks=False)) == 2
