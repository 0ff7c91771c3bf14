"""Plans, from the dry run that writes one to the pass that carries it out; and single tasks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cleanup_job.cli.main import main
from cleanup_job.report import plan_file
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.worlds.builder import World
from tests.cli.terminals import terminal
from tests.harness import state

PLAN = "plan.jsonl"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(filled: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in a folder of its own; gives the exit code, and all that was printed, in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEANUP_FORCE_DELETE", "true")

    def do(*words: str) -> tuple[int, str]:
        code = main(list(words))
        shown = capsys.readouterr()
        return code, " ".join((shown.out + shown.err).split())

    return do


def lines_of(path: str = PLAN) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def ids_of(path: str = PLAN) -> set[str]:
    return {line["id"] for line in lines_of(path) if line["line"] == "task"}


def task(sandbox: Sandbox, name: str) -> str:
    return next(str(key) for key, record in sandbox.store.tasks.items() if record["name"] == name)


def nothing_written() -> bool:
    return not list(Path().iterdir())


# -- writing one
def test_a_plan_has_what_would_be_deleted_and_for_what_it_holds(filled: Sandbox, run: Run) -> None:
    before = state(filled)
    code, text = run("run", "--dry-run", "--plan", PLAN)
    assert (code, state(filled)) == (0, before)
    header, *tasks, end = lines_of()
    assert f"The plan is in {PLAN}: 4 tasks, 12 files, at least" in text
    assert end["sha256"] in text
    assert (end["tasks"], end["files"], end["unsized"]) == (4, 12, 8)
    assert {one["name"] for one in tasks} == {f"exp {n}" for n in range(4)}
    assert header["server"] == filled.api_url
    assert header["settings"]["CLEANUP_FORCE_DELETE"] == "true"
    assert not {"CLEANUP_WORKERS", "CLEANUP_DRY_RUN", "CLEARML_API_SECRET_KEY"} & header["settings"].keys()
    assert Path(PLAN).stat().st_mode & 0o777 == 0o644


def test_a_plan_is_not_for_a_pass_that_deletes(filled: Sandbox, run: Run) -> None:
    before = state(filled)
    code, text = run("run", "--plan", PLAN)
    assert (code, state(filled)) == (2, before)
    assert f"Add --dry-run; once the plan is approved, `clearml-cleanup run --from-plan {PLAN}` deletes" in text


def test_a_file_that_is_there_is_not_replaced(filled: Sandbox, run: Run) -> None:
    Path(PLAN).write_text("approved")
    code, text = run("run", "--dry-run", "--plan", PLAN)
    assert code == 2
    assert "there is such a file, which may have been approved" in text
    assert Path(PLAN).read_text() == "approved"
    assert run("run", "--dry-run", "--plan", f"nowhere/{PLAN}")[0] == 2


@pytest.mark.parametrize(
    ("flags", "code", "why"),
    [
        (["--refuse-above", "1"], 2, "did not end well"),
        (["--max-tasks", "2"], 3, "raise CLEANUP_MAX_TASKS for this dry run"),
        (["--deadline-seconds", "0.000001"], 3, "raise CLEANUP_DEADLINE_SECONDS for this dry run"),
        (["--keep-tags", "nosuch"], 2, "did not end well"),
    ],
)
def test_a_dry_run_that_does_not_look_at_everything_leaves_no_plan(run: Run, flags: list[str], code: int, why: str) -> None:
    got, text = run("run", "--dry-run", "--plan", PLAN, *flags)
    assert got == code
    assert f"no plan was written to {PLAN}: the dry run" in text
    assert why in text
    assert nothing_written()


def test_so_does_one_that_loses_the_server(filled: Sandbox, run: Run) -> None:
    seen: list[str] = []

    def fault(request: Request) -> Fault | None:
        seen.append(request.call)
        return Fault(status=500) if "models.get_all" in seen else None

    filled.fault = fault
    code, text = run("run", "--dry-run", "--plan", PLAN, "--attempts", "1")
    assert code == 4
    assert f"no plan was written to {PLAN}" in text
    assert nothing_written()


def test_a_task_that_can_not_be_read_is_not_in_the_plan(filled: Sandbox, run: Run) -> None:
    bad = task(filled, "exp 1")
    filled.fault = lambda request: (
        Fault(status=500) if request.call.startswith("events.") and bad in str(request.body) else None
    )
    assert run("run", "--dry-run", "--plan", PLAN, "--attempts", "1")[0] == 3
    assert ids_of() == {task(filled, f"exp {n}") for n in (0, 2, 3)}


def test_a_full_disk_ends_with_1_and_leaves_no_plan(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plan_file.PlanWriter, "add", add)
    code, text = run("run", "--dry-run", "--plan", PLAN)
    assert code == 1
    assert "No space left on device" in text
    assert nothing_written()


# -- carrying it out
def test_what_a_plan_says_is_deleted_and_nothing_else(filled: Sandbox, run: Run) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    living = task(filled, "living")
    filled.store.tasks.change(living, system_tags=["archived"])
    code, text = run("run", "--from-plan", PLAN, "--workers", "2", "--log-format", "json")
    assert code == 0
    assert f"plan {PLAN}: 4 tasks, at least" in text
    assert "made 0" in text
    assert set(filled.store.tasks) == {living, task(filled, "kept")}
    code, text = run("run", "--from-plan", PLAN)
    assert code == 0, "what is gone by now is said, and is not a failure"
    assert "no task with this ID" in text


def test_what_has_changed_since_is_kept(filled: Sandbox, run: Run) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    edited, restored = task(filled, "exp 0"), task(filled, "exp 1")
    filled.store.tasks.change(edited, tags=["precious"])
    filled.store.tasks.change(restored, system_tags=[])
    code, text = run("run", "--dry-run", "--from-plan", PLAN)
    assert code == 0
    assert text.count('"verdict": "would_delete"') == 2
    code, text = run("run", "--from-plan", PLAN)
    assert code == 0
    assert "since the plan was made" in text
    assert {edited, restored} < set(filled.store.tasks)
    assert len(filled.store.tasks) == 4


def test_a_plan_of_a_plan_has_what_is_left_of_it(filled: Sandbox, run: Run) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    filled.store.tasks.change(task(filled, "exp 0"), tags=["precious"])
    assert run("run", "--dry-run", "--from-plan", PLAN, "--plan", "rest.jsonl")[0] == 0
    assert ids_of("rest.jsonl") == ids_of() - {task(filled, "exp 0")}


def test_an_empty_plan_deletes_nothing(filled: Sandbox, run: Run) -> None:
    assert run("run", "--dry-run", "--plan", PLAN, "--delete-threshold-days", "3000")[0] == 0
    assert not ids_of()
    before = state(filled)
    assert run("run", "--from-plan", PLAN, "--delete-threshold-days", "3000")[0] == 0
    assert state(filled) == before


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--delete-threshold-days", "20"], "CLEANUP_DELETE_THRESHOLD_DAYS ('30' in the plan, '20' here)"),
        (["--keep-tags", "gold"], "CLEANUP_KEEP_TAGS (not set in the plan, 'gold' here)"),
        (["--external-files", "delete"], "CLEANUP_EXTERNAL_FILES ('keep' in the plan, 'delete' here)"),
        (["--no-force-delete"], "CLEANUP_FORCE_DELETE ('true' in the plan, 'false' here)"),
    ],
)
def test_other_settings_are_refused(filled: Sandbox, run: Run, flags: list[str], named: str) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    before = state(filled)
    code, text = run("run", "--from-plan", PLAN, *flags)
    assert (code, state(filled)) == (2, before)
    assert named in text


def test_another_server_is_refused_however_its_address_is_written(
    filled: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    before = state(filled)
    monkeypatch.setenv("CLEARML_API_HOST", "http://other.example:8008")
    code, text = run("run", "--from-plan", PLAN)
    assert (code, state(filled)) == (2, before)
    assert f"is for {filled.api_url}, and CLEARML_API_HOST is http://other.example:8008" in text
    monkeypatch.setenv("CLEARML_API_HOST", filled.api_url.replace("http://", "HTTP://") + "/")
    assert run("run", "--dry-run", "--from-plan", PLAN)[0] == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace(b'"exp 1"', b'"exp 9"'), "was changed after it was written"),
        (lambda text: b"".join(text.splitlines(keepends=True)[:-1]), "is cut off"),
        (lambda text: text[:-5], "was changed after it was written"),
        (lambda text: b"".join(sorted(text.splitlines(keepends=True))), "is not a plan"),
        (lambda text: text + b"\n", "was changed after it was written"),
        (lambda text: text.replace(b'"format":1', b'"format":3'), "has format 3"),
        (lambda _: b"", "is not a plan"),
        (lambda _: b"\xff\x00", "is not a plan"),
        (lambda text: text.replace(b'"CLEANUP_FORCE_DELETE":"true"', b'"CLEANUP_FORCE_DELETE":"false"'), "was changed"),
    ],
)
def test_a_changed_file_is_refused(filled: Sandbox, run: Run, change: Callable[[bytes], bytes], why: str) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    before = state(filled)
    Path(PLAN).write_bytes(change(Path(PLAN).read_bytes()))
    code, text = run("run", "--from-plan", PLAN)
    assert (code, state(filled)) == (2, before)
    assert why in text
    assert "`clearml-cleanup run --dry-run --plan FILE`" in text


def test_a_missing_file_is_refused(run: Run) -> None:
    code, text = run("run", "--from-plan", "nowhere.jsonl")
    assert code == 2
    assert "plan nowhere.jsonl can't be read: No such file or directory" in text


def test_on_a_terminal_a_plan_is_shown_and_asked_about_like_a_pass(filled: Sandbox, run: Run) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    filled.store.tasks.change(task(filled, "living"), system_tags=["archived"])
    with terminal("y\n") as screen:
        assert screen.run("run", "--from-plan", PLAN) == 0
        text = " ".join(screen.text.split())
    assert text.startswith(f"plan {PLAN}: 4 tasks")
    assert "Deleted 4 tasks" in text, "which it only does after a yes"
    assert {record["name"] for record in filled.store.tasks.values()} == {"living", "kept"}


def test_on_a_terminal_a_dry_run_writes_a_plan_and_single_tasks_are_asked_about(filled: Sandbox, run: Run) -> None:
    one = task(filled, "exp 1")
    with terminal("n\n") as screen:
        assert screen.run("run", "--dry-run", "--task", one, "--plan", PLAN) == 0
        assert f"The plan is in {PLAN}: 1 task" in " ".join(screen.text.split())
    assert ids_of() == {one}
    with terminal("n\n") as screen:
        assert screen.run("run", "--task", one) == 0
        assert "Delete 1 task, 0 models, 3 files" in " ".join(screen.text.split())
    assert task(filled, "exp 1") == one


# -- single tasks
def test_single_tasks_by_id_and_by_the_address_of_their_page(filled: Sandbox, run: Run) -> None:
    ids = [task(filled, f"exp {n}") for n in range(4)]
    link = f"https://app.example/projects/{'0' * 32}/experiments/{ids[1]}/output/execution"
    code, _ = run("run", "--task", ids[0], link, "--task", f"{ids[2]},{'f' * 32}")
    assert code == 0
    assert set(ids) & set(filled.store.tasks) == {ids[3]}


def test_single_tasks_are_judged_by_every_rule(filled: Sandbox, run: Run) -> None:
    code, text = run("run", "--task", task(filled, "living"))
    assert code == 0
    assert '"reason": "not_selected"' in text
    assert "is not archived" in text
    assert task(filled, "living")


def test_single_tasks_can_be_planned(filled: Sandbox, run: Run) -> None:
    one = task(filled, "exp 2")
    assert run("run", "--dry-run", "--task", one, "--plan", PLAN)[0] == 0
    assert ids_of() == {one}


@pytest.mark.parametrize("word", ["exp 0", "", "f" * 31, "https://app.example/projects/" + "0" * 32, "../" + "f" * 32])
def test_what_is_not_a_task_is_an_error(filled: Sandbox, run: Run, word: str) -> None:
    before = state(filled)
    code, text = run("run", "--task", "f" * 32, word)
    assert (code, state(filled)) == (2, before)
    assert f"{word!r} is not the ID of a task" in text


@pytest.mark.parametrize("flags", [["--task", "f" * 32], ["--from-plan", PLAN], ["--dry-run", "--plan", PLAN]])
@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"CLEANUP_SHARDS": "3", "JOB_COMPLETION_INDEX": "0"}, "CLEANUP_SHARDS=3"),
        ({"CLEANUP_TASK": "true"}, "--no-service-task"),
        ({"CLEARML_TASK_ID": "a" * 32}, "unset CLEARML_TASK_ID"),
    ],
)
def test_shards_and_passes_of_a_task_in_clearml_take_no_tasks(
    run: Run, monkeypatch: pytest.MonkeyPatch, flags: list[str], more: dict[str, str], named: str
) -> None:
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    code, text = run("run", *flags)
    assert code == 2
    assert flags[-2] in text
    assert named in text
    assert nothing_written()


def test_tasks_are_named_by_a_plan_or_by_hand(run: Run) -> None:
    code, text = run("run", "--task", "f" * 32, "--from-plan", PLAN)
    assert code == 2
    assert "a plan names its tasks itself" in text


# -- reading them
def test_a_plan_is_shown_before_it_is_approved(filled: Sandbox, run: Run) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    code, text = run("plan", "show", PLAN)
    assert code == 0
    assert f"{PLAN}: 4 tasks, 0 models, 12 files (at least" in text
    assert f"for {filled.api_url}, made 2" in text
    assert "CLEANUP_FORCE_DELETE=true" in text
    assert "CLEANUP_PROJECTS" not in text, "it is at its default"
    assert lines_of()[-1]["sha256"] in text
    assert all(one in text for one in ids_of())
    code, text = run("plan", "show", PLAN, "--output", "json")
    shown = json.loads(text)
    assert {one["id"] for one in shown["tasks"]} == ids_of()
    assert shown["sums"]["tasks"] == 4
    Path(PLAN).write_bytes(Path(PLAN).read_bytes().replace(b"exp 1", b"exp 7"))
    code, text = run("plan", "show", PLAN)
    assert code == 2
    assert "was changed after it was written" in text


def test_two_plans_differ_by_what_came_went_and_changed(filled: Sandbox, run: Run) -> None:
    run("run", "--dry-run", "--plan", "a.jsonl")
    gone, edited, came = (task(filled, name) for name in ("exp 0", "exp 1", "living"))
    filled.store.tasks.change(gone, system_tags=[])
    filled.store.tasks.change(edited, tags=["again"])
    filled.store.tasks.change(came, system_tags=["archived"])
    run("run", "--dry-run", "--plan", "b.jsonl", "--threshold-rules", "lab=20")
    code, text = run("plan", "diff", "a.jsonl", "b.jsonl", "--output", "json")
    assert code == 0
    found = json.loads(text)
    kinds = {kind: [one["id"] for one in found[kind]] for kind in ("came", "went", "changed")}
    assert kinds == {"came": [came], "went": [gone], "changed": [edited]}
    assert (found["same"], found["same_tasks"]) == (False, 2)
    code, text = run("plan", "diff", "a.jsonl", "b.jsonl")
    assert code == 0
    assert "CLEANUP_THRESHOLD_RULES: not set, then lab=20" in text
    for kind, files in (("came", 1), ("went", 3), ("changed", 3)):
        assert f"{kind}: 1 task, 0 models, {files} file" in text
    assert "the same in both: 2 tasks" in text


def test_plans_that_delete_the_same_are_the_same(run: Run) -> None:
    run("run", "--dry-run", "--plan", "a.jsonl")
    run("run", "--dry-run", "--plan", "b.jsonl", "--workers", "2", "--batch-size", "1")
    code, text = run("plan", "diff", "a.jsonl", "b.jsonl")
    assert (code, text) == (0, "The same: 4 tasks in both plans.")
    assert json.loads(run("plan", "diff", "a.jsonl", "b.jsonl", "--output", "json")[1])["same"] is True


@pytest.mark.parametrize(("words", "takes"), [(["show", "a", "b"], 1), (["diff", "a"], 2), (["diff", "a", "b", "c"], 2)])
def test_each_takes_so_many_files(run: Run, words: list[str], takes: int) -> None:
    code, text = run("plan", *words)
    assert code == 2
    assert f"{len(words) - 1} files were given, and it takes {takes}" in text


# -- with policies
POLICIES = """\
policies:
  - name: playground
    match: {projects: [playground]}
    archive: {after: 14d}
    delete: {after: 60d}
  - name: announced
    match: {projects: [announced]}
    archive: {after: 14d}
    notice: 7d
"""


@pytest.fixture
def with_policies(filled: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for n in range(3):
        world.task(f"run {n}", project="playground", days_old=20, archived=False)
    world.task("young", project="playground", days_old=10, archived=False)
    world.task("old", project="playground", days_old=90).artifact("data")
    world.task("soon", project="announced", days_old=10, archived=False)
    filled.load(world.as_dict())
    folder = tmp_path / "policies"
    folder.mkdir()
    path = folder / "policies.yaml"
    path.write_text(POLICIES, encoding="utf-8")
    monkeypatch.setenv("CLEANUP_POLICIES", str(path))
    return path


def archived(sandbox: Sandbox) -> set[str]:
    return {str(one["name"]) for one in sandbox.store.tasks.values() if "archived" in one["system_tags"]}


def test_a_plan_has_what_policies_do_and_carries_out_only_that(filled: Sandbox, run: Run, with_policies: Path) -> None:
    before = archived(filled)
    code, text = run("run", "--dry-run", "--plan", PLAN)
    assert code == 0
    assert "1 task, 1 file, 5 B; 3 to archive, 1 to announce" in text, text
    header, *tasks, end = lines_of()
    assert (header["format"], end["tasks"], end["archive"], end.get("slim"), end["notice"]) == (2, 1, 3, None, 1)
    planned = {one["name"]: (one["stage"], one["policy"]) for one in tasks}
    assert planned == {
        **{f"run {n}": ("archive", "playground") for n in range(3)},
        "old": ("delete", "playground"),
        "soon": ("archive", "announced"),
    }
    assert next(one for one in tasks if one["name"] == "soon")["announced"] > "2026"
    assert "announced" not in next(one for one in tasks if one["name"] == "old")
    shown = run("plan", "show", PLAN)[1]
    assert "announce: archive announced 1" in shown
    document = json.loads(run("plan", "show", PLAN, "--output", "json")[1])
    assert [one["stage"] for one in document["tasks"]].count("archive") == 4
    assert (document["sums"]["archive"], "slim" in document["sums"]) == (3, False)
    assert "The same: 5 tasks in both plans." in run("plan", "diff", PLAN, PLAN)[1]
    filled.store.tasks.change(task(filled, "run 0"), tags=["edited since"])
    filled.store.tasks.change(task(filled, "young"), status_changed="2026-01-01T00:00:00+00:00")
    code, text = run("run", "--from-plan", PLAN)
    assert code == 0, text
    assert "; 3 to archive, 1 to announce" in text
    assert archived(filled) == (before | {"run 1", "run 2"}) - {"old"}
    assert "old" not in {one["name"] for one in filled.store.tasks.values()}
    noticed = filled.store.tasks[task(filled, "soon")]["tags"]
    assert [tag.partition("=")[0] for tag in noticed] == ["cleanup:archives"]


def test_a_plan_holds_for_the_same_policies_wherever_their_file_is(filled: Sandbox, run: Run, with_policies: Path) -> None:
    run("run", "--dry-run", "--plan", PLAN)
    elsewhere = with_policies.with_name("copy.yaml")
    elsewhere.write_text(POLICIES, encoding="utf-8")
    assert run("run", "--from-plan", PLAN, "--dry-run", "--policies", str(elsewhere))[0] == 0
    before = archived(filled)
    elsewhere.write_text(POLICIES.replace("14d", "15d"), encoding="utf-8")
    code, text = run("run", "--from-plan", PLAN, "--policies", str(elsewhere))
    assert code == 2
    assert "made with other settings, so it is not used: CLEANUP_POLICIES (" in text
    assert archived(filled) == before


def test_who_is_asked_says_yes_to_all_of_it(filled: Sandbox, with_policies: Path) -> None:
    with terminal("y\n") as screen:
        assert screen.run("run", "--force-delete") == 0
        text = " ".join(screen.text.split())
    assert "1 file (5 B), archived 3 tasks, gave notice to 1 task" in text
    assert {"run 0", "run 1", "run 2"} <= archived(filled)


def test_a_plan_that_only_archives_is_asked_about_too(filled: Sandbox, with_policies: Path) -> None:
    with terminal("n\n") as screen:
        assert screen.run("run", "--no-force-delete") == 0
        text = " ".join(screen.text.split())
    assert "Archive 3 tasks, give notice to 1 task" in text
    assert "Nothing was changed." in text
    assert "run 0" not in archived(filled)
