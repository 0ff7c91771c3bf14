"""What the policies have in store for a task, in words."""

from datetime import UTC, date, datetime, timedelta

from cleanup_job.planning.course import Event
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outlook import Outlook
from cleanup_job.report.outlook_text import outlook_document, policy_lines, stage_lines

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_stages_with_and_without_a_notice() -> None:
    events = (
        Event(Stage.ARCHIVE, NOW, "p"),
        Event(Stage.SLIM, NOW + 8.5 * DAY, "p", date(2026, 11, 10), NOW),
        Event(Stage.DELETE, NOW + 18.5 * DAY, "p", date(2026, 11, 20), NOW + 11 * DAY),
    )
    lines = [line.plain for line in stage_lines(Outlook("p", events), NOW)]
    assert lines == [
        "archive: now",
        "slim: from 2026-11-10 00:00 UTC on, in 8 days; a pass announces it now for 2026-11-10",
        "delete: from 2026-11-20 00:00 UTC on, in 18 days; announced from 2026-11-12 on",
    ]
    known = Outlook("p", (Event(Stage.DELETE, NOW + 1.5 * DAY, "p", date(2026, 11, 3), NOW - DAY),), never=(Stage.SLIM,))
    assert [line.plain for line in stage_lines(known, NOW)] == [
        "delete: from 2026-11-03 00:00 UTC on, in 36.0 hours; announced for 2026-11-03",
        "slim: never, as it is now",
    ]


def test_what_a_policy_goes_by() -> None:
    one = Outlook(
        "p\x1b[2J",
        kept="the tag 'gold'",
        restored=True,
        left_out=True,
        keep_rules=("all",),
        wishes=("the tag 'keep'",),
        archived_at=NOW,
        archived_for=14 * DAY,
        slimmed=date(2026, 10, 1),
        floor=NOW,
    )
    text = "\n".join(line.plain for line in policy_lines(one))
    assert "\x1b" not in text
    for words in (
        "the settings leave the task out",
        "kept: the tag 'gold'",
        "left alone: it was restored from the archive",
        "its owner asks for the tag 'keep'",
        "keeps all",
        "in the archive since 2026-11-01 12:00 UTC; deleted after 14d there",
        "slimmed on 2026-10-01",
        "by the settings, neither slimmed nor deleted before its age counts from before 2026-11-01 12:00 UTC",
    ):
        assert words in text
    assert [line.plain for line in policy_lines(Outlook())] == ["none matches it: it is left alone"]
    document = outlook_document(one)
    assert (document["archived_for_seconds"], document["slimmed"]) == (14 * 86_400, "2026-10-01")
