"""Plan files: what is written can be read, and nothing else can."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from cleanup_job.errors import SettingsError
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import STAGED, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report.plan_file import FORMAT, WITH_POLICIES, End, Header, PlannedTask, PlanWriter, read, settings_digest

MOMENT = datetime(2026, 11, 1, 12, tzinfo=UTC)
VALUES = {"CLEANUP_KEEP_TAGS": "gold, a=b", "CLEANUP_FORCE_DELETE": "true"}
HEADER = Header(
    format=FORMAT,
    version="1.0",
    server="http://api",
    started=MOMENT,
    cutoff=MOMENT,
    settings=VALUES,
    settings_sha256=settings_digest(VALUES),
)


def outcome(number: int, **more: object) -> TaskOutcome:
    fields = {
        "name": "n",
        "project": "p",
        "project_id": "i",
        "verdict": Verdict.WOULD_DELETE,
        "digest": f"{number:032x}",
        **more,
    }
    return TaskOutcome(TaskId(f"{number:032x}"), **fields)


def write(path: Path, *outcomes: TaskOutcome) -> End:
    path.unlink(missing_ok=True)
    writer = PlanWriter(path)
    writer.begin(HEADER)
    for one in outcomes:
        writer.add(one)
    return writer.finish()


def read_all(path: Path) -> tuple[Header, list[PlannedTask], End]:
    found: list[PlannedTask] = []
    header, end = read(path, found.append)
    return header, found, end


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    name = "é \ud800 \u2028 \x1b[31m\nhttps://me:secret@host/x?sig=abc"
    end = write(path, outcome(1, name=name, models=1, files=3, bytes=10, unsized=2, user="u"), outcome(2, files=1, bytes=5))
    header, tasks, read_end = read_all(path)
    assert (header, read_end) == (HEADER, end)
    assert (end.tasks, end.models, end.files, end.bytes, end.unsized) == (2, 1, 4, 15, 2)
    assert [(one.id, one.digest, one.owner) for one in tasks] == [
        (f"{1:032x}", f"{1:032x}", "u"),
        (f"{2:032x}", f"{2:032x}", ""),
    ]
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 4, "no name begins a new line"
    assert "secret" not in text
    assert "\x1b" not in text


def test_only_what_would_be_deleted_or_changed_is_in_it(tmp_path: Path) -> None:
    kept = [verdict for verdict in Verdict if verdict not in {Verdict.DELETED, Verdict.WOULD_DELETE, *STAGED}]
    write(tmp_path / "p", *(outcome(number, verdict=verdict) for number, verdict in enumerate(kept)))
    assert read_all(tmp_path / "p")[1] == []


def test_with_policies_it_has_what_they_do_beside_deleting(tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    writer = PlanWriter(path)
    writer.begin(replace(HEADER, format=WITH_POLICIES))
    verdicts = [Verdict.WOULD_ARCHIVE, Verdict.WOULD_SLIM, Verdict.WOULD_NOTICE, Verdict.WOULD_DELETE]
    stages = [Stage.ARCHIVE, Stage.SLIM, Stage.DELETE, Stage.DELETE]
    for number, (verdict, stage) in enumerate(zip(verdicts, stages, strict=True)):
        writer.add(outcome(number, verdict=verdict, stage=stage, policy="p", due=MOMENT, files=number))
    end = writer.finish()
    _, tasks, read_end = read_all(path)
    assert [(one.does, one.stage, one.policy) for one in tasks] == [
        ("archive", "archive", "p"),
        ("slim", "slim", "p"),
        ("notice", "delete", "p"),
        ("delete", "delete", "p"),
    ]
    assert [one.announced for one in tasks] == [UNSET, UNSET, "2026-11-01", UNSET]
    assert (end, end.also) == (read_end, "1 to archive, 1 to slim, 1 to announce")
    assert (end.tasks, end.files) == (1, 6)


def test_a_plan_without_policies_can_not_have_their_stages(tmp_path: Path) -> None:
    write(tmp_path / "plan.jsonl", outcome(1, verdict=Verdict.WOULD_ARCHIVE, stage=Stage.ARCHIVE, policy="p"))
    with pytest.raises(SettingsError, match="was changed after it was written"):
        read_all(tmp_path / "plan.jsonl")


def test_tasks_are_on_the_disk_while_the_dry_run_runs_and_the_plan_only_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    writer = PlanWriter(path)
    writer.begin(HEADER)
    for number in range(200):
        writer.add(outcome(number, name="x" * 1000))
    (temporary,) = tmp_path.iterdir()
    assert temporary.stat().st_size > 100_000
    assert not path.exists()
    writer.discard()
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("plan") / "plan.jsonl"
    write(path, outcome(1, name="first", files=2, bytes=7), outcome(2), outcome(3))
    return path.read_bytes()


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(good: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(good) - 1))
    path = tmp_path_factory.getbasetemp() / "changed.jsonl"
    changed = data.draw(
        st.sampled_from(
            [
                good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :],
                good[:at],
                good[:at] + b" " + good[at:],
                good[:at] + good[at + 1 :],
            ]
        )
    )
    path.write_bytes(changed)
    with pytest.raises(SettingsError, match=r"changed\.jsonl"):
        read_all(path)


@pytest.mark.parametrize(
    "first",
    [b"[" * 500_000, b'{"line":"plan","format":1}', b'{"line":"plan"}', b"[]", b"null", b"7" * (2 << 20)],
    ids=["deep", "empty", "no format", "list", "null", "long"],
)
def test_a_first_line_of_another_file_is_refused(tmp_path: Path, first: bytes) -> None:
    (tmp_path / "p").write_bytes(first + b"\n")
    with pytest.raises(SettingsError):
        read_all(tmp_path / "p")


def test_a_line_of_another_plan_or_one_twice_is_refused(good: bytes, tmp_path: Path) -> None:
    first, one, *rest = good.splitlines(keepends=True)
    for lines in ([first, one, one, *rest], [first, *rest], [first, first, one, *rest], [one, first, *rest]):
        (tmp_path / "p").write_bytes(b"".join(lines))
        with pytest.raises(SettingsError):
            read_all(tmp_path / "p")


@pytest.mark.parametrize("twice", [True, False])
def test_a_task_that_comes_twice_is_refused_even_with_the_right_sums(tmp_path: Path, twice: bool) -> None:
    write(tmp_path / "p", outcome(1), outcome(1 if twice else 2))
    if twice:
        with pytest.raises(SettingsError, match="changed"):
            read_all(tmp_path / "p")
    else:
        assert len(read_all(tmp_path / "p")[1]) == 2


def test_settings_that_do_not_have_their_digest_are_refused(tmp_path: Path) -> None:
    writer = PlanWriter(tmp_path / "p")
    writer.begin(Header(**{**{name: getattr(HEADER, name) for name in HEADER.__struct_fields__}, "settings": {}}))
    writer.finish()
    with pytest.raises(SettingsError, match="changed"):
        read_all(tmp_path / "p")
