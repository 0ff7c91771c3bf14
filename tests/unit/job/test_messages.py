"""Of which runs a message is sent, and that nothing of it holds up or fails a run."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.exit_codes import ExitCode
from cleanup_job.exporters import messages as exporter
from cleanup_job.job import messages
from cleanup_job.report.message import Message, of_report
from cleanup_job.settings.model import Settings
from cleanup_job.settings.sources import load
from tests.unit.exporters.receiver import Receiver, receiver
from tests.unit.report.example_report import report

ENOUGH = {"CLEARML_API_HOST": "http://api", "CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}
UNKNOWN = "slak://TokenA/TokenB"


@pytest.fixture
def server(no_proxy: None) -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def hook(server: Receiver) -> str:
    return f"json://user:secret-word@127.0.0.1:{server.port}/t0ken"


def settings(**environ: str) -> Settings:
    return load({}, ENOUGH | environ)[0]


def sent(given: Settings, code: int = 3, **more: Any) -> list[str]:
    """The warnings of sending."""
    warnings: list[str] = []
    messages.begin(given, code, more.pop("message", partial(of_report, report())), warnings.append, **more)()
    return warnings


def bodies(server: Receiver) -> list[dict[str, str]]:
    return [json.loads(got.body) for got in server.got]


# -- when
@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("failure", {"failed", "in part"}),
        ("notices", {"noticed"}),
        ("failure,notices", {"failed", "in part", "noticed"}),
        ("always", {"done", "failed", "in part", "stopped", "noticed"}),
    ],
)
def test_which_runs_are_told_of(when: str, told: set[str]) -> None:
    given = settings(CLEANUP_NOTIFY="json://host", CLEANUP_NOTIFY_WHEN=when)
    runs = {
        "done": (ExitCode.DONE, False),
        "failed": (ExitCode.UNREACHABLE, False),
        "in part": (ExitCode.IN_PART, False),
        "stopped": (ExitCode.SIGTERM, False),
        "noticed": (ExitCode.DONE, True),
    }
    assert {name for name, (code, noticed) in runs.items() if messages.is_wanted(given, code, noticed=noticed)} == told


def test_without_a_url_no_message_is_made() -> None:
    def made(_: str) -> Message:
        raise AssertionError

    assert sent(settings(CLEANUP_NOTIFY_WHEN="always"), message=made) == []


def test_by_default_failures_and_notices_are_told_of() -> None:
    given = settings(CLEANUP_NOTIFY="json://host")
    assert given.notify.notify_when == ("failure", "notices")


# -- sending
def test_all_urls_get_it_and_it_names_its_release(server: Receiver) -> None:
    given = settings(CLEANUP_NOTIFY=f"{hook(server)}\n{hook(server)}", CLEANUP_RELEASE="nightly", CLEANUP_LEASE_NAMESPACE="ml")
    assert sent(given) == []
    first, second = bodies(server)
    assert first["message"] == second["message"]
    assert "release: nightly in namespace ml" in first["message"]


def test_what_fails_is_a_warning_without_a_secret_and_the_others_are_sent(server: Receiver) -> None:
    server.answers = [(500, {}, b"no")]
    (warning,) = sent(settings(CLEANUP_NOTIFY=hook(server)))
    assert warning.startswith("CLEANUP_NOTIFY, URL 1 (json://…): the message was not taken: ")
    assert warning.endswith(". The run is not affected otherwise.")
    assert "secret-word" not in warning
    (warning,) = sent(settings(CLEANUP_NOTIFY=f"json://127.0.0.1:1 {hook(server)}"))
    assert "URL 1" in warning
    assert len(server.got) == 2


def test_even_a_bug_is_only_a_warning(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError(hook(server))

    given = settings(CLEANUP_NOTIFY=hook(server))
    (warning,) = sent(given, message=broken)
    assert warning.startswith("CLEANUP_NOTIFY: no message was made: ZeroDivisionError")
    monkeypatch.setattr(exporter, "send", broken)
    assert sent(given) == ["CLEANUP_NOTIFY, URL 1 (json://…): ZeroDivisionError. The run is not affected otherwise."]


def test_a_server_that_does_not_answer_is_not_waited_for(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hold = threading.Event()
    monkeypatch.setattr(messages, "LONGEST", 0.2)
    given = settings(CLEANUP_NOTIFY=" ".join([hook(server)] * 3))
    warnings = sent(given)
    assert ["was not taken within 0.2 seconds" in warning for warning in warnings] == [True] * 3
    left = [thread for thread in threading.enumerate() if thread.name == "CLEANUP_NOTIFY"]
    assert [thread.daemon for thread in left] == [True] * 3, "the process ends without them"
    assert not server.hold.is_set()


def test_a_pod_has_the_time_that_sending_takes() -> None:
    assert messages.LONGEST < 30, "Kubernetes' own default for terminationGracePeriodSeconds"


# -- before a run
def test_a_url_that_apprise_does_not_know_is_a_wrong_setting(server: Receiver) -> None:
    given = settings(CLEANUP_NOTIFY=f"{UNKNOWN} {hook(server)} https://example.com/s3cret")
    with pytest.raises(SettingsError) as caught:
        messages.check(given)
    first, third = str(caught.value).splitlines()
    assert first.startswith("CLEANUP_NOTIFY, URL 1 (slak://…): apprise knows no such service")
    assert third.startswith("CLEANUP_NOTIFY, URL 3 (https://…): apprise knows no such service; a webhook is json://host")
    assert "appriseit.com" in first
    assert not [part for part in ("TokenA", "s3cret", "secret-word") if part in str(caught.value)]
    messages.check(settings(CLEANUP_NOTIFY=hook(server)))
    messages.check(settings())


def test_the_extra_is_named_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, server: Receiver) -> None:
    given = settings(CLEANUP_NOTIFY=hook(server))
    monkeypatch.setattr(messages, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"CLEANUP_NOTIFY needs .*clearml-cleanup\[notify\]"):
        messages.check(given)
    assert sent(given) == []
    messages.check(settings())


def test_apprise_is_imported_only_if_it_is_used() -> None:
    code = "import sys, cleanup_job.job.pass_job as j; j.pod; print({'apprise', 'markdown'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# -- a run that did not begin
def failed(environ: dict[str, str], **more: Any) -> list[str]:
    warnings: list[str] = []
    messages.send_failure("CLEANUP_WORKERS=none: use a whole number.", 2, warnings.append, environ=environ, **more)
    return warnings


def test_wrong_settings_are_told_to_whom_the_others_say(server: Receiver) -> None:
    wrong = {"CLEANUP_WORKERS": "none", "CLEANUP_NO_SUCH": "1", "CLEARML_API_HOST": "https://api.example.com"}
    assert failed({**wrong, "CLEANUP_NOTIFY": hook(server), "CLEANUP_RELEASE": "nightly"}) == []
    assert failed({**wrong, "CLEANUP_NOTIFY": hook(server)}, flags={"notify_when": "always", "workers": "0"}, sweep=True) == []
    assert failed({**wrong, "CLEANUP_NOTIFY": hook(server), "CLEANUP_NOTIFY_WHEN": "notices"}) == []
    first, second = bodies(server)
    assert first["title"] == "ClearML Cleanup on api.example.com: wrong settings or credentials, or refused"
    assert "No pass ran" in first["message"]
    assert "nightly" in first["message"]
    assert "use a whole number" in first["message"]
    assert "No sweep ran" in second["message"]


def test_a_wrong_url_is_no_second_failure(server: Receiver) -> None:
    assert failed({"CLEANUP_NOTIFY": "ops@example.com"}) == []
    assert failed({}) == []
    (warning,) = failed({"CLEANUP_NOTIFY": f"{UNKNOWN} {hook(server)}"})
    assert "URL 1 (slak://…)" in warning
    assert len(server.got) == 1, "the others are told"
