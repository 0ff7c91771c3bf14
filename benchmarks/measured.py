"""How long a real ClearML Server is at work on a request, for a sandbox that takes as long.

The sandbox alone deletes a task in some 40 microseconds, in memory; a real server needs milliseconds, most of them in its
databases. Beside the bare sandbox all that a pass does around a deletion looks large: docs/performance.md has both tables.

Measured on ClearML Server 2.3.0, one request at a time: 250 tasks with 9 files each in one ``tasks.delete_many`` without
external files 0.85 s; ``events.debug_images`` and ``events.plots`` of 100 tasks 0.5 s each; a look-up of the events of one task
13 ms; 2,250 files in one ``/delete_many`` 0.12 s. Not measured, and assumed: 0.1 ms for each record of a listing, 13 ms for any
other call about events.
"""

from cleanup_job.sandbox.server import Request

DELETE_TASK = 0.85 / 250
EVENTS_OF_TASK = 0.5 / 100
EVENTS_CALL = 0.013
DELETE_FILE = 0.12 / 2_250
LIST_RECORD = 0.0001
FILES_OF_TASK = 9
AT_ONCE = 4
"""Requests that it works on at the same time: a server with as many cores."""


def seconds(request: Request, answer: bytes) -> float:
    """The time of one request."""
    call, body = request.call, request.body or {}
    if call == "tasks.delete_many":
        return DELETE_TASK * len(body["ids"])
    if call in {"events.debug_images", "events.plots"}:
        return EVENTS_OF_TASK * len(body["metrics"])
    if call.startswith("events."):
        return EVENTS_CALL
    if call.endswith(".get_all"):
        return LIST_RECORD * answer.count(b'{"id": ')
    if call == "/delete_many":
        return DELETE_FILE * FILES_OF_TASK * len(body.get("files") or ())
    return 0.0
