"""What the policies have in store for a task: on a terminal, and as JSON."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.text import Text

from cleanup_job.planning.course import Event
from cleanup_job.planning.judgement import moment
from cleanup_job.planning.lifecycle.fate import RESTORED
from cleanup_job.planning.lifecycle.policy import duration_text
from cleanup_job.planning.outlook import Outlook
from cleanup_job.report.formatting import days, plain


def policy_lines(one: Outlook) -> Iterator[Text]:
    """Which policy counts, and what keeps the task."""
    if one.left_out:
        yield Text("the settings leave the task out: policies neither archive nor slim it", "yellow")
    if not one.policy:
        yield Text("none matches it: it is left alone", "yellow")
        return
    yield Text(plain(one.policy))
    if one.kept:
        yield Text(f"kept: {plain(one.kept)}", "yellow")
    if one.restored:
        yield Text(f"left alone: {plain(RESTORED)}", "yellow")
    yield from (Text(f"its owner asks for {plain(wish)}") for wish in one.wishes)
    yield from (Text(f"keeps {plain(rule)}", "dim") for rule in one.keep_rules)
    if one.archived_at is not None and one.archived_for:
        yield Text(
            f"in the archive since {moment(one.archived_at)}; deleted after {duration_text(one.archived_for)} there", "dim"
        )
    if one.slimmed is not None:
        yield Text(f"slimmed on {one.slimmed}", "dim")
    if one.floor is not None:
        yield Text(f"by the settings, neither slimmed nor deleted before its age counts from before {moment(one.floor)}", "dim")


def stage_lines(one: Outlook, now: datetime) -> Iterator[Text]:
    """When its stages come."""
    yield from (Text(f"{event.stage}: {_when(event, now)}{_notice(event, now)}") for event in one.events)
    yield from (Text(f"{stage}: never, as it is now", "dim") for stage in one.never)


def _when(event: Event, now: datetime) -> str:
    return "now" if event.when <= now else f"from {moment(event.when)} on, in {days(event.when - now)}"


def _notice(event: Event, now: datetime) -> str:
    if event.announced is None or event.noticed is None:
        return ""
    if event.noticed <= now:
        return (
            f"; announced for {event.announced}" if event.noticed < now else f"; a pass announces it now for {event.announced}"
        )
    return f"; announced from {event.noticed.astimezone(UTC).date()} on"


def outlook_document(one: Outlook) -> dict[str, Any]:
    """The same as JSON. Times are in ISO 8601 and UTC, durations in seconds."""
    return {
        "name": one.policy or None,
        "kept": one.kept or None,
        "restored": one.restored,
        "left_out_by_settings": one.left_out,
        "stages": [event_document(event) for event in one.events],
        "never": list(one.never),
        "keep_rules": list(one.keep_rules),
        "owner_asks_for": list(one.wishes),
        "notice_seconds": one.notice / timedelta(seconds=1),
        "archived_at": one.archived_at.isoformat() if one.archived_at else None,
        "archived_for_seconds": one.archived_for / timedelta(seconds=1),
        "slimmed": one.slimmed.isoformat() if one.slimmed else None,
        "active_before": one.floor.isoformat() if one.floor else None,
    }


def event_document(event: Event) -> dict[str, Any]:
    """A stage as JSON."""
    return {
        "stage": event.stage,
        "from": event.when.isoformat(),
        "announced": event.announced.isoformat() if event.announced else None,
        "noticed": event.noticed.isoformat() if event.noticed else None,
    }
