"""Projects that a pass emptied."""

from collections.abc import Iterable

from cleanup_job.passes.ports import Server
from cleanup_job.planning.plan import Gone
from cleanup_job.planning.records import Project


def emptied(server: Server, touched: Iterable[str], gone: Gone) -> list[Project]:
    """The projects to delete, sub-projects before those that they are in.

    These are the touched ones in which nothing is left but what is ``gone`` (in a dry run: would be), and hidden sub-projects
    of theirs that are empty. Read when all else is done; the server refuses to delete what somebody used since.

    Args:
        server: Where they are.
        touched: The ids of projects of which this pass deleted a task.
        gone: What it deleted.
    """
    by_name = {project.name: project for project in server.project_tree()}
    ours = {project.name for project in by_name.values() if project.id in set(touched) and not project.public}
    below = {name for name in by_name if any(name.startswith(top + "/") for top in ours)}
    known = {by_name[name].id: name for name in ours | below}
    full = {known[project] for project, there in server.left_in(known) if not gone.takes(there)}
    # From the leaves up: a project with anything in it keeps those that it is in.
    going: set[str] = set()
    for name in sorted(known.values(), key=lambda name: (-name.count("/"), name)):
        inside = [other for other in known.values() if other.startswith(name + "/")]
        if name not in full and going.issuperset(inside) and (name in ours or by_name[name].hidden):
            going.add(name)
    # A hidden one goes with the project that this pass emptied, not by itself.
    wanted = [name for name in going if name in ours or any(name.startswith(top + "/") for top in going & ours)]
    return [by_name[name] for name in sorted(wanted, key=lambda name: (-name.count("/"), name))]
