"""Rules of the real server that the recordings of the required groups do not pin down for other ids and other settings."""

from typing import Any

import requests

from clearml_sandbox.server import Sandbox

OLD = "2026-01-01T00:00:00+00:00"


def ask(sandbox: Sandbox, name: str, **body: Any) -> Any:
    answer = requests.post(f"{sandbox.api_url}/{name}", json=body, auth=(sandbox.key, sandbox.secret), timeout=10)
    answer.raise_for_status()
    return answer.json()["data"]


def task(key: str, **more: Any) -> dict[str, Any]:
    times = dict.fromkeys(("created", "last_update", "last_change"), OLD)
    blank = {
        "company": "c0",
        "user": "me",
        "type": "training",
        "status": "completed",
        "tags": [],
        "system_tags": [],
        "execution": {},
    }
    return {"id": key, "name": key, **times, **blank, **more}


def test_a_public_task_names_the_company_of_this_world(sandbox: Sandbox) -> None:
    sandbox.load({"company": {"id": "c0", "name": "ours"}, "tasks": [task("a", company="")]})
    assert ask(sandbox, "tasks.get_all", only_fields=["company_origin"])["tasks"] == [{"company_origin": "c0"}]


def test_editing_tags_leaves_last_update_and_any_other_edit_sets_it(sandbox: Sandbox) -> None:
    sandbox.load({"tasks": [task("a"), task("b")]})
    ask(sandbox, "tasks.edit", task="a", tags=["x"], force=True)
    ask(sandbox, "tasks.edit", task="b", comment="x", force=True)
    assert sandbox.store.tasks["a"]["last_update"] == OLD
    assert sandbox.store.tasks["a"]["last_change"] != OLD
    assert sandbox.store.tasks["b"]["last_update"] != OLD


def test_archiving_a_running_task_stops_it_without_completing_it(sandbox: Sandbox) -> None:
    sandbox.load({"tasks": [task("a", status="in_progress")]})
    ask(sandbox, "tasks.archive_many", ids=["a"])
    assert sandbox.store.tasks["a"]["status"] == "stopped"
    assert "completed" not in sandbox.store.tasks["a"]


def test_a_metric_has_the_extremes_of_all_that_was_reported(sandbox: Sandbox) -> None:
    sandbox.load({"tasks": [task("a", status="in_progress")]})
    event = {"type": "training_stats_scalar", "task": "a", "metric": "m", "variant": "v"}
    for iteration, value in enumerate([2.0, 5.0, -1.0, 3.0]):
        ask(sandbox, "events.add", **event, iter=iteration, value=value)
    ((summary,),) = [list(variants.values()) for variants in sandbox.store.tasks["a"]["last_metrics"].values()]
    found = {name: summary[f"{name}_value"] for name in ("min", "max", "first")}
    assert found == {"min": -1.0, "max": 5.0, "first": 2.0}
    assert (summary["min_value_iteration"], summary["max_value_iteration"], summary["value"]) == (2, 1, 3.0)


def test_of_a_metric_numbers_come_before_texts_and_what_is_none_before_both(sandbox: Sandbox) -> None:
    """As MongoDB compares; a task without it comes last either way."""
    path = f"last_metrics.{'a' * 32}.{'b' * 32}.value"
    values = {"n": 1, "t": "0.5", "x": float("nan"), "m": -2.5, "none": ...}
    sandbox.load(
        {
            "tasks": [
                task(key, last_metrics={"a" * 32: {"b" * 32: {"value": value}}} if value is not ... else {})
                for key, value in values.items()
            ]
        }
    )
    for order, keys in ((path, "xmnt"), (f"-{path}", "tnmx")):
        found = ask(sandbox, "tasks.get_all", order_by=[order, "id"], only_fields=["id"])["tasks"]
        assert [one["id"] for one in found] == [*keys, "none"]


def test_without_batches_the_fileserver_has_no_delete_many() -> None:
    with Sandbox({"files": [{"path": "a/b", "size": 1}]}, allow_batch=False) as sandbox:
        head = {"Authorization": f"Bearer {ask(sandbox, 'auth.login')['token']}"}
        answer = requests.post(f"{sandbox.files_url}/delete_many", json={"files": ["a"]}, headers=head, timeout=10)
        assert answer.status_code == 405
        assert sandbox.state()["files"] == ["a/b"]
