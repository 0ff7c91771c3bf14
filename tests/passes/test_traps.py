"""How ClearML Server really behaves, a test for each surprise."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from cleanup_job.clearml_api import event_files as reader
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import AnswerError, CleanupError, SettingsError, UnreachableError
from cleanup_job.exit_codes import StopReason
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.outcome import Reason
from cleanup_job.retry import Retry
from cleanup_job.storage.fileserver import FileServer
from cleanup_job.storage.fileserver_client import FileServerClient
from clearml_sandbox.api import events, query
from clearml_sandbox.api.answer import ENDPOINTS, Call
from clearml_sandbox.api.conditions import Condition
from clearml_sandbox.api.kinds import Kind
from clearml_sandbox.server import Fault, Request, Sandbox
from clearml_sandbox.store import Document, Documents, now
from clearml_sandbox.worlds.builder import World
from clearml_sandbox.worlds.task_builder import TaskBuilder
from tests.harness import NOW, clean, state


@pytest.fixture
def world() -> World:
    return World(NOW)


def full(world: World, name: str, **options: object) -> TaskBuilder:
    task = world.task(name, **options)
    task.artifact("data")
    task.model("weights")
    task.debug_images(2)
    return task


def restore(sandbox: Sandbox, task: str) -> None:
    tags = [tag for tag in sandbox.store.tasks[task]["system_tags"] if tag != "archived"]
    sandbox.store.tasks.change(task, system_tags=tags)


# -- filters fail open
def due_and_others(world: World) -> tuple[TaskBuilder, TaskBuilder]:
    """A task that is due, and one that is not for its status alone, among others that filters leave out."""
    old = full(world, "old")
    full(world, "living", archived=False)
    full(world, "young", days_old=3)
    full(world, "hidden", hidden=True)
    kept = full(world, "kept", status="failed")
    world.task("uses it", archived=False).input_model(world.models[0]["id"])
    return old, kept


def all_documents(_: object, documents: Documents, **__: object) -> tuple[list[Document], None]:
    return list(documents.values()), None


def test_a_server_that_ignores_every_filter_but_bounds_deletes_nothing_more(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, kept = due_and_others(world)
    sandbox.load(world.as_dict())
    conditions_of = query.conditions_of

    def bounds_of(call: Call, kind: Kind) -> list[Condition]:
        bounds = {name: value for name, value in call.body.items() if name == "last_update"}
        return conditions_of(replace(call, body={**bounds, "search_hidden": True}), kind)

    monkeypatch.setattr(query, "conditions_of", bounds_of)
    monkeypatch.setattr(query, "_candidates", all_documents)
    done = clean(sandbox, filters={"exclude_statuses": ("failed",)})
    assert done.watcher.deleted == {old.id}
    assert kept.id in sandbox.store.tasks
    assert len(state(sandbox)[2]) == 4 * 4 + 1


@pytest.mark.parametrize("size", [1, 3])
def test_a_server_that_ignores_the_bounds_too_is_no_server_to_delete_on(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A listing that starts anew each time would never end, or skip tasks: the pass ends instead, and says why."""
    old, _ = due_and_others(world)
    sandbox.load(world.as_dict())
    monkeypatch.setattr(query, "_matches", lambda *_: True)
    monkeypatch.setattr(query, "_candidates", all_documents)
    with pytest.raises(AnswerError, match=r"tasks\.get_all: the server ignores the bounds .*<=2026-.* of last_update"):
        clean(sandbox, filters={"exclude_statuses": ("failed",)}, page_size=size)
    assert {task.id for task in world.tasks} - set(state(sandbox)[0]) <= {old.id}
    assert len(state(sandbox)[2]) >= 4 * 4 + 1


def test_pages_that_repeat_for_ever_end_the_listing(sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    full(world, "old")
    sandbox.load(world.as_dict())
    monkeypatch.setattr(query, "_page", lambda _, found: (found, {}))
    assert len(clean(sandbox).watcher.deleted) == 1


def test_shorter_pages_than_asked_for_are_not_the_end(sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(20):
        full(world, f"exp {n}")
    sandbox.load(world.as_dict())
    monkeypatch.setattr(query, "CAP", 7)
    assert len(clean(sandbox, batch_size=5).watcher.deleted) == 20


@pytest.mark.parametrize("junk", [None, 7, "x", [], {}, [None], {"tasks": None}, {"tasks": [{"id": 5}]}, {"metrics": [{}]}])
@pytest.mark.parametrize("call", ["tasks.get_all", "models.get_all", "events.get_task_events", "tasks.delete_many"])
def test_no_answer_however_wrong_widens_the_plan(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, call: str, junk: object
) -> None:
    old = full(world, "old")
    living = full(world, "living", archived=False)
    sandbox.load(world.as_dict())
    since, _ = ENDPOINTS[call]
    monkeypatch.setitem(ENDPOINTS, call, (since, lambda _: junk))
    with suppress(CleanupError):
        clean(sandbox, attempts=1)
    assert {path for path in world.stored if old.id not in path} <= set(state(sandbox)[2])
    assert living.id in state(sandbox)[0]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ({"succeeded": [], "failed": []}, "does not mention it"),
        ({"succeeded": [{}], "failed": []}, "does not mention it"),
        ({"succeeded": [None], "failed": []}, "does not mention it"),
        ({"succeeded": [], "failed": None}, "does not mention it"),
    ],
)
def test_a_deletion_that_the_answer_does_not_confirm_has_failed(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, answer: Document, detail: str
) -> None:
    task = full(world, "old")
    sandbox.load(world.as_dict())
    monkeypatch.setitem(ENDPOINTS, "tasks.delete_many", ((2, 13), lambda _: answer))
    done = clean(sandbox)
    assert done.watcher.failed == {task.id}
    assert detail in done.watcher.outcomes[task.id].detail


# -- changes while a pass runs
@pytest.mark.parametrize(
    "change",
    [
        {"system_tags": []},
        {"status": "queued", "status_changed": "2026-11-01T11:59:00+00:00"},
        {"status": "in_progress", "last_update": "2026-11-01T11:59:00+00:00"},
        {"tags": ["keep"]},
    ],
    ids=["restored", "re-enqueued", "running", "tagged"],
)
def test_what_changes_between_select_and_delete_survives_with_its_files(
    sandbox: Sandbox, world: World, change: Document
) -> None:
    task, other = full(world, "changes"), full(world, "stays as it is")
    sandbox.load(world.as_dict())

    def meddle(request: Request) -> None:
        if request.call == "events.get_task_events":
            sandbox.store.tasks.change(task.id, **change)

    sandbox.fault = meddle
    done = clean(sandbox)
    assert done.watcher.kept == {task.id: Reason.CHANGED}
    assert done.watcher.deleted == {other.id}
    assert len(state(sandbox)[2]) == 4


def test_force_is_not_sent_for_a_task_that_was_restored_at_the_last_moment(sandbox: Sandbox, world: World) -> None:
    task = full(world, "restored")
    sandbox.load(world.as_dict())
    sandbox.fault = lambda request: restore(sandbox, task.id) if request.call == "tasks.delete_many" else None
    done = clean(sandbox)
    assert done.watcher.failed == {task.id}
    assert state(sandbox)[0] == [task.id]
    assert not any((r.body or {}).get("force") for r in sandbox.requests)


def test_a_user_that_the_server_refuses_keeps_the_maker_and_its_files(sandbox: Sandbox, world: World) -> None:
    maker, user = full(world, "maker", days_old=90), world.task("user", days_old=40)
    user.input_model(world.models[0]["id"])
    sandbox.load(world.as_dict())

    def refuse(request: Request) -> None:
        if request.call == "tasks.delete_many" and user.id in request.body["ids"]:
            restore(sandbox, user.id)

    sandbox.fault = refuse
    done = clean(sandbox)
    assert done.watcher.kept == {maker.id: Reason.IN_USE}
    assert done.watcher.failed == {user.id}
    assert len(state(sandbox)[2]) == 4


def test_a_model_that_comes_into_use_during_the_pass_is_kept(sandbox: Sandbox, world: World) -> None:
    maker, living = full(world, "maker"), world.task("living", archived=False)
    model = world.models[0]["id"]
    sandbox.load(world.as_dict())

    def use(request: Request) -> None:
        if request.call == "events.get_task_events" and not sandbox.store.tasks[living.id]["models"]["input"]:
            models = {"input": [{"name": "initial", "model": model}], "output": []}
            sandbox.store.tasks.change(living.id, models=models)

    sandbox.fault = use
    assert clean(sandbox).watcher.deleted == {maker.id}
    assert len(state(sandbox)[2]) == 1


@pytest.mark.parametrize("address", ["{FILES}", "https://public.example"])
def test_a_model_that_is_registered_during_the_pass_protects_its_file(sandbox: Sandbox, world: World, address: str) -> None:
    maker = full(world, "maker")
    sandbox.load(world.as_dict())
    made = sandbox.store.models[world.models[0]["id"]]
    uri = made["uri"].replace(sandbox.files_url, address.replace("{FILES}", sandbox.files_url))

    def register(request: Request) -> None:
        if request.call == "events.get_task_events" and "late" not in sandbox.store.models:
            sandbox.store.models.put({**made, "id": "late", "task": "", "uri": uri, "last_update": now()})

    sandbox.fault = register
    done = clean(sandbox, files_url_prefixes=("https://public.example",))
    assert done.watcher.deleted == {maker.id}
    assert len(state(sandbox)[2]) == 1


def test_a_task_that_vanishes_during_the_pass_holds_up_no_other(sandbox: Sandbox, world: World) -> None:
    gone, other = full(world, "gone"), full(world, "other")
    sandbox.load(world.as_dict())
    sandbox.fault = lambda r: sandbox.store.tasks.pop(gone.id, None) and None if r.call == "events.get_task_events" else None
    done = clean(sandbox)
    assert done.watcher.deleted == {other.id}


def test_a_difference_between_plan_and_answer_is_reported(sandbox: Sandbox, world: World) -> None:
    task = full(world, "published meanwhile", status="published")
    sandbox.load(world.as_dict())
    model = world.models[0]["id"]
    sandbox.fault = lambda r: sandbox.store.models.change(model, ready=True) and None if r.call == "tasks.delete_many" else None
    done = clean(sandbox)
    assert done.watcher.deleted == {task.id}
    assert done.report.warnings == [f"task {task.id}: 1 models planned, 0 deleted by the server"]
    assert done.watcher.warnings == done.report.warnings


# -- events
def test_tasks_with_events_are_deleted_in_calls_that_the_server_waits_for(sandbox: Sandbox, world: World) -> None:
    """Also where a unit is larger than what is looked at together: a pipeline with its steps."""
    controller = world.pipeline("nightly")
    steps = {controller.step(f"step {n}").id for n in range(150)}
    for task in world.tasks[1:]:
        task.debug_images(1)
    sandbox.load(world.as_dict())
    assert clean(sandbox, filters={"include_pipeline_steps": True}).watcher.deleted == steps | {controller.id}
    assert [len(r.body["ids"]) for r in sandbox.requests if r.call == "tasks.delete_many"] == [99, 51, 1]


def test_files_and_records_of_a_few_tasks_are_deleted_before_those_of_the_next(sandbox: Sandbox, world: World) -> None:
    tasks = [world.task(f"exp {n}").id for n in range(60)]
    for task in world.tasks:
        task.artifact("data")
    sandbox.load(world.as_dict())
    assert clean(sandbox, workers=1).watcher.deleted == set(tasks)
    done = [(r.call, r.body) for r in sandbox.requests if r.call in {"/delete_many", "tasks.delete_many"}]
    calls = [call for call, body in done if call != "/delete_many" or body["files"]]
    assert calls == ["/delete_many", "tasks.delete_many"] * 3
    looks = [r.body["id"] for r in sandbox.requests if "execution.artifacts" in str(r.body) and "id" in (r.body or {})]
    assert [len(ids) for ids in looks] == [25, 25, 10]


def test_a_scroll_that_repeats_iteration_0_for_ever_ends(sandbox: Sandbox, world: World) -> None:
    task = world.task("first iteration")
    task.debug_images(40, iterations=1)
    sandbox.load(world.as_dict())
    assert clean(sandbox, request_timeout_seconds=10).watcher.outcomes[task.id].files == 40
    assert state(sandbox)[2] == []


@pytest.mark.parametrize("page", [1, 5, 1000])
def test_all_iterations_are_found_where_a_bulk_answer_was_cut_off(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(reader, "IMAGES", reader.Kind("training_debug_image", "debug samples", page))
    task = world.task("many iterations", destination="s3://bucket/base")
    task.debug_images(80)
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert dict(done.report.unknown_stores) == {"s3://bucket": 80}


def test_images_are_found_although_the_tasks_record_has_only_the_last_batch(sandbox: Sandbox, world: World) -> None:
    task = world.task("scalars last", destination="s3://bucket/base")
    task.debug_images(3)
    sandbox.load(world.as_dict())
    scalar = {"type": "training_stats_scalar", "task": task.id, "metric": "loss", "variant": "train", "iter": 9, "value": 1}
    last_update = sandbox.store.tasks[task.id]["last_update"]
    events.add(sandbox.store, [scalar], "__tests__")
    kinds = [list(m["event_stats_by_type"]) for m in sandbox.store.tasks[task.id]["metric_stats"].values()]
    assert kinds == [["training_stats_scalar"]]
    sandbox.store.tasks.change(task.id, last_update=last_update)
    assert clean(sandbox).watcher.kept == {task.id: Reason.UNKNOWN_STORE}


def test_events_of_a_tasks_models_count_as_its_outputs(sandbox: Sandbox, world: World) -> None:
    task = world.task("has model events")
    model = task.model("weights")
    for n, uri in enumerate((f"s3://bucket/base/lab/x.{task.id}/metrics/1.png", "s3://bucket/elsewhere/2.png")):
        world.events.append(
            {"type": "training_debug_image", "task": model.id, "model_event": True, "metric": "eval", "variant": "v",
             "iter": n, "url": uri, "timestamp": 1}
        )  # fmt: skip
    sandbox.load(world.as_dict())
    done = clean(sandbox)
    assert dict(done.report.unknown_stores) == {"s3://bucket": 1}
    assert clean(sandbox, unknown_stores="delete_record").watcher.outcomes[task.id].external == ("s3://bucket/elsewhere/2.png",)


# -- the fileserver
def test_a_fileserver_without_delete_many_gets_single_files(world: World) -> None:
    task = full(world, "exp #1 a+b %41")
    task.plot("plot", images=2)
    kept = full(world, "maker")
    world.task("user", archived=False).input_model(world.models[1]["id"])
    with Sandbox(world.as_dict(), allow_batch=False) as sandbox:
        done = clean(sandbox)
        assert done.watcher.deleted == {task.id, kept.id}
        assert len(state(sandbox)[2]) == 1
        assert {r.method for r in sandbox.requests if r.service == "files" and r.call != "/delete_many"} == {"GET", "DELETE"}
        assert any("does not accept POST /delete_many" in warning for warning in done.watcher.warnings)


@pytest.mark.parametrize("status", [403, 404, 405, 501])
@pytest.mark.parametrize("nth", [{1}, {2}, {3}, {1, 2, 3}, {1, 3}])
def test_a_passing_refusal_of_delete_many_is_asked_again(sandbox: Sandbox, world: World, status: int, nth: set[int]) -> None:
    """As of an ingress that reloads: a file that no record names would be left behind."""
    task = full(world, "exp")
    folder = next(path for path in world.stored if task.id in path).partition("/artifacts/")[0]
    world.stored[f"{folder}/artifacts/upload/unnamed.bin"] = 1
    sandbox.load(world.as_dict())
    seen: list[Request] = []

    def refuse(request: Request) -> Fault | None:
        seen.extend([request] if request.call == "/delete_many" else [])
        return Fault(status=status) if request.call == "/delete_many" and len(seen) in nth else None

    sandbox.fault = refuse
    done = clean(sandbox, attempts=2)
    assert (done.watcher.deleted, done.watcher.warnings) == ({task.id}, [])
    assert state(sandbox) == ([], [], [])


def test_refusals_that_last_in_mid_pass_keep_the_tasks(sandbox: Sandbox, world: World) -> None:
    tasks = [full(world, f"exp {n}") for n in range(8)]
    sandbox.load(world.as_dict())
    sandbox.fault = lambda request: Fault(status=404) if (request.body or {}).get("files") else None
    done = clean(sandbox)
    assert done.watcher.failed == {task.id for task in tasks} == set(state(sandbox)[0])
    assert {outcome.reason for outcome in done.watcher.outcomes.values()} == {Reason.FILE_ERROR}


def test_another_server_in_place_of_the_fileserver_is_an_error_before_anything_is_deleted(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(world, "old")
    sandbox.load(world.as_dict())
    monkeypatch.setattr(sandbox, "files_url", sandbox.api_url)
    with pytest.raises(SettingsError, match="does not answer like ClearML's fileserver"):
        clean(sandbox)
    assert len(state(sandbox)[0]) == 1


@pytest.mark.parametrize("living", [True, False])
def test_files_that_are_all_elsewhere_raise_a_doubt(sandbox: Sandbox, world: World, living: bool) -> None:
    full(world, "old")
    if living:
        world.task("living", archived=False).artifact("data")
    sandbox.load(world.as_dict())
    sandbox.store.files.remove("")
    told = ["none of 1 folders and files was on the fileserver: is its address the right one?"]
    # Where nothing else is known, the night before may have been interrupted.
    assert clean(sandbox).watcher.warnings == (told if living else [])


@pytest.mark.parametrize("keep", [True, False])
def test_a_file_that_can_not_be_deleted_keeps_the_record_or_not_as_the_settings_say(
    sandbox: Sandbox, world: World, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    broken, other = full(world, "broken"), full(world, "other")
    sandbox.load(world.as_dict())
    real = FileServer._delete_names

    def fail(client: FileServerClient, names: Sequence[str]) -> dict[str, str]:
        bad = [name for name in names if broken.id in name]
        return {**dict.fromkeys(bad, "disk full"), **real(client, [name for name in names if name not in bad])}

    monkeypatch.setattr(FileServer, "_delete_names", staticmethod(fail))
    done = clean(sandbox, on_file_error="keep_record" if keep else "delete_record")
    assert other.id in done.watcher.deleted
    assert (broken.id in done.watcher.failed) is keep
    assert (broken.id in sandbox.store.tasks) is keep
    assert len(state(sandbox)[2]) == 4
    if keep:
        assert "disk full" in done.watcher.outcomes[broken.id].detail


# -- old servers
@pytest.mark.parametrize("version", ["2.9", "2.12", "2.19", "2.20", "2.34"])
def test_servers_too_old_for_a_call_get_the_older_form(world: World, version: str) -> None:
    for n in range(3):
        full(world, f"exp {n}")
    world.task("published", status="published").model("ready", ready=True)
    with Sandbox(world.as_dict(), max_api_version=version) as sandbox:
        done = clean(sandbox)
        assert len(done.watcher.deleted) == 4
        assert len(state(sandbox)[2]) == 1
        calls = {r.call for r in sandbox.requests}
    assert ("tasks.delete_many" in calls) == (version not in {"2.9", "2.12"})
    assert ("tasks.delete" in calls) == (version in {"2.9", "2.12"})


# -- logging in
def test_wrong_credentials_are_an_error_that_names_the_settings(sandbox: Sandbox) -> None:
    with pytest.raises(SettingsError, match="CLEARML_API_ACCESS_KEY"):
        ApiClient(ServerAccess(sandbox.api_url, sandbox.key, "wrong", retry=Retry(wait=0)))


def test_a_server_that_is_no_clearml_server_is_an_error(sandbox: Sandbox) -> None:
    with pytest.raises(SettingsError, match="does not answer like ClearML's API server"):
        ApiClient(ServerAccess(sandbox.files_url, sandbox.key, sandbox.secret, retry=Retry(wait=0)))


def test_a_server_that_can_not_be_reached_ends_the_tries() -> None:
    with pytest.raises(UnreachableError, match="in 2 tries"):
        ApiClient(ServerAccess("http://127.0.0.1:9", "k", "s", timeout=5, retry=Retry(2, wait=0)))


def test_a_wrong_scheme_ends_the_pass_at_once(sandbox: Sandbox) -> None:
    host = sandbox.api_url.removeprefix("http://")
    with pytest.raises(SettingsError, match=f"CLEARML_API_HOST=https://{host} answers plain http: write http://{host}"):
        ApiClient(ServerAccess(f"https://{host}", "k", "s", timeout=5, retry=Retry(2, wait=0)))


def test_a_token_that_expires_in_mid_pass_is_renewed(sandbox: Sandbox, world: World) -> None:
    for n in range(6):
        full(world, f"exp {n}")
    sandbox.load(world.as_dict())
    expired: set[str] = set()

    def expire(request: Request) -> Fault | None:
        named = f"{request.call} {request.body}"  # once each: a renewed token is good
        if request.call != "auth.login" and request.number % 4 == 0 and named not in expired and request.service == "api":
            expired.add(named)
            return Fault(status=401, subcode=30)
        return None

    sandbox.fault = expire
    assert len(clean(sandbox, batch_size=2).watcher.deleted) == 6
    assert len(expired) > 3


def test_a_server_that_goes_away_ends_the_pass_and_what_it_said_is_kept(sandbox: Sandbox, world: World) -> None:
    for n in range(6):
        full(world, f"exp {n}")
    sandbox.load(world.as_dict())
    sandbox.fault = lambda _: Fault() if any(r.call == "tasks.delete_many" for r in sandbox.requests[:-1]) else None
    with pytest.raises(UnreachableError, match="no answer from"):
        clean(sandbox, batch_size=2, workers=1, attempts=2)
    assert len(state(sandbox)[0]) == 4


# -- stopping
def test_a_stop_ends_the_pass_after_the_batches_in_progress(sandbox: Sandbox, world: World) -> None:
    for n in range(9):
        full(world, f"exp {n}")
    sandbox.load(world.as_dict())
    stop = Stop()

    def ask(request: Request) -> None:
        if request.call == "tasks.delete_many":
            stop.reason = StopReason.SIGTERM

    sandbox.fault = ask
    report = clean(sandbox, batch_size=3, workers=1, stop=stop).report
    assert (report.total().tasks, report.left, report.stopped_by) == (3, 6, "SIGTERM")


def test_a_deadline_leaves_the_rest_for_the_next_pass(sandbox: Sandbox, world: World) -> None:
    full(world, "exp")
    sandbox.load(world.as_dict())
    report = clean(sandbox, deadline_seconds=1e-9).report
    assert (report.unfinished, report.left_is_least, report.stopped_by) == (True, True, "deadline")
    assert report.left == 0, "the listing was not read to its end: at least so many"
    assert len(state(sandbox)[0]) == 1


def test_a_passing_clock_difference_is_no_grace(sandbox: Sandbox, world: World) -> None:
    task = full(world, "archived by a server whose clock is ahead", archived_days=-1)
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {task.id}
    sandbox.load(world.as_dict())
    assert not clean(sandbox, filters={"archived_for_days": 1 / 24}).watcher.deleted
