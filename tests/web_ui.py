"""The Web UI's side of a task: what people do there, by the calls that the Web UI makes."""

from typing import Any

import requests

from clearml_sandbox.server import Sandbox


class WebUI:
    """Somebody who is logged in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._api = sandbox.api_url
        answer = requests.post(f"{self._api}/auth.login", auth=(sandbox.key, sandbox.secret), timeout=30)
        self._token = answer.json()["data"]["token"]

    def call(self, name: str, /, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = requests.post(f"{self._api}/v2.31/{name}", json=body, headers=headers, timeout=30).json()
        assert answer["meta"]["result_code"] == 200, answer["meta"]
        return answer["data"]

    def tasks(self, **filters: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("tasks.get_all", order_by=["created"], search_hidden=True, **filters)["tasks"]
        return found

    def draft(self) -> dict[str, Any]:
        """The one draft named Cleanup Service that is no clone."""
        (found,) = [t for t in self.tasks(name="^Cleanup Service$", status=["created"]) if not t.get("parent")]
        return found

    def runs(self) -> list[dict[str, Any]]:
        """Everything that came from the draft, the oldest first."""
        return [t for t in self.tasks(name="^Cleanup Service") if t.get("parent")]

    def values(self, task: str = "", section: str = "General") -> dict[str, str]:
        """What stands under CONFIGURATION, of the draft unless another task is named."""
        document = self.call("tasks.get_by_id", task=task)["task"] if task else self.draft()
        return {name: entry["value"] for name, entry in (document["hyperparams"].get(section) or {}).items()}

    def edit(self, name: str, value: str, section: str = "General", task: str = "") -> None:
        """Change a value under CONFIGURATION."""
        entries = [{"section": section, "name": name, "value": value}]
        self.call("tasks.edit_hyper_params", task=task or self.draft()["id"], hyperparams=entries)

    def console(self, sandbox: Sandbox, task: str) -> str:
        return "".join(event["msg"] for event in sandbox.store.events[task] if event["type"] == "log")
