"""What a session takes from the environment, and when."""

from pathlib import Path

import pytest
import requests

from cleanup_job.transport.bounded_http import fix_environment
from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.harness import NOW, clean

HOST = "https://api.example:8008"


def sent_with(http: requests.Session) -> dict[str, object]:
    return dict(http.merge_environment_settings(f"{HOST}/tasks.get_all", {}, None, None, None))


@pytest.mark.parametrize("no_proxy", ["", "api.example", "*"])
def test_proxies_and_certificates_are_those_that_the_environment_had(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/own/authority.pem")
    http = requests.Session()
    before = sent_with(http)
    fix_environment(http, HOST)
    for name in ("https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name)
    assert sent_with(http) == before
    assert before["verify"] == "/own/authority.pem"
    assert ("https" in dict(before["proxies"])) is not bool(no_proxy)  # type: ignore[call-overload]  # a mapping of any kind


def test_a_login_in_netrc_does_not_replace_the_token(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("default login someone password else\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    world = World(NOW)
    task = world.task("old")
    task.artifact("data")
    sandbox.load(world.as_dict())
    assert clean(sandbox).watcher.deleted == {task.id}
