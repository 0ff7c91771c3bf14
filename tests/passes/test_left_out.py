"""What a dry run says of archived tasks that the settings leave out."""

from pathlib import Path

import pytest

from cleanup_job.passes import left_out
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, Done, clean


@pytest.fixture
def world() -> World:
    return World(NOW)


def said(done: Done) -> list[tuple[int, str, str]]:
    return [(entry.count, entry.text, entry.setting) for entry in done.report.left_out]


def test_each_task_counts_for_the_setting_that_alone_leaves_it_out(sandbox: Sandbox, world: World) -> None:
    for n in range(3):
        world.task(f"done {n}")
    world.task("draft", status="created")
    world.task("young draft", status="created", days_old=1)
    world.task("young", days_old=2)
    world.task("gold draft", status="created", tags=("gold",))
    world.task("gold", tags=("gold",))
    world.task("living", archived=False)
    sandbox.load(world.as_dict())
    done = clean(sandbox, dry_run=True, filters={"force_delete": False, "exclude_tags": ("gold",)})
    assert done.report.total().tasks == 1
    assert said(done) == [
        (3, "archived tasks past the threshold are not drafts", "CLEANUP_FORCE_DELETE=true"),
        (2, "archived tasks are not past the threshold yet", "CLEANUP_DELETE_THRESHOLD_DAYS"),
        (1, "archived task past the threshold is left out by a filter", "CLEANUP_EXCLUDE_TAGS"),
        (
            1,
            "archived task past the threshold is left out by several settings",
            "CLEANUP_EXCLUDE_TAGS, CLEANUP_FORCE_DELETE",
        ),
    ]
    assert not any(entry.is_least for entry in done.report.left_out)


def test_what_the_pass_reports_itself_is_not_said_again(sandbox: Sandbox, world: World) -> None:
    world.task("kept", tags=("gold",))
    world.task("gone")
    world.task("public", public=True)
    sandbox.load(world.as_dict())
    done = clean(sandbox, dry_run=True, filters={"keep_tags": ("gold",)})
    assert (done.report.total().kept, done.report.total().not_ours) == (1, 1)
    assert said(done) == []


def test_a_large_archive_is_not_read_to_its_end(sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        world.task(f"done {n}")
    sandbox.load(world.as_dict())
    monkeypatch.setattr(left_out, "MOST", 3)
    done = clean(sandbox, dry_run=True, filters={"force_delete": False})
    (entry,) = done.report.left_out
    assert (entry.count, entry.is_least) == (3, True)


def test_a_real_pass_and_a_pass_of_chosen_tasks_ask_nothing_more(sandbox: Sandbox, world: World) -> None:
    task = world.task("done")
    sandbox.load(world.as_dict())
    assert said(clean(sandbox, filters={"force_delete": False})) == []
    chosen = Chosen({TaskId(task.id): None})
    assert said(clean(sandbox, dry_run=True, filters={"force_delete": False}, chosen=chosen)) == []


def test_a_server_that_does_not_answer_it_is_only_a_warning(sandbox: Sandbox, world: World) -> None:
    world.task("done")
    world.task("draft", status="created")
    sandbox.load(world.as_dict())

    def fails(request: Request) -> Fault | None:
        everything = request.call == "tasks.get_all" and "status" not in request.body and request.body.get("system_tags")
        return Fault(status=500) if everything and request.body.get("search_hidden") else None

    sandbox.fault = fails
    done = clean(sandbox, dry_run=True, filters={"force_delete": False})
    assert done.report.total().tasks == 1
    assert any("which archived tasks the settings leave out is not known" in text for text in done.report.warnings)


POLICIES = """\
policies:
  - name: kept
    match: {projects: [released]}
    keep: all
  - name: archived only
    match: {projects: [archived]}
    archive: {after: 1d}
    slim: {after: 10d, remove: [plots]}
  - name: announced
    match: {projects: [announced]}
    delete: {after: 10d}
    notice: 7d
  - name: lab
    match: {projects: [lab]}
    keep: {tags: [gold]}
    delete: {after: 90d}
"""


@pytest.mark.parametrize("force", [True, False])
def test_what_policies_leave_out(sandbox: Sandbox, world: World, tmp_path: Path, *, force: bool) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(POLICIES, encoding="utf-8")
    for n in range(4):
        world.task(f"elsewhere {n}", project="elsewhere")
    for n in range(3):
        world.task(f"released {n}", project="released")
    world.task("archived", project="archived")
    world.task("announced", project="announced")
    for n in range(2):
        world.task(f"young {n}")
    world.task("gold", days_old=100, tags=("gold",))
    world.task("old", days_old=100)
    world.task("public", public=True)
    sandbox.load(world.as_dict())
    done = clean(sandbox, dry_run=True, force_delete=force, policies=str(path))
    assert done.report.total().tasks == int(force)
    always = [
        (4, "archived tasks are matched by no policy", "CLEANUP_POLICIES"),
        (3, "archived tasks are kept by rules of their policies", "CLEANUP_POLICIES"),
        (2, "archived tasks are not due yet by their policies", "CLEANUP_POLICIES"),
        (1, "archived task has a policy that deletes nothing", "CLEANUP_POLICIES"),
    ]
    if force:
        assert sorted(said(done), reverse=True) == sorted(
            [*always, (1, "archived task is not announced yet, as its policy asks for", "CLEANUP_POLICIES")], reverse=True
        )
    else:
        kept = (4, "archived tasks are kept by rules of their policies", "CLEANUP_POLICIES")
        assert sorted(said(done), reverse=True) == sorted(
            [
                *(one for one in always if "kept" not in one[1]),
                kept,
                (2, "archived tasks are not drafts", "CLEANUP_FORCE_DELETE=true"),
                (1, "archived task is due to be slimmed", "CLEANUP_FORCE_DELETE=true"),
            ],
            reverse=True,
        )
