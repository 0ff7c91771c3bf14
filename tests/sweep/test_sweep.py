"""Sweeps over a mounted folder beside the embedded server; the same over buckets in tests/stores."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.clearml_server import ClearMLServer
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import CleanupError, LeaseHeldError, RefusedError
from cleanup_job.passes.sweep import Sweep, SweepOptions
from cleanup_job.planning.orphans import FoundFolder
from cleanup_job.planning.paths import Location
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, SweepReport
from cleanup_job.retry import Retry
from cleanup_job.storage.mounted_folders import SCHEME, MountedFolders
from clearml_sandbox.api import query
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=100)
GONE = [f"{n:032x}" for n in range(1, 9)]


@dataclass
class Swept:
    """What a sweep did and told."""

    report: SweepReport
    orphans: list[Orphan] = field(default_factory=list)

    def by(self, verdict: OrphanVerdict) -> set[str]:
        return {orphan.path for orphan in self.orphans if orphan.verdict is verdict}


def sweep(sandbox: Sandbox, root: Path, *, gate: Callable[[], None] = lambda: None, **options: Any) -> Swept:
    retry = Retry(3, wait=0)
    transport = ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret, retry=retry, timeout=20))
    done = Swept(SweepReport("test", "127.0.0.1", bool(options.get("delete")), NOW))
    storage = MountedFolders([str(root)], before_deletion=gate)
    wanted = SweepOptions(**{"sure": not {"known_one_in", "refuse_above", "grace"} & options.keys(), **options})
    try:
        Sweep(ClearMLServer(transport), wanted, done.report, done.orphans.append).run(
            [(storage, Location(SCHEME + str(root), ""))]
        )
    except CleanupError as error:
        done.report.error = str(error)
        raise
    return done


def put(root: Path, path: str, when: datetime = LONG_AGO, size: int = 5) -> str:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (when.timestamp(), when.timestamp()))
    return path


def there(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def world(sandbox: Sandbox) -> World:
    """A living, an archived, a hidden and a public task."""
    made = World(NOW)
    made.task("living", archived=False)
    made.task("archived")
    made.task("hidden", hidden=True, archived=False)
    made.task("public", public=True, archived=False)
    sandbox.load(made.as_dict())
    return made


def test_folders_without_a_record_are_found_with_their_sizes_and_ages(sandbox: Sandbox, world: World, root: Path) -> None:
    for task in world.tasks:
        put(root, f"lab/exp.{task.id}/artifacts/data/data.bin")
    orphan = put(root, f"lab/old.{GONE[0]}/artifacts/data/data.bin", size=7)
    put(root, f"lab/old.{GONE[0]}/models/w.pt", when=LONG_AGO + timedelta(days=3))
    before = there(root)
    done = sweep(sandbox, root, known_one_in=2)
    assert [(o.verdict, o.path, o.files, o.bytes) for o in done.orphans] == [(OrphanVerdict.FOUND, f"lab/old.{GONE[0]}", 2, 12)]
    assert done.orphans[0].youngest == (LONG_AGO + timedelta(days=3))
    assert (done.report.folders, done.report.known) == (5, 4)
    assert there(root) == before
    swept = sweep(sandbox, root, delete=True, known_one_in=2)
    assert swept.by(OrphanVerdict.DELETED) == {f"lab/old.{GONE[0]}"}
    assert there(root) == {path for path in before if not path.startswith(orphan.partition("/artifacts")[0])}


def test_images_of_reports_that_are_gone_are_found_and_those_of_others_are_not(
    sandbox: Sandbox, world: World, root: Path
) -> None:
    living = world.task("report", task_type="report", archived=False)
    living.document["report"] = f"![](http://files.example/reports/{GONE[1]}/shown.png)"
    living.document["report_assets"] = [f"{{FILES}}/reports/{GONE[2]}/listed.png"]
    sandbox.load(world.as_dict())
    for report in (living.id, *GONE[:3]):
        put(root, f"reports/{report}/a.png")
    put(root, f"reports/{GONE[3]}/young.png", when=NOW)
    put(root, f"reports/{GONE[4]}/nested/a.png")
    for elsewhere in (f"lab/reports/{GONE[5]}/a.png", f"reports/{GONE[6]}", f"reports/x{GONE[7]}/a.png"):
        put(root, elsewhere)
    before = there(root)
    swept = sweep(sandbox, root, delete=True)
    assert swept.by(OrphanVerdict.DELETED) == {f"reports/{GONE[0]}"}
    assert swept.by(OrphanVerdict.ODD) == {f"reports/{GONE[4]}"}
    assert swept.by(OrphanVerdict.YOUNG) == {f"reports/{GONE[3]}"}
    assert there(root) == before - {f"reports/{GONE[0]}/a.png"}


@pytest.mark.parametrize(
    "path",
    [
        f"lab/old.{GONE[0]}/README",
        f"lab/old.{GONE[0]}/other/x",
        f"lab/old.{GONE[0]}/artifacts",
        f"lab/old.{GONE[0]}/artifacts/lab/inner.{GONE[1]}/models/w.pt",
        f"old.{GONE[0]}/artifacts/x",
        f"lab/old{GONE[0]}/artifacts/x",
        f"lab/old.{GONE[0]}0/artifacts/x",
        f"lab/old.{GONE[0][:-1]}/artifacts/x",
        f"lab/old.{GONE[7].upper()}x/artifacts/x",
        f"lab/old.{GONE[0]}.bak/artifacts/x",
        f"lab/artifacts/old.{GONE[0]}",
        "lab/old/artifacts/x",
    ],
)
def test_what_is_not_exactly_a_task_folder_is_never_touched(sandbox: Sandbox, world: World, root: Path, path: str) -> None:
    put(root, path)
    if path.startswith(f"lab/old.{GONE[0]}/"):
        put(root, f"lab/old.{GONE[0]}/models/beside.pt")
    before = there(root)
    assert not sweep(sandbox, root, delete=True).by(OrphanVerdict.DELETED)
    assert there(root) == before


def test_what_changed_within_the_grace_period_is_kept(sandbox: Sandbox, world: World, root: Path) -> None:
    put(root, f"lab/a.{GONE[0]}/models/old.pt")
    put(root, f"lab/a.{GONE[0]}/models/new.pt", when=NOW - timedelta(days=29))
    put(root, f"lab/b.{GONE[1]}/models/old.pt", when=NOW - timedelta(days=31))
    done = sweep(sandbox, root, delete=True)
    assert done.by(OrphanVerdict.YOUNG) == {f"lab/a.{GONE[0]}"}
    assert there(root) == {f"lab/a.{GONE[0]}/models/{name}.pt" for name in ("old", "new")}


def test_a_folder_in_which_a_model_lies_is_known(sandbox: Sandbox, root: Path) -> None:
    made = World(NOW)
    made.model("free", uri=f"http://other.example/lab/a.{GONE[0]}/models/w.pt")
    made.model("of a task that is gone", uri=f"s3://bucket/lab/b.{GONE[1]}/models/w.pt", task=f"__DELETED__{GONE[1]}")
    made.model("of a task without a record", uri="http://elsewhere/x.pt", task=GONE[2])
    made.model("quoted", uri=f"http://files/n%C3%A4me/d%20e.{GONE[3]}/models/w.pt")
    sandbox.load(made.as_dict())
    for task in GONE[:5]:
        put(root, f"lab/x.{task}/models/w.pt")
    assert sweep(sandbox, root, delete=True).by(OrphanVerdict.DELETED) == {f"lab/x.{GONE[4]}"}


def test_a_folder_in_which_a_task_names_a_file_or_writes_is_known(sandbox: Sandbox, root: Path) -> None:
    made = World(NOW)
    living = made.task("living", archived=False)
    living.linked_artifact("link", f"http://other.example//lab/a.{GONE[0]}/artifacts/x?download=1")
    living.writes_to(f"{root}/lab/b.{GONE[1]}/runs")
    sandbox.load(made.as_dict())
    for task in GONE[:3]:
        put(root, f"lab/x.{task}/models/w.pt")
    assert sweep(sandbox, root, delete=True).by(OrphanVerdict.DELETED) == {f"lab/x.{GONE[2]}"}


def test_a_server_that_knows_too_few_is_refused_before_anything_is_deleted(sandbox: Sandbox, world: World, root: Path) -> None:
    put(root, f"lab/x.{world.tasks[0].id}/models/w.pt")
    for task in GONE[:5]:
        put(root, f"lab/x.{task}/models/w.pt")
    before = there(root)
    for delete in (True, False):
        with pytest.raises(RefusedError, match=r"knows 1 of 6 tasks.*--i-know 127\.0\.0\.1"):
            sweep(sandbox, root, delete=delete, known_one_in=5)
    assert there(root) == before
    assert len(sweep(sandbox, root, delete=True, known_one_in=6, refuse_above=1.0).by(OrphanVerdict.DELETED)) == 5


def fill_with(root: Path, made: World, known: int, unknown: int, *, when: datetime = LONG_AGO, first: int = 100) -> None:
    """Folders of tasks that the server knows, and of such as it does not."""
    for n in range(known):
        put(root, f"lab/exp.{made.task(f'exp {first + n}', archived=False).id}/models/w.pt", when)
    for n in range(unknown):
        put(root, f"lab/x.{first + n:032x}/models/w.pt", when)


@pytest.mark.parametrize("delete", [True, False])
def test_a_server_with_an_old_backup_is_refused_by_how_much_would_be_deleted(
    sandbox: Sandbox, root: Path, delete: bool
) -> None:
    made = World(NOW)
    fill_with(root, made, 12, 88)
    sandbox.load(made.as_dict())
    before = there(root)
    with pytest.raises(RefusedError, match=r"88 of 100 folders.*CLEANUP_SWEEP_REFUSE_ABOVE=0\.5.*--i-know 127\.0\.0\.1"):
        sweep(sandbox, root, delete=delete, known_one_in=10)
    assert there(root) == before
    assert len(sweep(sandbox, root, delete=True, refuse_above=0.88).by(OrphanVerdict.DELETED)) == 88


def test_half_of_the_folders_is_not_more_than_half(sandbox: Sandbox, root: Path) -> None:
    made = World(NOW)
    fill_with(root, made, 4, 4)
    sandbox.load(made.as_dict())
    assert len(sweep(sandbox, root, delete=True, refuse_above=0.5).by(OrphanVerdict.DELETED)) == 4


def test_a_server_that_knows_the_old_tasks_and_not_the_young_ones_is_refused(sandbox: Sandbox, root: Path) -> None:
    made = World(NOW)
    yesterday = NOW - timedelta(days=1)
    fill_with(root, made, 20, 1)
    fill_with(root, made, 3, 4, when=yesterday, first=200)
    sandbox.load(made.as_dict())
    before = there(root)
    with pytest.raises(
        RefusedError, match=r"does not know 4 of 7 tasks in whose folders files changed within the last 30 days"
    ):
        sweep(sandbox, root, delete=True, known_one_in=10)
    assert there(root) == before
    assert len(sweep(sandbox, root, delete=True).by(OrphanVerdict.DELETED)) == 1


def test_one_or_two_young_folders_without_a_record_are_no_sign_of_a_wrong_server(sandbox: Sandbox, root: Path) -> None:
    made = World(NOW)
    fill_with(root, made, 3, 1)
    fill_with(root, made, 0, 2, when=NOW - timedelta(days=1), first=200)
    sandbox.load(made.as_dict())
    assert len(sweep(sandbox, root, delete=True, known_one_in=10).by(OrphanVerdict.DELETED)) == 1


# -- empty folders, as a pass leaves them on a fileserver
def empty(root: Path, path: str, when: datetime = LONG_AGO) -> None:
    (root / path).mkdir(parents=True)
    for folder in (root / path, *(one for one in (root / path).parents if one != root and root in one.parents)):
        os.utime(folder, (when.timestamp(), when.timestamp()))


def test_an_empty_folder_is_deleted_once_it_is_old_enough(sandbox: Sandbox, world: World, root: Path) -> None:
    empty(root, f"lab/x.{GONE[0]}")
    empty(root, f"lab/x.{GONE[1]}/models/a")
    empty(root, f"lab/x.{GONE[2]}", NOW)
    empty(root, f"lab/x.{GONE[3]}/something")
    empty(root, f"lab/x.{world.tasks[0].id}")
    done = sweep(sandbox, root, delete=True)
    assert done.by(OrphanVerdict.DELETED) == {f"lab/x.{GONE[0]}", f"lab/x.{GONE[1]}"}
    assert (done.by(OrphanVerdict.YOUNG), done.by(OrphanVerdict.ODD)) == ({f"lab/x.{GONE[2]}"}, {f"lab/x.{GONE[3]}"})
    assert {path.name for path in (root / "lab").iterdir()} == {f"x.{one}" for one in (*GONE[2:4], world.tasks[0].id)}
    assert not sweep(sandbox, root, delete=True).by(OrphanVerdict.DELETED)


def test_empty_folders_are_no_sign_of_a_wrong_server(sandbox: Sandbox, root: Path) -> None:
    made = World(NOW)
    fill_with(root, made, 1, 1)
    for n in range(50):
        empty(root, f"lab/x.{n + 500:032x}", NOW if n % 2 else LONG_AGO)
    sandbox.load(made.as_dict())
    assert len(sweep(sandbox, root, delete=True, known_one_in=10).by(OrphanVerdict.DELETED)) == 26


def test_an_empty_store_is_no_reason_to_refuse(sandbox: Sandbox, world: World, root: Path) -> None:
    assert sweep(sandbox, root, delete=True, known_one_in=1).report.folders == 0


# -- a server that is wrong, or fails
def test_a_server_that_leaves_tasks_out_of_its_lists_loses_nothing(
    sandbox: Sandbox, world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in world.tasks:
        put(root, f"lab/exp.{task.id}/artifacts/data.bin")
    before = there(root)
    monkeypatch.setattr(query, "_candidates", lambda *_, **__: ([], None))
    done = sweep(sandbox, root, delete=True)
    assert done.by(OrphanVerdict.DELETED) == set()
    assert there(root) == before


def test_pages_cut_lower_than_asked_for_hide_no_task(sandbox: Sandbox, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = World(NOW)
    for n in range(30):
        put(root, f"lab/exp.{made.task(f'exp {n}', archived=False).id}/artifacts/data.bin")
    sandbox.load(made.as_dict())
    monkeypatch.setattr(query, "CAP", 7)
    assert sweep(sandbox, root).report.known == 30


def test_a_server_that_fails_at_any_request_loses_nothing(sandbox: Sandbox, world: World, root: Path) -> None:
    for task in [*(task.id for task in world.tasks), *GONE[:3]]:
        put(root, f"lab/exp.{task}/artifacts/data.bin")
    living = {path for path in there(root) if not any(task in path for task in GONE)}
    sandbox.requests.clear()
    sweep(sandbox, root)
    for n in range(1, 3 * len(sandbox.requests)):
        for task in GONE[:3]:
            put(root, f"lab/exp.{task}/artifacts/data.bin")
        sandbox.requests.clear()

        def dead(_: Request, n: int = n) -> Fault | None:
            return Fault(status=[None, 500, 400][n % 3]) if len(sandbox.requests) >= n else None

        sandbox.fault = dead
        try:
            sweep(sandbox, root, delete=True)
        except CleanupError:
            pass
        finally:
            sandbox.fault = None
        assert living <= there(root), f"request {n}"
    sweep(sandbox, root, delete=True)
    assert there(root) == living


def test_nothing_is_deleted_once_the_lease_is_lost(sandbox: Sandbox, world: World, root: Path) -> None:
    def lost() -> None:
        raise LeaseHeldError("lost")

    put(root, f"lab/x.{GONE[0]}/models/w.pt")
    with pytest.raises(LeaseHeldError):
        sweep(sandbox, root, delete=True, gate=lost)
    assert len(there(root)) == 1


# -- races
@pytest.mark.parametrize("when", ["listed", "looked at again"])
def test_a_task_that_is_created_and_uploads_during_the_sweep_survives(
    sandbox: Sandbox, world: World, root: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Its files are as old as they can be: only the record protects it."""
    put(root, f"lab/x.{GONE[0]}/models/w.pt")
    newcomer = GONE[1]
    really = MountedFolders.folders
    calls: list[Location] = []

    def folders(self: MountedFolders, place: Location) -> Iterator[FoundFolder]:
        calls.append(place)
        if len(calls) == {"listed": 1, "looked at again": 3}[when]:
            # The record first, then the files, as the SDK does it.
            sandbox.store.tasks[newcomer] = {**sandbox.store.tasks[world.tasks[0].id], "id": newcomer}
            put(root, f"lab/new.{newcomer}/models/w.pt")
        yield from really(self, place)

    monkeypatch.setattr(MountedFolders, "folders", folders)
    done = sweep(sandbox, root, delete=True)
    assert done.by(OrphanVerdict.DELETED) == {f"lab/x.{GONE[0]}"}
    assert there(root) == {f"lab/new.{newcomer}/models/w.pt"}


@pytest.mark.parametrize("change", ["record", "model", "file", "odd file"])
def test_an_orphan_that_stops_being_one_before_its_deletion_is_kept(
    sandbox: Sandbox, world: World, root: Path, change: str
) -> None:
    path = put(root, f"lab/x.{GONE[0]}/models/w.pt")
    asked: list[str] = []

    def meddle(request: Request) -> None:
        asked.append(request.call)
        last_look = request.call == "tasks.get_by_id"
        if last_look and change == "record":
            sandbox.store.tasks[GONE[0]] = {**sandbox.store.tasks[world.tasks[0].id], "id": GONE[0]}
        elif last_look and change == "model":
            sandbox.store.models["m" * 32] = {"id": "m" * 32, "uri": "http://x", "task": GONE[0], "company": "x"}
        elif asked.count("models.get_all") == 4 and change in {"file", "odd file"}:
            put(root, f"lab/x.{GONE[0]}/{'models/late.pt' if change == 'file' else 'late'}", when=datetime.now(UTC))

    sandbox.fault = meddle
    done = sweep(sandbox, root, delete=True)
    assert not done.by(OrphanVerdict.DELETED), asked
    assert path in there(root)


# -- random worlds
SEGMENTS = st.sampled_from(["lab", "näme x", "a.b", "artifacts", "models", ".datasets", "x.y"])
KINDS = st.sampled_from(["artifacts", "models", "metrics", "metrics/a", "other", ""])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_nothing_with_a_record_is_ever_swept(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("world")
    made = World(NOW)
    ids = [made.task(f"exp {n}", archived=data.draw(st.booleans()), hidden=data.draw(st.booleans())).id for n in range(3)]
    named = data.draw(st.lists(st.sampled_from(GONE[:4]), max_size=2, unique=True))
    for task in named:
        made.model(f"of {task}", uri=f"s3://somewhere/p/x.{task}/models/w.pt")
    sandbox.load(made.as_dict())
    recorded = {*ids, *named}
    for _ in range(data.draw(st.integers(1, 12))):
        parts = data.draw(st.lists(SEGMENTS, max_size=2))
        for task in data.draw(st.lists(st.sampled_from([*ids, *GONE[:4]]), min_size=1, max_size=2)):
            parts += [f"{data.draw(SEGMENTS)}.{task}", *data.draw(KINDS).split("/")]
        path = "/".join(filter(None, [*parts, f"file{data.draw(st.integers(0, 3))}"]))
        if not any((root / parent).is_file() for parent in Path(path).parents) and not (root / path).is_dir():
            put(root, path, when=NOW - timedelta(days=data.draw(st.sampled_from([1, 60]))))
    before = there(root)
    done = sweep(sandbox, root, delete=True)
    lost = before - there(root)
    assert not [path for path in lost if any(task in path for task in recorded)]
    # And each lost file lay in a folder that was reported, which had nothing odd or young in it.
    assert all(any(path.startswith(f"{top}/") for top in done.by(OrphanVerdict.DELETED)) for path in lost)
    again = sweep(sandbox, root, delete=True)
    assert not again.by(OrphanVerdict.DELETED)
