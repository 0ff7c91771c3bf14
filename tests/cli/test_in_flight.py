"""The limit on requests as a pass has it: what the setting says, for each of the two servers, and a line when it falls."""

import json
from threading import Barrier

import pytest

from cleanup_job import wiring
from cleanup_job.cli.main import main
from clearml_sandbox.server import Fault, Request, Sandbox

WORKERS = 4


def test_a_server_that_slows_down_is_told_of_once_beside_the_tries(filled: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    together = Barrier(WORKERS)
    refused: list[Request] = []

    def overload(request: Request) -> Fault | None:
        if request.call != "/delete_many" or not request.body["files"] or len(refused) >= WORKERS:
            return None
        refused.append(request)
        together.wait(30)
        return Fault(status=503)

    filled.fault = overload
    assert main(["run", "--force-delete", "--batch-size", "1", "--workers", str(WORKERS), "--log-format", "json"]) == 0
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = [line["message"] for line in log if line["event"] == "warning"]
    slow = [text for text in said if "can't keep up" in text]
    assert slow == [
        "ClearML's fileserver can't keep up (POST /delete_many: HTTP 503): at most 2 requests at a time until it recovers"
    ]
    assert sum(text.startswith("trying again: fileserver: HTTP 503") for text in said) == WORKERS
    assert log[-1]["deleted"] == WORKERS


@pytest.mark.usefixtures("filled")
def test_each_server_has_a_limit_of_its_own_shared_by_all_who_ask_it() -> None:
    settings, _ = wiring.read_settings({"max_requests_in_flight": 3})
    connection = wiring.log_in(settings, print)
    assert connection.api is not connection.files
    assert connection.transport._access.in_flight is connection.api
    assert (connection.api.limit, connection.files.limit) == (3, 3)
    of_a_task, _ = wiring.read_settings({"max_requests_in_flight": 2})  # a draft in ClearML, read with that login
    parts = wiring.connect(of_a_task, connection, lambda: None)
    assert (connection.api.limit, connection.files.limit) == (2, 2)
    fileserver = parts.stores.stores[0]
    uploads = wiring.uploads(settings, connection)
    assert fileserver._client._in_flight is uploads._client._in_flight is connection.files


@pytest.mark.parametrize("value", ["0", "65", "1.5", "none"])
def test_a_limit_that_is_none_is_refused(filled: Sandbox, value: str) -> None:
    assert main(["run", "--max-requests-in-flight", value]) == 2
    assert not filled.requests
