"""Projects that a pass emptied."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cleanup_job.errors import AnswerError
from cleanup_job.passes.ports import Audit, Server
from cleanup_job.planning.deleted_so_far import DeletedSoFar
from cleanup_job.planning.records import Project


def emptied(server: Server, touched: Collection[str], deleted: DeletedSoFar) -> list[Project]:
    """The projects to delete, sub-projects before those that they are in.

    These are the touched ones in which nothing is left but what was deleted (in a dry run: would be), and hidden sub-projects
    of theirs that are empty. Read when all else is done; the server refuses to delete one that was used since.

    Args:
        server: Where they are.
        touched: The ids of projects of which this pass deleted a task.
        deleted: What it deleted.
    """
    by_name = {project.name: project for project in server.project_tree()}
    ours = {project.name for project in by_name.values() if project.id in touched and not project.public}
    with_sub_projects = {name: project for name, project in by_name.items() if name in ours or _is_below(name, ours)}
    full = _full(server, with_sub_projects.values(), deleted)
    empty = _empty_from_the_leaves_up(with_sub_projects, full, ours)
    # A hidden one is deleted with the project that this pass emptied, not by itself.
    return [by_name[name] for name in _leaves_first(empty) if name in ours or _is_below(name, empty & ours)]


def _full(server: Server, projects: Iterable[Project], deleted: DeletedSoFar) -> set[str]:
    """The names of those in which a task or model is left."""
    name_of = {project.id: project.name for project in projects}
    return {name_of[project] for project, found in server.left_in(name_of) if not deleted.includes(found)}


def _empty_from_the_leaves_up(projects: Mapping[str, Project], full: Collection[str], ours: Collection[str]) -> set[str]:
    """Those of ours, and hidden ones, with nothing in them; any other project keeps those that it is in."""
    empty: set[str] = set()
    for name in _leaves_first(projects):
        inside = [other for other in projects if _is_below(other, [name])]
        if name not in full and empty.issuperset(inside) and (name in ours or projects[name].hidden):
            empty.add(name)
    return empty


def _leaves_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (-name.count("/"), name))


def _is_below(name: str, tops: Iterable[str]) -> bool:
    return any(name.startswith(top + "/") for top in tops)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDeletion:
    """Deletes the projects that a pass emptied; in a dry run, only says which."""

    server: Server
    dry_run: bool
    needed_by: Callable[[Collection[str]], str]
    """Says what in the settings would match nothing any more without the projects of these ids; empty if nothing would."""
    warn: Callable[[str], None]
    audit: Audit | None = None
    """Keeps what is deleted; None in a dry run, and without ``CLEANUP_AUDIT``."""

    def delete(self, touched: Collection[str], deleted: DeletedSoFar) -> Iterator[Project]:
        """Yield each project that was deleted. One that the server refuses to delete is not a failure of the pass.

        Args:
            touched: The ids of projects of which this pass deleted a task.
            deleted: What it deleted.

        Raises:
            AuditError: the audit log could not be written.
        """
        done: set[str] = set()
        kept: list[str] = []
        for project in emptied(self.server, touched, deleted):
            if any(_is_below(name, [project.name]) for name in kept):
                continue
            if needed := self.needed_by(done | {project.id}):
                kept.append(project.name)
                self.warn(f"project {project.name} is empty, and is kept since {needed} would name nothing without it")
                continue
            if self.audit is not None:
                self.audit.before_project(project)
            if not (error := self._delete_one(project)):
                done.add(project.id)
                yield project
            if self.audit is not None:
                self.audit.after_project(project, error)

    def _delete_one(self, project: Project) -> str:
        """Delete it; gives why that failed, if it did."""
        try:
            if not self.dry_run:
                self.server.delete_project(project.id)
        except AnswerError as error:
            self.warn(f"project {project.name}: it is empty, but was not deleted: {error}")
            return str(error) or "refused"
        return ""
