"""How long a real ClearML Server is at work on a request, for a server that takes as long.

The sandbox alone deletes a task in some 40 microseconds, in memory; a real server needs milliseconds, most of them in its
databases. Beside the bare sandbox all that a pass does around a deletion looks large.

Measured on ClearML Server 2.3.0 (API 2.34) with four API processes, 1,000 archived tasks of 9 files each, on a machine that was
busy: ratios are worth more than times. ``tasks.delete_many`` takes 9 ms a task with events and 3.4 ms without,
``events.get_task_metrics`` 1.5 ms a task and kind, ``events.debug_images`` and ``events.plots`` 5 to 7 ms a task,
``events.get_task_events`` 22 to 28 ms a call, the fileserver's ``/delete_many`` 0.2 to 0.4 ms a file, ``tasks.get_all`` 0.4 to
0.55 s a page of 500 out of 100,000. Not measured, and assumed: ``events.get_multi_task_plots`` takes as long as
``events.plots``, any other call about events 13 ms. The folders of each task take as long to delete, with few files, as those
of the tasks that were measured.

How the time of a page is divided is assumed too. It was the same at any depth, on a database without indexes: so most of it
went into looking at all records, which grows with their number, and the rest into the 500 records themselves. Here a page of a
listing takes 0.35 s for 100,000 records or more, less for fewer, and 0.2 ms for each record of the answer, together 0.45 s as
measured. More than 100,000 do not take longer here: a server that large without an index would not be usable at all. Records
that are asked for by id, or by the value of a field (``task``, ``parent``, ``models.input.model``), are found by an index, in
5 ms and 0.2 ms for each. If the scan were a smaller part, small servers would take longer for each page than assumed here.
"""

import re
from collections.abc import Callable

from clearml_sandbox.server import Request

DELETE_TASK = 0.0034
DELETE_TASK_WITH_EVENTS = 0.009
METRICS_OF_TASK = 0.0015
EVENTS_OF_TASK = 0.006
TASK_EVENTS_CALL = 0.025
EVENTS_CALL = 0.013
DELETE_FILE = 0.0003
FILES_OF_TASK = 9
SCAN, SCANNED = 0.35, 100_000
"""Seconds for looking at so many records, or more."""
RECORD = 0.0002
FOUND_BY_INDEX = 0.005
BY_INDEX = ("id", "task", "parent", "models.input.model")
"""Filters for which no other records are looked at."""
_TASK = re.compile(r"\.([0-9a-f]{32})")
"""The task in whose folder a path is: a folder may be asked for in parts, and by several spellings of its name."""
AT_ONCE = 4
"""Requests that it works on at the same time: a server with as many cores."""


def page_seconds(returned: int, records: int) -> float:
    """The time of a page of a listing.

    Args:
        returned: The records on it.
        records: All tasks, or all models, on the server.
    """
    return SCAN * min(1.0, records / SCANNED) + RECORD * returned


def look_up_seconds(returned: int) -> float:
    """The time of records that an index finds."""
    return FOUND_BY_INDEX + RECORD * returned


class Server:
    """Tells how long a server takes whose tasks have events, or have none."""

    def __init__(self, records: Callable[[str], int], *, events: bool) -> None:
        """With ``events`` each of its tasks has some; ``records`` tells how many ``tasks`` or ``models`` there are."""
        self._records = records
        self._delete_task = DELETE_TASK_WITH_EVENTS if events else DELETE_TASK

    def seconds(self, request: Request, answer: bytes) -> float:  # noqa: PLR0911 -- one for each kind of call
        """The time of one request."""
        call, body = request.call, request.body or {}
        if call == "tasks.delete_many":
            return self._delete_task * len(body["ids"])
        if call == "events.get_task_metrics":
            return METRICS_OF_TASK * len(body["tasks"])
        if call in {"events.debug_images", "events.plots"}:
            return EVENTS_OF_TASK * len(body["metrics"])
        if call == "events.get_multi_task_plots":
            return EVENTS_OF_TASK * len(body["tasks"])
        if call == "events.get_task_events":
            return TASK_EVENTS_CALL
        if call.startswith("events."):
            return EVENTS_CALL
        service, _, method = call.partition(".")
        if method.startswith("get_all"):
            returned = answer.count(b'{"id": ')
            by_index = any(body.get(name) for name in BY_INDEX)
            return look_up_seconds(returned) if by_index else page_seconds(returned, self._records(service))
        if call == "/delete_many":
            return DELETE_FILE * FILES_OF_TASK * len(set(_TASK.findall(" ".join(body.get("files") or ()))))
        return 0.0
