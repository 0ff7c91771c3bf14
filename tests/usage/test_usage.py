"""What takes the space, read from an embedded server and from its volume: the sums are those of an oracle, and of the disk."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleanup_job.errors import SettingsError
from cleanup_job.passes.usage import Survey, refuse_twice
from cleanup_job.planning.paths import Location
from cleanup_job.planning.usage import HORIZONS, Kind, Space
from clearml_sandbox.server import Fault, Sandbox
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.seed import seeded_world
from tests.usage.world_usage import File, in_records, in_store, sums, survey, volume, without_tasks

NOW = datetime.now(UTC)
GONE = [f"{n:032x}" for n in range(1, 5)]


def write(root: Path, sizes: dict[str, int]) -> None:
    """Files without content, that look as large as they say."""
    for path, size in sizes.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as made:
            made.truncate(size)


def on_disk(root: Path) -> tuple[int, int]:
    found = [os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(root) for name in names]  # noqa: PTH118 -- as os.walk gives them
    return len(found), sum(about.st_size for about in found)


def check(done: Survey, world: dict[str, Any], files: list[File]) -> None:
    """Compare every table with the oracle's files."""
    usage, records = done.usage, {task["id"]: task for task in world["tasks"]}

    def by(field: str) -> dict[Any, Space]:
        return sums(files, lambda file: records[file.task].get(field, "") if file.task else None)

    assert without_tasks(usage.by_project()) == by("project")
    assert without_tasks(usage.users) == by("user")
    assert without_tasks(usage.statuses) == by("status")
    assert usage.by_kind() == sums(files, lambda file: file.kind)
    assert usage.total.tasks == len(records)
    assert without_tasks(usage.archived) == sums(
        files, lambda file: "archived" in records[file.task]["system_tags"] if file.task else None
    )
    rows = [(row.owner.id, row.space.bytes) for row in usage.largest.rows()]
    known = {task: space.bytes for task, space in sums(files, lambda file: file.task).items() if task and space.bytes}
    assert sorted(rows, reverse=True) == sorted(known.items(), reverse=True) or len(known) > len(rows)
    assert [size for _, size in rows] == sorted(known.values(), reverse=True)[: len(rows)]


@pytest.mark.parametrize("seed", [1, 2])
def test_from_records_the_sums_of_a_seeded_world_are_those_of_its_records(sandbox: Sandbox, seed: int) -> None:
    world = seeded_world(seed, 120, NOW)
    sandbox.load(world)
    check(survey(sandbox), world, in_records(world))


@pytest.mark.parametrize("seed", [1, 2])
def test_with_the_volume_the_sums_are_those_of_the_disk(sandbox: Sandbox, tmp_path: Path, seed: int) -> None:
    world = seeded_world(seed, 120, NOW)
    sandbox.load(world)
    sizes = {file["path"]: file["size"] for file in world["files"]}
    sizes |= {f"lab/old.{GONE[0]}/models/w.pt": 700, f"lab/old.{GONE[1]}/metrics/a/b.png": 9, "lab/readme": 3, "top": 1}
    write(tmp_path, sizes)
    (tmp_path / "lab" / "link").symlink_to(tmp_path / "lab" / "readme")
    (tmp_path / "empty").mkdir()
    sizes["lab/link"] = os.lstat(tmp_path / "lab" / "link").st_size
    done = survey(sandbox, volume(tmp_path))
    check(done, world, in_store(world, sizes))
    files, size = on_disk(tmp_path)
    assert done.usage.stores == {str(tmp_path): Space(files=files, bytes=size)}
    assert (done.usage.total.files, done.usage.total.bytes, done.usage.total.unsized) == (files, size, 0)


def test_the_size_of_a_store_is_what_du_says(sandbox: Sandbox, tmp_path: Path) -> None:
    made = World(NOW)
    task = made.task("exp")
    task.artifact("data", size=4321)
    task.debug_images(3)
    sandbox.load(made.as_dict())
    write(tmp_path, made.stored)
    command = ["du", "--apparent-size", "--block-size=1", "--all", str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line.split("\t") for line in said.splitlines()]
    files = sum(int(size) for size, path in lines if Path(path).is_file())
    assert [one.bytes for one in survey(sandbox, volume(tmp_path)).usage.stores.values()] == [files]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A few tasks with outputs on the fileserver and in a bucket that is not listed."""
    made = World(NOW, seed=draw(st.integers(0, 2**32)))
    for number in range(draw(st.integers(0, 6))):
        task = made.task(
            draw(st.sampled_from(["exp", "näme [1] %41", "a.b"])) + str(number),
            project=draw(st.sampled_from(["lab", "lab/sub one", "vision"])),
            status=draw(st.sampled_from(["created", "completed", "failed", "queued"])),
            user=draw(st.sampled_from(["Default User", "Research"])),
            days_old=draw(st.integers(0, 1000)),
            archived=draw(st.booleans()),
            hidden=draw(st.booleans()),
            destination=draw(st.sampled_from([None, None, "s3://elsewhere/base"])),
        )
        for name in range(draw(st.integers(0, 2))):
            task.artifact(f"a{name}", size=draw(st.integers(0, 10_000)))
        if draw(st.booleans()):
            task.model("w")
        if draw(st.booleans()):
            task.linked_artifact("link", "http://other.example/data.csv")
        if draw(st.booleans()):
            task.debug_images(2)
        if draw(st.booleans()):
            task.file("notes.txt", size=17)
    return made


@given(made=worlds(), is_listed=st.booleans())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_in_a_listed_store_count_by_its_listing_and_all_others_by_records(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, made: World, is_listed: bool
) -> None:
    world = made.as_dict()
    sandbox.load(world)
    root = tmp_path_factory.mktemp("volume")
    write(root, {**made.stored, "readme": 3})
    recorded = in_records(world)
    listed = in_store(world, {**made.stored, "readme": 3}) if is_listed else []
    elsewhere = [file for file in recorded if not (is_listed and file.uri.startswith("{FILES}"))]
    check(survey(sandbox, volume(root) if is_listed else ()), world, elsewhere + listed)


def test_what_the_rules_free_now_and_later(sandbox: Sandbox) -> None:
    made = World(NOW)
    for name, days, status in (
        ("old", 31, "created"),
        ("soon", 15, "created"),
        ("done", 31, "completed"),
        ("new", -9, "created"),
    ):
        made.task(name, days_old=days, status=status).artifact("data", size=max(1, days + 1))
    made.task("living", days_old=99, status="created", archived=False).artifact("data", size=500)
    sandbox.load(made.as_dict())
    usage = survey(sandbox).usage
    drafts, all_of_them = ([usage.frees[rules, days].bytes for days in HORIZONS] for rules in range(2))
    assert drafts == [32, 32 + 16, 32 + 16 + 1]
    assert all_of_them == [32 + 32, 32 + 16 + 32, 32 + 16 + 1 + 32]
    forced = survey(sandbox, force_delete=True, delete_threshold_days=90).usage
    assert forced.frees[0, 90].bytes == 32 + 16 + 32
    assert (0, 0) not in forced.frees


def test_what_policies_free_now_and_later_by_stage(sandbox: Sandbox, tmp_path: Path) -> None:
    made = World(NOW)
    for name, days, archived in (("old", 100, False), ("archived", 100, True), ("soon", 15, False), ("young", -75, False)):
        task = made.task(name, days_old=days, archived=archived)
        task.artifact("data", size=100 + len(name))
        task.artifact("metrics", size=1)
    made.task("other", project="elsewhere", days_old=100).artifact("data", size=7000)
    sandbox.load(made.as_dict())
    file = tmp_path / "policies.yaml"
    file.write_text(
        "policies: [{name: lab, match: {projects: [lab]}, archive: {after: 14d}, "
        "slim: {after: 20d, remove: [artifacts], artifacts: {except: [metrics]}}, delete: {after: 60d, archived_for: 40d}}]"
    )
    usage = survey(sandbox, policies=str(file)).usage
    forced = 1
    assert {days: space.bytes for (rules, days), space in usage.frees.items() if rules == forced} == {0: 109, 30: 109, 90: 318}
    assert {days: space.bytes for (rules, days), space in usage.slims.items() if rules == forced} == {30: 103 + 104}
    assert {rules for rules, _ in (*usage.frees, *usage.slims)} == {forced}, "without CLEANUP_FORCE_DELETE, drafts alone go"


def test_a_file_that_another_record_names_is_no_orphan(sandbox: Sandbox, tmp_path: Path) -> None:
    made = World(NOW)
    made.model("kept", uri=f"{{FILES}}/lab/gone.{GONE[0]}/models/w.pt", task=f"__DELETED__{GONE[0]}")
    made.model("unreadable maker", uri="http://elsewhere.example/w.pt", task=GONE[1])
    sandbox.load(made.as_dict())
    write(tmp_path, {f"lab/gone.{task}/models/w.pt": 10 ** (n + 1) for n, task in enumerate(GONE[:3])})
    kinds = survey(sandbox, volume(tmp_path)).usage.by_kind()
    assert {kind: space.bytes for kind, space in kinds.items()} == {Kind.MODELS: 110, Kind.ORPHANS: 1000}


def test_a_survey_only_reads(sandbox: Sandbox, tmp_path: Path) -> None:
    world = seeded_world(3, 60, NOW)
    sandbox.load(world)
    write(tmp_path, {file["path"]: file["size"] for file in world["files"]})
    before, there = sandbox.state(), on_disk(tmp_path)
    survey(sandbox, volume(tmp_path))
    assert {request.call.partition(".")[2] or request.call for request in sandbox.requests} <= {
        "get_all",
        "login",
        "get_all_ex",
    }
    assert (sandbox.state(), on_disk(tmp_path)) == (before, there)


@pytest.mark.parametrize("page_size", [1, 7, 500])
def test_each_task_counts_once_however_many_are_on_a_page(sandbox: Sandbox, page_size: int) -> None:
    made = World(NOW)
    for number in range(30):
        made.task(f"exp {number}", days_old=number // 5).artifact("data", size=1)
    sandbox.load(made.as_dict())
    assert survey(sandbox, page_size=page_size).usage.total == Space(tasks=30, files=30, bytes=30)


def test_what_a_task_took_from_others_or_names_twice_is_not_its_own_again(sandbox: Sandbox) -> None:
    made = World(NOW)
    task = made.task("exp")
    task.artifact("data", size=7)
    task.artifact("taken", size=1_000)
    task.linked_artifact("link", "s3://other/data.csv")
    artifacts = task.document["execution"]["artifacts"]
    next(one for one in artifacts if one["key"] == "taken")["mode"] = "input"
    artifacts.append({**artifacts[0], "key": "again"})
    sandbox.load(made.as_dict())
    usage = survey(sandbox).usage
    assert (usage.total, usage.elsewhere) == (Space(tasks=1, files=1, bytes=7), 1)


def test_a_record_that_can_not_be_read_is_a_task_of_which_little_is_known(sandbox: Sandbox) -> None:
    made = World(NOW)
    made.task("odd").document["type"] = 5
    made.task("fine").artifact("data", size=3)
    sandbox.load(made.as_dict())
    usage = survey(sandbox).usage
    assert (usage.statuses["unreadable"].tasks, usage.total) == (1, Space(tasks=2, files=1, bytes=3))


def test_users_whose_names_the_key_may_not_read_are_shown_by_their_ids(sandbox: Sandbox) -> None:
    made = World(NOW)
    made.task("exp").artifact("data", size=3)
    sandbox.load(made.as_dict())
    sandbox.fault = lambda request: Fault(status=403) if request.call == "users.get_all_ex" else None
    warnings: list[str] = []
    done = survey(sandbox, warnings=warnings)
    assert (done.users, [*done.usage.users]) == ({}, ["__tests__"])
    assert "users are shown by their ids" in warnings.pop()
    assert not warnings


@pytest.mark.parametrize(
    ("one", "other"), [("file:///a", "file:///a"), ("file:///a/b", "file:///a"), ("file:///a", "file:///a/b/c")]
)
def test_a_store_in_another_one_is_refused(one: str, other: str) -> None:
    with pytest.raises(SettingsError, match="counted twice"):
        refuse_twice([Location(one, ""), Location("s3://b", ""), Location(other, "")])
    refuse_twice([Location("file:///a", ""), Location("file:///ab", ""), Location("s3://b", "x"), Location("s3://b", "xy")])


def test_a_folder_that_goes_away_meanwhile_is_left_out_and_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "volume", {"top": 1, "a/x": 2, "b/x": 4})
    write(tmp_path / "elsewhere", {"secret": 8})
    (tmp_path / "volume" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    ((storage, place),) = volume(tmp_path / "volume")
    listing = storage.entries(place)
    found = [next(listing), next(listing)]  # what is at the top
    shutil.rmtree(tmp_path / "volume" / "b")
    assert {entry.path for entry in [*found, *listing]} == {"top", "link", "a/x"}


def test_a_folder_that_can_not_be_read_ends_it_by_name(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load(World(NOW).as_dict())
    with pytest.raises(SettingsError, match="gone can't be read"):
        survey(sandbox, volume(tmp_path / "gone"))
