"""The message of a run: what it says first, how long it may get, and that a name in it is only a name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from markdown_it import MarkdownIt

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import LeftOut, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, Sum, SweepReport
from cleanup_job.report.message import LONGEST, Message, of_error, of_report, of_sweep
from tests.unit.report.example_report import MOMENT, report
from tests.unit.report.test_hostile_text import TEXT

SENDER = "nightly in namespace ml"


def of(made: Report) -> Message:
    return of_report(made, SENDER)


def test_a_pass_says_what_was_deleted_what_failed_and_why() -> None:
    made = of(report())
    assert made.title == "ClearML Cleanup on api: done in part: the next pass continues with the rest"
    assert made.kind == "failure"
    lines = made.text.splitlines()
    assert lines[0].startswith("Deleted 3 tasks, 3 models and 3,600 files (9.0 MiB); 5 kept, 1 failed")
    for said in (
        "- server: http://api:8008",
        "- release: nightly in namespace ml",
        "- exit code: 3, done in part: the next pass continues with the rest",
        "- 7 tasks are left for the next pass: the limit of CLEANUP_MAX_TASKS was reached.",
        "1 task failed: it has files that could not be deleted:",
        f"- broken (https://web/projects/p1/experiments/{'f' * 32}/output/execution) in team/project 1: disk is full",
        "- team/project 1 (https://web/projects/p1/experiments): 1 task, 1 model and 1,200 files (3.0 MiB) deleted; 1 failed",
        "- 5 tasks kept: each has files on a store that the job does not know",
        "- unknown store s3://bucket: 5 files; see CLEARML_CONFIG_FILE=/the/clearml.conf",
    ):
        assert said in lines
    links = [
        token.attrs["href"] for token in MarkdownIt().parse(made.markdown)[0:] for token in token.children or () if token.attrs
    ]
    assert f"https://web/projects/p1/experiments/{'f' * 32}/output/execution" in links
    assert "https://web/projects/p0/experiments" in links


def test_failures_come_before_what_was_deleted() -> None:
    text = of(report()).text
    assert text.index("failed: it has") < text.index("By project:") < text.index("5 tasks kept")


def test_a_dry_run_says_so() -> None:
    made = of(Report("1.0", True, MOMENT, MOMENT, "http://api:8008", finished=MOMENT))
    assert made.title == "ClearML Cleanup on api (dry run): nothing to delete"
    planned = Report("1.0", True, MOMENT, MOMENT, "http://api:8008", finished=MOMENT)
    planned.add(TaskOutcome(TaskId("a"), "n", "p", "q", Verdict.WOULD_DELETE, models=1, files=2, bytes=3))
    assert of(planned).title == "ClearML Cleanup on api (dry run): 1 task would be deleted"
    assert "- p: 1 task, 1 model and 2 files (3 B) would be deleted" in of(planned).text


@pytest.mark.parametrize(("code", "kind"), [(0, "success"), (1, "failure"), (3, "failure"), (143, "success"), (130, "success")])
def test_its_kind_is_that_of_its_exit_code(code: int, kind: str) -> None:
    made = Report("1.0", False, MOMENT, MOMENT, exit_code=code, finished=MOMENT)
    assert of(made).kind == kind
    made.warn("look at this")
    assert of(made).kind == ("warning" if kind == "success" else kind)
    assert "- warning: look at this" in of(made).text


def test_why_it_ended_is_said_first() -> None:
    made = Report("1.0", False, MOMENT, MOMENT, finished=MOMENT, exit_code=4, error="the server is away", run="r" * 32)
    made.web = "https://web"
    made.stopped_by = StopReason.UNREACHABLE
    text = of(made).text
    assert "Error: the server is away" in text
    assert "- It ended early: the server could not be reached." in text
    assert f"- its run in ClearML (https://web/projects/*/experiments/{'r' * 32}/output/log)" in text


def test_what_a_dry_run_leaves_out_and_a_project_that_is_gone() -> None:
    made = report(dry_run=True)
    made.left_out = [LeftOut(5, "archived tasks past the threshold are not drafts", "CLEANUP_FORCE_DELETE=true")]
    made.emptied = ["team/project 2"]
    text = of(made).text
    assert "- 5 archived tasks past the threshold are not drafts: set CLEANUP_FORCE_DELETE=true" in text
    assert "- team/project 2: 1 task" in text


# -- how long
def huge() -> Report:
    made = report(projects=300)
    for number in range(2000):
        reason = list(Reason)[number % len(Reason)]
        verdict = Verdict.FAILED if number % 2 else Verdict.KEPT
        name = f"{number} " + "very long name " * 40
        made.add(
            TaskOutcome(TaskId(f"{number:032x}"), name, f"p{number} " + "x" * 400, f"q{number}", verdict, reason, "why " * 900)
        )
        made.warn("careful " * 900)
    made.error = "broken " * 2000
    made.emptied = ["e" * 500] * 1000
    return made


def test_it_is_bounded_whatever_a_pass_did_and_no_line_is_cut() -> None:
    made, whole = of(huge()), of(replace(huge(), error=""))
    for text in (made.markdown, made.text, whole.markdown, whole.text):
        assert 2000 < len(text) <= LONGEST
        *lines, last = [line for line in text.splitlines() if line]
        assert last.startswith("… and ")
        assert last.endswith(" more lines: the log has everything.")
        assert not [line for line in lines if len(line) > 1300]
    assert len(made.title) < 200


def test_how_many_lines_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    short = of(huge()).text
    monkeypatch.setattr("cleanup_job.report.message.LONGEST", 10**6)
    whole = [line for line in of(huge()).text.splitlines() if line]
    kept = [line for line in short.splitlines() if line][:-1]
    assert whole[: len(kept)] == kept
    assert f"… and {len(whole) - len(kept)} more lines" in short


# -- names
def with_name(name: str) -> Report:
    made = Report("1.0", False, MOMENT, MOMENT, "http://api:8008", "https://web", finished=MOMENT)
    made.add(
        TaskOutcome(TaskId("t" * 32), name, name, "p", Verdict.FAILED, Reason.FILE_ERROR, name, unknown_stores=((name, 1),))
    )
    made.add(TaskOutcome(TaskId("t" * 32), name, name, "q", Verdict.DELETED))
    made.warn(name)
    return made


def kinds(markdown: str) -> list[str]:
    return [
        inner.type
        for token in MarkdownIt().parse(markdown)
        for inner in (token, *(token.children or ()))
        if inner.type != "text"
    ]


@given(TEXT)
@example("**bold** [x](http://evil) <img> `code`")
@example("@channel @everyone <!channel>")
def test_a_name_is_only_a_name(name: str) -> None:
    made = of(with_name("x" + name))
    made.markdown.encode()
    made.text.encode()
    assert kinds(made.markdown) == kinds(of(with_name("x")).markdown)
    for text in (made.markdown, made.text):
        assert not [at for at in range(len(text) - 1) if text[at] == "@" and text[at + 1].isalpha()], "no one is called"


def test_no_secret_is_in_a_message() -> None:
    made = of(with_name("https://user:secret-word@host/path?sig=abcdef"))
    assert "secret-word" not in made.text + made.markdown
    assert "abcdef" not in made.text + made.markdown


# -- other runs
def test_a_sweep() -> None:
    made = SweepReport("1.0", "api", False, MOMENT, MOMENT + timedelta(seconds=3), folders=5, known=2)
    made.sums[OrphanVerdict.FOUND] = Sum()
    made.sums[OrphanVerdict.FOUND].add(Orphan("s3://b", "p", TaskId("t"), OrphanVerdict.FOUND, 3, 1 << 20, datetime.now(UTC)))
    message = of_sweep(made, SENDER)
    assert (message.title, message.kind) == ("ClearML Cleanup on api (dry run): sweep of 5 task folders", "success")
    assert "Sweep: 5 task folders, 2 of them with a record." in message.text
    assert "- 1 folder with 3 files (1.0 MiB): no record" in message.text
    made.delete, made.exit_code, made.error, made.stopped_by = True, 3, "away", StopReason.SIGTERM
    failed = of_sweep(made, SENDER)
    assert failed.title == "ClearML Cleanup on api: done in part: the next pass continues with the rest"
    assert failed.kind == "failure"
    assert "Error: away" in failed.text
    assert "- It ended early: the pass was stopped by SIGTERM." in failed.text


def test_a_run_that_did_not_begin() -> None:
    made = of_error("CLEANUP_WORKERS=0: use 1 or more.", 2, "https://api.example.com", SENDER, what="pass")
    assert made.title == "ClearML Cleanup on api.example.com: wrong settings or credentials, or refused"
    assert made.text.splitlines()[0] == "No pass ran."
    assert "Error: CLEANUP_WORKERS=0: use 1 or more." in made.text
    assert of_error("e", 2, "", SENDER, what="sweep").title == "ClearML Cleanup: wrong settings or credentials, or refused"


# -- policies
def staged(*, dry_run: bool = False) -> Report:
    made = Report("1.0", dry_run, MOMENT, MOMENT, "http://api:8008", "https://web", finished=MOMENT, policies="digest")

    def add(number: int, verdict: Verdict, stage: Stage, due: datetime | None = None, **more: int) -> None:
        task = TaskId(f"{number:032x}")
        made.add(TaskOutcome(task, f"run {number}", "play", "p", verdict, policy="playground", stage=stage, due=due, **more))

    for number in range(5):
        add(number, Verdict.NOTICED, Stage.DELETE, datetime(2026, 12, 20 - number, tzinfo=UTC))
    add(10, Verdict.NOTICED, Stage.ARCHIVE, datetime(2026, 12, 3, tzinfo=UTC))
    add(11, Verdict.ARCHIVED, Stage.ARCHIVE)
    add(12, Verdict.SLIMMED, Stage.SLIM, models=2, files=30, bytes=3 << 20)
    add(13, Verdict.DELETED, Stage.DELETE, models=1, files=4, bytes=5)
    return made


def item(number: int) -> str:
    return f"- run {number} (https://web/projects/p/experiments/{number:032x}/output/execution) in play"


def test_what_policies_did_and_what_they_will_do_and_when() -> None:
    made = of(staged())
    assert made.title == "ClearML Cleanup on api: 1 task deleted, 1 archived, 1 slimmed, 6 announced"
    assert made.kind == "warning", "someone may want to keep a task that was announced"
    blocks = made.text.split("\n\n")[1:]
    assert blocks[:4] == [
        f"1 task will be archived by policy playground, the first on 2026-12-03:\n{item(10)} on 2026-12-03",
        "5 tasks will be deleted by policy playground, the first on 2026-12-16:\n"
        + "\n".join(f"{item(n)} on 2026-12-{20 - n}" for n in (4, 3, 2))
        + "\n- and 2 more",
        f"1 task archived by policy playground:\n{item(11)}",
        f"1 task slimmed by policy playground, with 2 models and 30 files (3.0 MiB):\n{item(12)}",
    ]
    assert blocks[4] == "- 1 task deleted by policy playground, with 1 model and 4 files (5 B)."


def test_a_dry_run_with_policies() -> None:
    made = of(staged(dry_run=True))
    assert made.title == "ClearML Cleanup on api (dry run): 1 task would be deleted, 1 archived, 1 slimmed, 6 announced"
    assert "5 tasks would be announced to be deleted by policy playground, the first on 2026-12-16:" in made.text
    assert "1 task would be archived by policy playground:" in made.text
    idle = Report("1.0", True, MOMENT, MOMENT, "http://api:8008", finished=MOMENT, policies="digest")
    assert of(idle).title == "ClearML Cleanup on api (dry run): nothing to do"
