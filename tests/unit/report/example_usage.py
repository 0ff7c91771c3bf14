"""A small report of what takes the space."""

from datetime import UTC, datetime, timedelta

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.usage import Kind, Owner, Space, Usage
from cleanup_job.report.usage_document import UsageReport

MOMENT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def owner(number: int, name: str, project: str = "p1", *, user: str = "u1", archived: bool = True, days: float = 60) -> Owner:
    active = MOMENT - timedelta(days=days)
    due = (None, active + timedelta(days=30)) if archived else (None, None)
    return Owner(TaskId(f"{number:032x}"), name, project, user, "completed", archived, active, due)


def report(name: str = "train", *, web: str = "https://web.example", listed: bool = True) -> UsageReport:
    """Four tasks in three projects, an orphan and a file beside; ``name`` is that of everything."""
    usage = Usage(MOMENT)
    tasks = [owner(1, name), owner(2, name, "p2", archived=False), owner(3, name, "p3", user="u2"), owner(4, "draft", days=3)]
    for task in tasks:
        usage.add_task(task)
    usage.add(tasks[0], Kind.ARTIFACTS, Space(files=2, bytes=6 * 2**30))
    usage.add(tasks[0], Kind.MODELS, Space(files=1, unsized=1))
    usage.add(tasks[1], Kind.METRICS, Space(files=90, bytes=2**30))
    usage.add(tasks[2], Kind.ARTIFACTS, Space(files=1, bytes=2**29))
    usage.add(None, Kind.ORPHANS, Space(files=7, bytes=2**20))
    usage.add(None, Kind.OTHER, Space(files=1, bytes=3))
    if listed:
        usage.stores[f"file:///{name}"] = Space(files=101, bytes=7 * 2**30)
    usage.elsewhere = 3
    projects = {"p1": f"{name}/a", "p2": f"{name}/a/.datasets/{name}", "p3": f"{name}/b"}
    made = UsageReport("1.0", "api.example", MOMENT, force_delete=False, threshold_days=30.0, web=web, usage=usage)
    made.projects, made.users, made.finished = projects, {"u1": name}, MOMENT + timedelta(seconds=4)
    made.warnings.append(name)
    return made
