"""Users, tags and the little that a client asks of a server before it works."""

from clearml_sandbox.api.answer import ApiError, Call, endpoint
from clearml_sandbox.store import Document


@endpoint("users.get_current_user")
def _current_user(call: Call) -> Document:
    user = {
        **call.store.user,
        "company": call.store.company,
        "created": "2026-11-22T21:27:48.124000+00:00",
        "role": "user",
    }
    started = {"agentName": "clearml", "configure": "clearml-init", "install": "pip install clearml", "packageName": "clearml"}
    return {"user": user, "getting_started": started, "settings": {"max_download_items": 50000}}


@endpoint("users.get_all", (2, 8))
@endpoint("users.get_all_ex", (2, 8))
def _users(call: Call) -> Document:
    wanted = call.body.get("id")
    users = sorted((u for u in call.store.users.values() if not wanted or u["id"] in wanted), key=lambda user: user["id"])
    return {"users": [{"id": user["id"], "name": user.get("name")} for user in users]}


@endpoint("projects.get_task_tags", (2, 8))
@endpoint("organization.get_tags")
def _tags(call: Call) -> Document:
    documents = [*call.store.tasks.values(), *call.store.models.values()]
    found = {name: sorted({tag for d in documents for tag in d.get(name) or ()}) for name in ("tags", "system_tags")}
    return found if call.flag("include_system") else {"tags": found["tags"]}


@endpoint("tasks.get_types")
def _types(call: Call) -> Document:
    wanted = call.body.get("projects")
    return {
        "types": list(dict.fromkeys(t["type"] for t in call.store.tasks.values() if not wanted or t.get("project") in wanted))
    }


@endpoint("server.info")
def _info(_: Call) -> Document:
    return {"version": "2.3.0", "build": "sandbox", "commit": "sandbox", "uid": "sandbox"}


@endpoint("server.config")
def _config(_: Call) -> Document:
    raise ApiError(403, 20, "Forbidden (not allowed for role): role=user, allowed=(root, system)")


@endpoint("debug.ping")
def _ping(_: Call) -> Document:
    return {"msg": "ClearML server"}
