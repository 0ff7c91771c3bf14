"""The endless server answers as the sandbox does, to whatever a pass asks."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
import requests

from cleanup_job.clearml_api import documents
from clearml_sandbox.server import Sandbox

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import endless
import endless_server
import made_up

NOW = datetime(2026, 11, 26, 12, 0, 0, 123000, tzinfo=UTC)
CLAIMS = ["id", "last_update", "execution.artifacts", "models.output", "output.destination", "report", "report_assets"]
PAGE = {"page": 0, "page_size": 5}
BY_TIME = {"order_by": ["last_update"], **PAGE}
NEWEST = {"order_by": ["-last_update", "id"], **PAGE}
GONE = "0" * 32


class Pair:
    """The same world on both servers."""

    def __init__(self, numbers: made_up.Numbers) -> None:
        self.numbers = numbers
        self.endless = endless_server.EndlessServer(numbers)
        of = self.endless.answers.documents
        both = [of.whole(n) for n in range(numbers.tasks)]
        uris = [uri for task, model in both for uri in (model["uri"], *(a["uri"] for a in task["execution"]["artifacts"]))]
        files = [{"path": unquote(uri.removeprefix(f"{of.files}/")), "size": 5} for uri in uris]
        world = {**of.built.as_dict(), "tasks": [t for t, _ in both], "models": [m for _, m in both], "files": files}
        self.sandbox = Sandbox(world, files_url=of.files)
        self.http = requests.Session()

    def asked(self, call: str, body: dict[str, Any]) -> Any:
        """The data of the answer that both give."""
        answers = [self._post(f"{server.api_url}/{call}", body) for server in (self.endless, self.sandbox)]
        assert answers[0] == answers[1]
        return answers[0]

    def files(self, paths: list[str]) -> Any:
        """What both fileservers answer to a deletion."""
        ports = [server._files.port for server in (self.endless, self.sandbox)]
        answers = [self._post(f"http://127.0.0.1:{port}/delete_many", {"files": paths}) for port in ports]
        assert answers[0] == answers[1]
        return answers[0]

    def _post(self, url: str, body: dict[str, Any]) -> Any:
        if not self.http.headers.get("Authorization"):
            login = requests.post(f"{self.sandbox.api_url}/auth.login", auth=("sandbox-key", "sandbox-secret"), timeout=60)
            self.http.headers["Authorization"] = f"Bearer {login.json()['data']['token']}"
        answer = self.http.post(url, json=body, timeout=60)
        found = answer.json()
        if not answer.ok:
            return answer.status_code, found["meta"]["result_subcode"], found["meta"]["result_msg"]
        return found.get("data", found)


@pytest.fixture(params=["living", "kept"])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(made_up, "AHEAD", 10)
    pair = Pair(made_up.Numbers(40, every=3, rest=request.param, users=12, now=NOW))
    with pair.endless, pair.sandbox:
        yield pair


def ids(pair: Pair) -> list[str]:
    return [made_up.id_of(n) for n in range(pair.numbers.tasks)]


def test_documents_are_the_same(pair: Pair) -> None:
    fields = {"only_fields": documents.TASK_FIELDS}
    for body in ({"only_fields": CLAIMS}, fields, {"only_fields": [*documents.TASK_FIELDS, *documents.DETAIL_FIELDS]}):
        assert len(pair.asked("tasks.get_all", {**body, **BY_TIME, "search_hidden": True})["tasks"]) == 5
    assert pair.asked("models.get_all", {"only_fields": documents.MODEL_FIELDS, **BY_TIME})["models"]
    assert pair.asked("tasks.get_by_id", {"task": ids(pair)[7]})["task"]["name"] == "exp 7"
    pair.asked("tasks.get_by_id", {"task": GONE})


def test_a_listing_by_time(pair: Pair) -> None:
    edge, last = (pair.numbers.time(n) for n in (11, 30))
    earlier = edge - timedelta(microseconds=1)
    for order in (BY_TIME, NEWEST):
        for page in (0, 1, 3, 7, 8):
            for filters in ({}, {"system_tags": ["archived"]}):
                body = {"only_fields": ["id", "last_update"], **order, **filters, "page": page}
                pair.asked("tasks.get_all", body)
                for bounds in (
                    [f">={edge.isoformat()}"],
                    [f"<={edge.isoformat()}"],
                    [f"<={earlier.isoformat()}"],
                    [f">={edge.isoformat()}", f"<{last.isoformat()}"],
                    [f">={edge.isoformat()}", f"<={last.isoformat()}"],
                    [f">={(pair.numbers.now + timedelta(1)).isoformat()}"],
                ):
                    pair.asked("tasks.get_all", {**body, "last_update": bounds})
                    if not filters:
                        pair.asked("models.get_all", {**body, "last_update": bounds})


def test_a_listing_has_all(pair: Pair) -> None:
    found = pair.asked("tasks.get_all", {"only_fields": ["id"], **NEWEST, "page_size": 500})["tasks"]
    assert [one["id"] for one in found] == ids(pair)[::-1]


def test_other_filters(pair: Pair) -> None:
    shown = {"only_fields": ["id", "last_update"], "search_hidden": True}
    some = [*ids(pair)[5:9], GONE, "x"]
    models = [made_up.model_id(n) for n in range(3, 6)]
    pair.asked("tasks.get_all", {"id": some, **shown, "page": 0, "page_size": 500})
    pair.asked("models.get_all", {"id": [*models, some[0]], "only_fields": ["id"], "page": 0, "page_size": 500})
    pair.asked("models.get_all", {"id": [*models, some[0]], "only_fields": ["id"], "order_by": ["id"]})
    used = {"models.input.model": [made_up.model_id(n) for n in (3, 10, 22)]}
    assert len(pair.asked("tasks.get_all", {**used, **shown, **BY_TIME})["tasks"]) == 2
    pair.asked("models.get_all", {"task": some, "only_fields": ["id", "task"], **BY_TIME})
    bound = {"last_update": [f">={pair.numbers.time(6).isoformat()}"]}
    assert len(pair.asked("models.get_all", {"task": some, "only_fields": ["id"], **bound, **BY_TIME})["models"]) == 3
    for filters in (
        {"parent": some},
        {"models.input.model": models},
        {"runtime.datasets": some[0]},
        {"status": ["published"]},
        {"status": ["completed"]},
        {"type": ["report"]},
        {"system_tags": ["pipeline"]},
    ):
        pair.asked("tasks.get_all", {**filters, **shown, **BY_TIME})


def test_events_there_are_none(pair: Pair) -> None:
    some = ids(pair)[:3]
    pair.asked("events.get_task_metrics", {"tasks": some, "event_type": "plot"})
    pair.asked("events.get_task_metrics", {"tasks": [*some, GONE], "event_type": "plot"})
    pair.asked("events.get_multi_task_metrics", {"tasks": [made_up.model_id(1)], "model_events": True})


def test_what_is_deleted_is_gone(pair: Pair) -> None:
    of = pair.endless.answers.documents
    folders = [quote(of.folder(n)) for n in (3, 6, 9)]
    pair.files(
        [f"{folders[0]}/artifacts", f"{folders[0]}/models", f"{folders[0]}/metrics", folders[1], folders[1], "bench/p0"[:-1]]
    )
    options = {"delete_output_models": True, "delete_external_artifacts": False}
    some = [ids(pair)[n] for n in (3, 39, 1, 6)]
    answer = pair.asked("tasks.delete_many", {"ids": [*some, some[0], GONE], "force": False, **options})
    assert [one["id"] for one in answer["succeeded"]] == [
        key for key in some if key != ids(pair)[1] or pair.numbers.rest == "kept"
    ]
    for order in (BY_TIME, NEWEST):
        for filters in ({}, {"system_tags": ["archived"]}):
            pair.asked("tasks.get_all", {"only_fields": ["id"], **order, **filters})
    pair.asked("models.get_all", {"task": some, "only_fields": ["id", "task"], **BY_TIME})
    left = len([n for n in range(0, 40, 3) if n not in {3, 6, 39}])
    assert pair.endless.answers.left() == {"tasks": left, "models": left, "files": left + 1}


def test_files_are_there_until_they_are_deleted(pair: Pair) -> None:
    of = pair.endless.answers.documents
    name = f"{of.folder(3)}/artifacts/a0/a0.bin"
    assert pair.endless.answers.has_file(name)
    assert not pair.endless.answers.has_file(name.replace("a0.bin", "a9.bin"))
    pair.files([f"{quote(of.folder(3))}/artifacts"])
    assert not pair.endless.answers.has_file(name)
    assert pair.endless.answers.has_file(f"{of.folder(3)}/models/weights.pt")


def test_what_it_does_not_know_it_refuses() -> None:
    answers = endless.Answers(made_up.Numbers(3), "http://files")
    for call, body in (
        ("tasks.get_all", {"name": "x", **BY_TIME}),
        ("tasks.get_all", {"order_by": ["created"]}),
        ("tasks.get_all", {"last_update": ["yesterday"]}),
        ("models.get_all", {"uri": ["x"]}),
        ("tasks.delete_many", {"ids": ["x"], "delete_output_models": False}),
        ("events.debug_images", {}),
    ):
        with pytest.raises(endless.ApiError, match="does not know"):
            answers.of_call(call, body)


def test_claims_are_noted_once() -> None:
    answers = endless.Answers(made_up.Numbers(20), "http://files")
    body = {"only_fields": CLAIMS, **BY_TIME}
    of = [answers.of_call("tasks.get_all", {**body, "page": page}) for page in (0, 1, 0)]
    of.append(answers.of_call("models.get_all", {"only_fields": ["id"], **BY_TIME}))
    answers.begin()
    of.append(answers.of_call("tasks.get_all", body))
    assert [one and one.about for one in of] == ["claims", "claims", "", "claims", "claims"]


def test_ids_lead_back() -> None:
    for number in (0, 1, 9_999_999):
        assert made_up.number_of(made_up.id_of(number)) == number
        assert made_up.number_of(made_up.model_id(number), of_model=True) == number
    assert made_up.number_of("no id") == -1
