"""The report on a terminal of any width."""

import io

from rich.console import Console

from cleanup_job.planning.outcome import LeftOut, ProjectSum, Report
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import table
from tests.unit.report.example_report import report


def shown(made: Report, *, width: int = 80, terminal: bool = False, **options: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None)
    table.render(made, console, **options)
    return stream.getvalue()


def test_eighty_columns_hold_every_line_but_addresses_and_settings_to_copy() -> None:
    lines = shown(report(projects=40)).splitlines()
    assert not [line for line in lines if len(line.rstrip()) > 80 and "https://" not in line and "CLEANUP_" not in line]
    assert [line for line in lines if line.startswith((" total", "total"))]
    assert "and 16 more" in " ".join(lines)  # 41 projects, 25 of them with the rest summed up, and never cut silently


def test_failures_come_first_and_the_exit_code_is_explained_last() -> None:
    text = " ".join(shown(report()).split())
    assert text.index("1 task failed: it has files that could not be deleted") < text.index("5 tasks kept: each has files")
    assert text.index("5 tasks kept") < text.index("1 task skipped: it is a public example")
    assert "7 tasks are left for the next pass: the limit of CLEANUP_MAX_TASKS was reached" in text
    assert text.endswith("continues with the rest (42 requests in 1 min 15 s)")


def test_a_dry_run_never_says_deleted() -> None:
    text = shown(report(dry_run=True), width=100)
    assert "\nDry run: would delete 3 tasks, 3 models and 3,600 files (9.0 MiB); 5 to keep" in text
    assert "Deleted" not in text
    assert "  kept" not in text.split("total")[0]


def test_each_store_is_named_once_with_a_setting_that_can_be_copied_whole() -> None:
    lines = shown(report(), width=40).splitlines()
    text = "\n".join(lines)
    assert "unknown store https://old.example: 10 files" in " ".join(text.split())
    assert "unknown store s3://bucket: 5 files" in " ".join(text.split())
    assert text.count("unknown store") == 2
    assert [line.strip() for line in lines].count("CLEANUP_FILES_URL_PREFIXES=https://old.example") == 1
    assert [line.strip() for line in lines].count("CLEARML_CONFIG_FILE=/the/clearml.conf") == 1


def test_tasks_are_links_where_the_terminal_can_and_addresses_where_it_can_not() -> None:
    address = f"https://web/projects/p1/experiments/{'f' * 32}/output/execution"
    assert f"\n    {address}\n" in shown(report())
    assert f";{address}\x1b\\" in shown(report(), terminal=True)


def test_the_sum_comes_last_and_not_at_all_before_a_question() -> None:
    text = shown(report(), width=120)
    assert text.index("5 tasks kept") < text.index("\nDeleted 3 tasks") < text.index("\nExit code")
    asked = shown(report(), width=120, is_end=False)
    assert "Deleted 3 tasks" not in asked
    assert "Exit code" not in asked


def test_what_clearml_hides_counts_for_the_project_that_it_is_in() -> None:
    made = report()
    made.projects.clear()
    for n, (name, tasks) in enumerate(
        [
            ("vision", 1),
            ("vision/.datasets/images", 2),
            ("vision/.pipelines/train/x", 4),
            ("vision/.hidden", 8),
            (".reports/a", 16),
        ]
    ):
        made.projects[str(n)] = ProjectSum(name, tasks=tasks)
    rows = {line.split()[0]: line.split()[1] for line in shown(made).splitlines() if len(line.split()) >= 6}
    assert {name: rows[name] for name in ("vision", "vision/.hidden", ".reports", "total")} == {
        "vision": "7", "vision/.hidden": "8", ".reports": "16", "total": "31",
    }  # fmt: skip
    assert not {name for name in rows if "datasets" in name or "pipelines" in name}


def test_a_long_address_loses_its_middle_unless_everything_is_asked_for() -> None:
    made = report()
    address = f"https://files.example/{'x' * 90}/weights.pt"
    made.protected, made.protected_examples = 1, [(TaskId("f" * 32), address)]
    lines = shown(made).splitlines()
    (line,) = (line for line in lines if line.startswith("  https://files.example/x"))
    assert len(line) == 80
    assert line.endswith("/weights.pt")
    assert address in shown(made, whole=True)


def test_what_is_left_out_is_said_with_the_setting() -> None:
    made = report(dry_run=True)
    made.left_out = [
        LeftOut(486, "archived tasks past the threshold are not drafts", "CLEANUP_FORCE_DELETE=true"),
        LeftOut(7, "archived tasks past the threshold are left out by a filter", "CLEANUP_TAGS", is_least=True),
    ]
    text = shown(made, width=120)
    assert "486 archived tasks past the threshold are not drafts: set CLEANUP_FORCE_DELETE=true\n" in text
    assert "at least 7 archived tasks past the threshold are left out by a filter (CLEANUP_TAGS)\n" in text
