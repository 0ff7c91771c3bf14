"""The fileserver: what is sent for a folder, what was not there, and how it shows that it is the one in the records."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.session import ServerAccess
from cleanup_job.errors import SettingsError
from cleanup_job.planning.paths import LinkedFile, Location, TaskFile, TaskFolder, TaskId
from cleanup_job.retry import Retry
from cleanup_job.storage.fileserver import NAME, PROVEN_BY, SAMPLE, FileServer
from cleanup_job.storage.stores import Stores
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean

ONE, OTHER = (TaskId(digit * 32) for digit in "ab")
TOP = TaskFolder(NAME, f"lab/exp.{ONE}", ONE)


def connected(sandbox: Sandbox) -> FileServer:
    retry = Retry(2, wait=0)
    return FileServer(
        sandbox.files_url, [], ApiClient(ServerAccess(sandbox.api_url, sandbox.key, sandbox.secret)).token, retry=retry
    )


def filled(sandbox: Sandbox, *rests: str, top: TaskFolder = TOP) -> FileServer:
    sandbox.load({"files": [{"path": f"{top.path}/{rest}", "size": 3} for rest in rests]})
    sandbox.requests.clear()
    return connected(sandbox)


def sent(sandbox: Sandbox) -> list[str]:
    return [f"{request.method} {request.call}" for request in sandbox.requests if request.service == "files"]


def test_what_the_sdk_makes_goes_with_a_folder_in_one_call_and_nothing_beside_it(sandbox: Sandbox) -> None:
    beside = ("README", "runs/lab/living.x/models/w.pt", "models2/x")
    found = filled(sandbox, "models/w.pt", "artifacts/a/a.bin", "metrics/m/v/1.png", *beside)
    done = found.delete([TOP])
    assert (done.failed, done.missing) == ({}, frozenset())
    assert sandbox.store.files.paths() == sorted(f"{TOP.path}/{rest}" for rest in beside)
    assert len(sent(sandbox)) == 1


@pytest.mark.parametrize("there", ["artifacts/a", "models/a", "metrics/a"])
def test_a_folder_is_there_if_anything_in_it_is(sandbox: Sandbox, there: str) -> None:
    assert filled(sandbox, there).delete([TOP]).missing == frozenset()


def test_a_folder_with_nothing_in_it_was_not_there(sandbox: Sandbox) -> None:
    assert filled(sandbox, "README").delete([TOP]).missing == {TOP}
    assert sandbox.store.files.paths() == [f"{TOP.path}/README"]


def test_a_file_beside_goes_alone_even_where_a_folder_has_its_name(sandbox: Sandbox) -> None:
    found = filled(sandbox, "notes.txt", f"runs/lab/living.{OTHER}/metrics/1.png")
    file, folder = TaskFile(TOP, "notes.txt"), TaskFile(TOP, "runs")
    done = found.delete([file, folder])
    assert (done.failed, done.missing) == ({}, {folder})
    assert sandbox.store.files.paths() == [f"{TOP.path}/runs/lab/living.{OTHER}/metrics/1.png"]


def test_one_part_that_is_refused_fails_the_folder(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    found = filled(sandbox, "models/w.pt")
    monkeypatch.setattr(
        found,
        "_delete_names",
        lambda _, names: {name: "" if name.endswith("models") else "Permission denied" for name in names},
    )
    done = found.delete([TOP])
    assert (done.failed, done.missing) == ({TOP: "Permission denied"}, frozenset())


def test_a_path_that_no_file_can_have_is_never_sent_and_was_not_there(sandbox: Sandbox) -> None:
    """One of them makes the whole call a 500 (recorded in files_long_names)."""
    name = "ü" * 128  # 256 bytes
    files = [TaskFile(TOP, f"models/{name}"), TaskFile(TOP, name), TaskFile(TOP, "metrics/" + "/".join(["x" * 200] * 21))]
    long = TaskFolder(NAME, f"lab/{name}.{ONE}", ONE)
    found = filled(sandbox, "models/w.pt")
    done = found.delete([*files, long, TOP])
    assert (done.failed, done.missing) == ({}, {*files, long})
    link = LinkedFile(NAME, f"input/{name}")
    assert found.delete_linked([link]).missing == {link}
    assert len(sent(sandbox)) == 1


def test_files_that_were_not_there_are_counted_apart(sandbox: Sandbox) -> None:
    world = World(NOW)
    there, lost, renamed = world.task("there"), world.task("lost"), world.task("renamed")
    for task in (there, lost, renamed):
        task.artifact("data")
        task.debug_images(2)
    sandbox.load(world.as_dict())
    sandbox.store.files.remove(lost.folder)
    sandbox.store.files.remove(f"{renamed.folder}/artifacts")
    done = clean(sandbox)
    assert done.watcher.deleted == {there.id, lost.id, renamed.id}
    counts = {task: (outcome.files, outcome.files_missing) for task, outcome in done.watcher.outcomes.items()}
    assert counts == {there.id: (3, 0), lost.id: (0, 3), renamed.id: (2, 1)}
    assert (done.report.total().files, done.report.files_missing) == (5, 4)


# -- is this the fileserver that records speak of?
def places(count: int, name: str = "living") -> list[Location]:
    return [Location(NAME, f"lab/{name} {n}.{OTHER}/models/w.pt") for n in range(count)]


def test_a_fileserver_that_has_none_of_enough_files_ends_the_pass(sandbox: Sandbox) -> None:
    found = filled(sandbox, "models/w.pt")
    with pytest.raises(SettingsError, match=rf"CLEARML_FILES_HOST={sandbox.files_url} has none of {PROVEN_BY} files"):
        Stores((found,)).prove(places(PROVEN_BY))
    assert sent(sandbox) == [f"HEAD /{place.path}" for place in places(PROVEN_BY)]


def test_with_too_few_files_to_look_for_nothing_is_said(sandbox: Sandbox) -> None:
    found = filled(sandbox)
    found.prove(places(PROVEN_BY - 1) * 3)
    found.prove([])
    found.delete([TOP])
    assert "is its address the right one?" in found.warnings()[0]


def test_no_more_than_a_sample_is_looked_for(sandbox: Sandbox) -> None:
    found = filled(sandbox)
    with pytest.raises(SettingsError, match=f"none of {SAMPLE} files"):
        found.prove(places(SAMPLE + 30))
    assert len(sent(sandbox)) == SAMPLE


def test_one_file_is_enough_and_then_nothing_doubts_the_address(sandbox: Sandbox) -> None:
    found = filled(sandbox, "models/ü + %41.pt")
    found.prove([*places(10), Location(NAME, f"{TOP.path}/models/ü + %41.pt"), *places(40, "not asked for")])
    assert len(sent(sandbox)) == 12, "ten that are not there, the one that is, and one that can't be"
    assert found.delete([TaskFolder(NAME, f"lab/gone.{ONE}", ONE)]).missing
    assert found.warnings() == []


def test_only_stores_that_can_not_list_are_asked(sandbox: Sandbox) -> None:
    found = filled(sandbox)
    Stores((found,)).prove([Location("s3://bucket", f"lab/x.{OTHER}/models/{n}") for n in range(9)])
    assert sent(sandbox) == []


def test_paths_that_can_not_be_asked_for_prove_nothing(sandbox: Sandbox) -> None:
    odd = [Location(NAME, path) for path in ("", "..", "a/../b", "a\x00b", "\ud800", "x" * 300, *(f"a//{n}" for n in range(9)))]
    filled(sandbox).prove(odd)
    assert sent(sandbox) == []


@dataclass
class Other:
    """Another server in its place."""

    address: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def other(answers: Callable[[str], tuple[int, str]]) -> Iterator[Other]:
    seen = Other()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.asked.append(self.command)
            status, location = answers(self.path)
            self.send_response(status)
            for name, value in (("Content-Type", "text/html"), ("Content-Length", "0"), ("Location", location)):
                self.send_header(name, value)
            self.end_headers()

        do_HEAD = do_GET = do_POST = answer  # noqa: N815 -- the names that http.server looks for

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        seen.address = f"http://127.0.0.1:{server.server_port}"
        yield seen
        server.shutdown()


def test_a_server_that_has_everything_has_shown_nothing() -> None:
    with other(lambda _: (200, "")) as page:
        found = FileServer(page.address, [], lambda: "token")
        with pytest.raises(SettingsError, match="does not answer like ClearML's fileserver"):
            found.prove(places(1))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_no_file_and_where_it_leads_is_told(status: int) -> None:
    with other(lambda _: (404, "")) as beyond:
        with other(lambda path: (status, f"{beyond.address.replace('//', '//user:secret@')}{path}?token=secret")) as page:
            found = FileServer(page.address, [], lambda: "token")
            with pytest.raises(SettingsError, match="has none of 5 files"):
                found.prove(places(5))
            with pytest.raises(SettingsError, match="CLEARML_FILES_HOST") as told:
                found.prepare()
        assert beyond.asked == []
    assert f"it redirects to {beyond.address}, and" in str(told.value)
    assert "secret" not in str(told.value)


def test_a_fileserver_that_refuses_the_token_is_told_as_such() -> None:
    with other(lambda _: (401, "")) as page, pytest.raises(SettingsError, match="refused the API server's token"):
        FileServer(page.address, [], lambda: "token").prove(places(1))
