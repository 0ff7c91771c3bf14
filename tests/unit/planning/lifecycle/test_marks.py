"""What tags with dates say, and what they don't."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from cleanup_job.planning.lifecycle.marks import Marks, OwnersWish, begins, ends, first_date_from, is_plausible, tag
from cleanup_job.planning.lifecycle.policy import Stage, TagNames

DAY = date(2026, 11, 28)
NAMES = TagNames()
NOT_DATES = [
    "",
    "soon",
    "2026-11-31",
    "2026-13-01",
    "20261128",
    "2026-W48",
    "2026-W48-6",
    "2026-11-28T00:00",
    "2026-11-28 ",
    "28.11.2026",
    "0001-01-01",
    "1969-12-31",
    "9999-12-31",
    "=2026-11-28",
]


def test_a_date_begins_and_ends_in_utc() -> None:
    assert begins(DAY) == datetime(2026, 11, 28, tzinfo=UTC)
    assert ends(DAY) == datetime(2026, 11, 29, tzinfo=UTC)
    assert tag("cleanup:archived", DAY) == "cleanup:archived=2026-11-28"


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 28, tzinfo=UTC), DAY),
        (datetime(2026, 11, 27, 0, 0, 0, 1, tzinfo=UTC), DAY),
        (datetime(2026, 11, 27, 23, 59, tzinfo=timezone(timedelta(hours=-1))), date(2026, 11, 29)),
        (datetime(2026, 11, 28, 2, tzinfo=timezone(timedelta(hours=2))), DAY),
    ],
)
def test_a_moment_is_rounded_up_to_a_date_in_utc(moment: datetime, day: date) -> None:
    assert first_date_from(moment) == day
    assert begins(day) >= moment


@pytest.mark.parametrize(
    ("year", "plausible"), [(1, False), (1969, False), (1970, True), (2026, True), (8999, True), (9999, False)]
)
def test_a_time_far_away_is_a_mistake(year: int, *, plausible: bool) -> None:
    assert is_plausible(datetime(year, 6, 1, tzinfo=UTC)) is plausible


# -- what the job leaves
def test_the_jobs_tags_are_read() -> None:
    marks = Marks.of(["x", "cleanup:archived=2026-11-28", "cleanup:slimmed=2026-11-01", "cleanup:deletes=2026-12-24"])
    assert (marks.archived, marks.slimmed) == (DAY, date(2026, 11, 1))
    assert marks.notice == (Stage.DELETE, date(2026, 12, 24))
    assert marks.notices == ("cleanup:deletes=2026-12-24",)
    assert Marks.of([]) == Marks()


def test_of_several_dates_the_latest_counts() -> None:
    marks = Marks.of(
        [
            "cleanup:archived=2026-11-29",
            "cleanup:archived=2026-11-28",
            "cleanup:archives=2026-12-01",
            "cleanup:deletes=2026-12-24",
            "cleanup:slims=2026-12-02",
        ]
    )
    assert marks.archived == date(2026, 11, 29)
    assert marks.notice == (Stage.DELETE, date(2026, 12, 24))
    assert len(marks.notices) == 3


@pytest.mark.parametrize("value", NOT_DATES)
def test_what_is_not_a_date_is_no_mark_but_still_a_notice_to_take_back(value: str) -> None:
    marks = Marks.of([f"cleanup:archived={value}", f"cleanup:slimmed={value}", f"cleanup:deletes={value}"])
    assert marks == Marks(notices=(f"cleanup:deletes={value}",))


@pytest.mark.parametrize(
    "one", ["cleanup:archived", "Cleanup:archived=2026-11-28", "cleanup:archived_=2026-11-28", "archived=2026-11-28"]
)
def test_a_tag_with_another_name_is_no_mark(one: str) -> None:
    assert Marks.of([one]) == Marks()


# -- what owners ask for
def wish(*tags: str, names: TagNames | None = NAMES) -> OwnersWish:
    return OwnersWish.of(tags, names)


def test_owners_ask_with_their_tags() -> None:
    assert wish("a", "keep") == OwnersWish(keep="keep")
    assert wish("ttl=14d") == OwnersWish(lifetime=timedelta(days=14))
    assert wish("expires=2026-11-28") == OwnersWish(expires=ends(DAY))


def test_tags_decide_nothing_unless_the_file_says_so() -> None:
    assert wish("keep", "ttl=1d", "ttl=x", names=None) == OwnersWish()


def test_the_names_can_be_others_and_then_the_usual_ones_say_nothing() -> None:
    names = TagNames("gold", "lifetime", "until")
    assert wish("keep", "ttl=1d", "expires=x", names=names) == OwnersWish()
    assert wish("gold", names=names).keep == "gold"
    assert wish("lifetime=2w", "until=2026-11-28", names=names).lifetime == timedelta(weeks=2)


def test_of_several_wishes_the_longest_counts() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert wish("ttl=1d", "ttl=3d", "ttl=2d").until(start) == start + timedelta(days=3)
    assert wish("ttl=1d", "expires=2026-11-27", "expires=2026-11-28").until(start) == ends(DAY)
    assert wish("x").until(start) is None


@pytest.mark.parametrize(
    "one",
    [
        *(f"expires={value}" for value in NOT_DATES),
        "ttl",
        "ttl=",
        "ttl=14",
        "ttl=0d",
        "ttl=-1d",
        "ttl=36501d",
        "ttl=999999w",
        "ttl=14d=3",
        "expires",
        "TTL=14d",
        " ttl=14d",
        "Keep",
        "KEEP ",
        "keep=yes",
        "keep=",
        "Expires=2026-11-28",
    ],
)
def test_what_seems_to_be_a_wish_but_can_not_be_read_is_named(one: str) -> None:
    assert wish("x", one, "ttl=1d").malformed == one


@pytest.mark.parametrize("one", ["keeper", "ttl-14d", "my ttl=14d", "expires:2026-11-28", "upkeep", ""])
def test_other_tags_say_nothing(one: str) -> None:
    assert wish(one) == OwnersWish()
