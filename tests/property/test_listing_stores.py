"""Promises 1 to 3 where outputs lie on a store that can list, beside the fileserver."""

import shutil
import tempfile
from pathlib import Path

from harness import clean, state
from hypothesis import HealthCheck, given, settings
from worlds import PUBLIC, Oracle, worlds

from cleanup_job.report.outcome import Reason
from cleanup_job.sandbox.builder import World
from cleanup_job.sandbox.server import Sandbox
from cleanup_job.storage.folders import MountedFolders

ROOT = Path(tempfile.gettempdir()) / "clearml-cleanup-property-tests"
MOUNTED = f"file://{ROOT}"


def write(world: World) -> set[str]:
    """Put the world's files where its records say, with one that nobody names in each task's folder; gives their paths."""
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    (ROOT / "README").touch()
    paths = {uri.removeprefix(f"{MOUNTED}/") for uri in world.elsewhere if uri.startswith(f"{MOUNTED}/")}
    folders = {"/".join(path.split("/")[:2]) for path in paths}
    paths |= {f"{folder}/artifacts/left over" for folder in folders if folder.count("/") == 1}
    for path in paths:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text("12345")
    return paths


def there() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()} - {"README"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(worlds(destinations=(None, PUBLIC, MOUNTED, MOUNTED)))
def test_exactly_the_plan_is_gone_there_too(sandbox: Sandbox, world: World) -> None:
    sandbox.fault = None
    sandbox.load(world.as_dict())
    oracle, before = Oracle.of(world), write(world)
    dry = clean(sandbox, prefixes=(PUBLIC,), stores=lambda *_: [MountedFolders([str(ROOT)])], dry_run=True)
    assert there() == before
    done = clean(sandbox, prefixes=(PUBLIC,), stores=lambda *_: [MountedFolders([str(ROOT)])])
    gone = done.watcher.deleted
    assert gone | done.watcher.kept.keys() == oracle.eligible()
    assert dry.watcher.outcomes == done.watcher.outcomes
    assert Reason.UNKNOWN_STORE not in done.watcher.kept.values()
    files, models = oracle.must_stay(gone)
    needed = {oracle.models[model]["uri"].removeprefix(f"{MOUNTED}/") for model in models}
    assert there() == {path for path in before if not oracle.owners(f"/{path}") & gone or path in needed}
    assert set(state(sandbox)[2]) == files
    assert set(state(sandbox)[1]) == models
    after = (state(sandbox), there())
    assert not clean(sandbox, prefixes=(PUBLIC,), stores=lambda *_: [MountedFolders([str(ROOT)])]).watcher.deleted
    assert (state(sandbox), there()) == after
