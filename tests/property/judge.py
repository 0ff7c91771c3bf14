"""Plays a scenario against the job and hands what happened to the oracle."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cleanup_job.errors import CleanupError
from cleanup_job.passes import scheduler, windows
from cleanup_job.planning.outcome import TaskOutcome
from cleanup_job.storage.mounted_folders import MountedFolders
from clearml_sandbox.server import Sandbox
from clearml_sandbox.store import Store
from clearml_sandbox.worlds.builder import World
from tests.harness import Done, clean, state
from tests.property.interference import Interference
from tests.property.oracle import After, File, Oracle
from tests.property.policy_oracle import PolicyOracle
from tests.property.scenario import AGAIN, MOUNT, PUBLIC, Document, Scenario, Seen

PASSES = 6
"""With policies, so many passes at most until there is nothing to do any more."""


class Judge:
    """Plays scenarios on one sandbox, which is not used by anyone else."""

    def __init__(self, sandbox: Sandbox, place: Path) -> None:
        """`place` is an empty folder, for what is mounted."""
        self._sandbox = sandbox
        self._between = Interference(sandbox)
        self._root, self._again = place / "volume", place / "again"
        self._policies = place / "policies.yaml"
        self._again.symlink_to(self._root)

    def violations(self, scenario: Scenario) -> list[str]:
        """Everything that is wrong with what the job does there; nothing, if all is well."""
        found = self._dry(scenario) if not scenario.events else []
        dry = found.pop() if found and isinstance(found[-1], Done) else None
        self.load(scenario)
        self._between.arm(scenario, self._places(), events=True)
        try:
            real = self._clean(scenario)
        except CleanupError as error:
            return [*found, f"the pass ended with {type(error).__name__}: {error}"]
        kind = PolicyOracle if scenario.policies else Oracle
        oracle = kind(scenario, self._between.happened, self._between.log, self._between.edited)
        after = self.after()
        found += oracle.violations(after)
        found += _untrue(oracle, after, real)
        if dry is not None:
            found += _different(dry, real)
        if not scenario.events:
            found += self._comes_to_rest(scenario) if scenario.policies else self._again_nothing(scenario)
        return found

    def load(self, scenario: Scenario) -> None:
        """The world as it is before, without interference."""
        self._between.rest()
        text = json.dumps(scenario.world)
        for name, value in self._places().items():
            text = text.replace(name, value) if name != "{FILES}" else text
        self._sandbox.fault = None
        self._sandbox.load(_just_ran(json.loads(text), scenario.clock or 0))
        self._write(scenario)

    def run(self, scenario: Scenario, **options: Any) -> Done:
        """One pass, with other options than the scenario's where given."""
        self.load(scenario)
        self._between.arm(scenario, self._places(), events=True)
        return self._clean(scenario, **options)

    def once_more(self, scenario: Scenario, **options: Any) -> Done:
        """One pass over what is there now, without events."""
        self._between.arm(scenario, self._places())
        return self._clean(scenario, **options)

    @property
    def store(self) -> Store:
        """What the server has, to be changed between two passes."""
        return self._sandbox.store

    @property
    def log(self) -> list[Seen]:
        """The requests of the last pass."""
        return self._between.log

    def _dry(self, scenario: Scenario) -> list[Any]:
        """A dry run changes nothing; what it told comes last."""
        self.load(scenario)
        self._between.arm(scenario, self._places())
        before = self._everything()
        try:
            done = self._clean(scenario, dry_run=True)
        except CleanupError as error:
            return [f"the dry run ended with {type(error).__name__}: {error}"]
        return [*(["the dry run changed something"] if self._everything() != before else []), done]

    def _again_nothing(self, scenario: Scenario) -> list[str]:
        before = self._everything()
        try:
            second = self._clean(scenario)
        except CleanupError as error:
            return [f"the second pass ended with {type(error).__name__}: {error}"]
        deleted = second.watcher.deleted & {task["id"] for task in scenario.world["tasks"]}
        if deleted or self._everything() != before:
            return [f"a second pass deletes something: {sorted(deleted)}"]
        return []

    def _comes_to_rest(self, scenario: Scenario) -> list[str]:
        """By policies, passes do one thing after another, and then nothing."""
        for _ in range(PASSES):
            before = self._records()
            try:
                self._clean(scenario)
            except CleanupError as error:
                return [f"a later pass ended with {type(error).__name__}: {error}"]
            if self._records() == before:
                return []
        return ["passes don't come to an end"]

    def _records(self) -> Any:
        store = self._sandbox.store
        return deepcopy((dict(store.tasks), dict(store.models), self._everything()))

    def _clean(self, scenario: Scenario, **options: Any) -> Done:
        chosen = {"batch_size": 500, "page_size": 500, "workers": 1, **scenario.options, **options}
        roots = [str(self._root), *([str(self._again)] if scenario.second_root else [])]
        stores = (lambda *_: [MountedFolders(roots)]) if scenario.has_mount else (lambda *_: ())
        if scenario.policies:
            self._policies.write_text(json.dumps(scenario.policies))
            chosen["policies"] = str(self._policies)
        with in_windows(chosen.pop("window", None)):
            return clean(self._sandbox, files_url_prefixes=(PUBLIC,), stores=stores, **chosen)

    # -- the world around
    def _places(self) -> dict[str, str]:
        return {MOUNT: str(self._root), AGAIN: str(self._again), "{FILES}": self._sandbox.files_url}

    def _write(self, scenario: Scenario) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir(parents=True)
        if not scenario.has_mount:
            return
        (self._root / "README").touch()
        for path, size in scenario.mounted.items():
            (self._root / path).parent.mkdir(parents=True, exist_ok=True)
            (self._root / path).write_bytes(b"x" * size)
        for path, target in scenario.links.items():
            link = self._root / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self._root / target)

    def _mounted(self) -> set[str]:
        found = set()
        for folder, _, names in os.walk(self._root):
            found |= {os.path.relpath(os.path.join(folder, name), self._root) for name in names}  # noqa: PTH118 -- as it walks
        return {path for path in found if path != "README" and not (self._root / path).is_symlink()}

    def _everything(self) -> Any:
        return (*state(self._sandbox), sorted(self._mounted()))

    def after(self) -> After:
        """What is there now."""
        store = self._sandbox.store
        with store.lock:
            files = {File("files", path) for path in store.files.paths()} | {File("mount", path) for path in self._mounted()}
            return After(dict(store.tasks), dict(store.models), frozenset(files))


def _just_ran(world: Document, ahead: float) -> Document:
    """The world with a task of this moment by the server's clock: as on any server, something bears its clock out."""
    fresh = World(datetime.now(UTC) + timedelta(days=ahead), seed=1)
    fresh.task("just ran", archived=False, days_old=0.001)
    return {**world, **{kind: [*world[kind], *fresh.as_dict()[kind]] for kind in ("tasks", "projects")}}


@contextmanager
def in_windows(size: int | None) -> Iterator[None]:
    """Passes read windows of so many tasks, each when fewer are left; None: as they do by themselves."""
    before = windows.FIRST, windows.WINDOW, scheduler.FEW
    try:
        if size is not None:
            windows.FIRST = windows.WINDOW = scheduler.FEW = size
        yield
    finally:
        windows.FIRST, windows.WINDOW, scheduler.FEW = before


@contextmanager
def judge() -> Iterator[Judge]:
    """A judge with a sandbox of its own."""
    with tempfile.TemporaryDirectory(prefix="clearml-cleanup-property-") as place, Sandbox(log_bodies=False) as sandbox:
        yield Judge(sandbox, Path(place))


def _untrue(oracle: Oracle, after: After, done: Done) -> list[str]:
    """What the pass told beside what it did."""
    gone = oracle.tasks.keys() - after.tasks.keys()
    told = {str(task) for task in done.watcher.deleted} & oracle.tasks.keys()  # what never was there may count as gone
    return [f"told as deleted, and there: {told - gone}"] * bool(told - gone) + [
        f"deleted, and not told: {gone - told}"
    ] * bool(gone - told)


def _different(dry: Done, real: Done) -> list[str]:
    """What a dry run told otherwise than the real one."""
    one, other = dry.watcher.ends, real.watcher.ends
    found = [f"the dry run tells of task {task}, the real one does not" for task in sorted(one.keys() - other.keys())]
    found += [f"the real run tells of task {task}, the dry one does not" for task in sorted(other.keys() - one.keys())]
    for task in sorted(one.keys() & other.keys()):
        two = (_counted(one[task]), _counted(other[task]))
        fields = [f"{name} {two[0][name]!r}, not {two[1][name]!r}" for name in two[0] if two[0][name] != two[1][name]]
        found += [f"the dry run tells of task {task}: {'; '.join(fields)}"] * bool(fields)
    return found


def _counted(outcome: TaskOutcome) -> dict[str, Any]:
    """An outcome with its files in one sum: those in a folder that lies in another one's may be gone with that before."""
    found = asdict(outcome)
    found["files"] += found.pop("files_missing")
    del found["bytes"]
    return found
