"""Users, queues and the little that a client asks of a server before it works."""

from cleanup_job.sandbox.answer import ApiError, Call, endpoint
from cleanup_job.sandbox.query import QUEUE, query
from cleanup_job.sandbox.store import Document, Store


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
    users = sorted(call.store.users.values(), key=lambda user: user["id"])
    return {"users": [{"id": user["id"], "name": user.get("name")} for user in users]}


@endpoint("organization.get_tags")
def _tags(call: Call) -> Document:
    documents = [*call.store.tasks.values(), *call.store.models.values()]
    found = {name: sorted({tag for d in documents for tag in d.get(name) or ()}) for name in ("tags", "system_tags")}
    return found if call.flag("include_system") else {"tags": found["tags"]}


def queue(store: Store, key: str) -> Document:
    """A queue by its id."""
    if key not in store.queues:
        raise ApiError(400, 701, f"Invalid queue id: id={key}, company={store.company['id']}")
    return store.queues[key]


@endpoint("queues.get_by_id", (2, 4))
def _get_queue(call: Call) -> Document:
    return {"queue": queue(call.store, call.text("queue"))}


@endpoint("queues.get_next_task")
def _next_task(call: Call) -> Document:
    entries = queue(call.store, call.text("queue"))["entries"]
    return {"entry": entries.pop(0)} if entries else {}


@endpoint("queues.get_all", (2, 4))
def _queues(call: Call) -> Document:
    return query(call, call.store.queues, QUEUE)


@endpoint("server.info")
def _info(_: Call) -> Document:
    return {"version": "2.3.0", "build": "sandbox", "commit": "sandbox", "uid": "sandbox"}
