"""Projects and users: their names, the tree of projects, and what is in a project."""

from collections.abc import Iterable, Iterator

from cleanup_job.clearml_api import documents
from cleanup_job.clearml_api.listed_documents import Malformed, page
from cleanup_job.clearml_api.task_reader import TaskReader
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Model, Project


class ProjectReader(TaskReader):
    """Reads projects and users. A ``TaskReader``, because tasks of a project that can't be read count as unreadable."""

    def projects(self) -> dict[str, str]:
        """The name of each project by its id, including hidden ones.

        From now on, tasks of a malformed project are unreadable.
        """
        body = {"search_hidden": True, "only_fields": ["id", "name"]}
        found: dict[str, str] = {}
        for entry in self._listings.read("projects", body, documents.NameOf):
            if isinstance(entry, Malformed):
                self._malformed_projects.add(entry.id)
            else:
                found[entry.id] = entry.name
        for project in self._malformed_projects:
            found.pop(project, None)
        return found

    def users(self) -> dict[str, str]:
        """The name of each user by id, without those that can't be read."""
        data = self._ask_raw("users.get_all_ex", {"only_fields": ["id", "name"]})
        found = page(data, "users", documents.NameOf)
        return {entry.id: entry.name for entry in found if not isinstance(entry, Malformed)}

    def project_tree(self) -> list[Project]:
        """Every project, including hidden ones. If one can't be read, none at all: it may be inside any of them."""
        body = {"search_hidden": True, "only_fields": ["id", "name", "system_tags", "company"]}
        found: list[Project] = []
        for entry in self._listings.read("projects", body, documents.ProjectEntry):
            if isinstance(entry, Malformed):
                return []
            found.append(entry.project())
        return found

    def left_in(self, projects: Iterable[str]) -> Iterator[tuple[str, TaskId | Model]]:
        """What is in these projects, each with its project: tasks of every kind, and models."""
        body = {"search_hidden": True, "only_fields": ["id", "project"]}
        wanted = list(projects)
        tasks = self._with_values("tasks", "project", wanted, body, documents.PlaceOf, lambda entry: (entry.project,))
        for project, task in tasks:
            yield project, TaskId(task.id)
        body = {"only_fields": [*documents.MODEL_FIELDS, "project"]}
        models = self._with_values("models", "project", wanted, body, documents.ModelEntry, lambda entry: (entry.project,))
        for project, model in models:
            yield project, model.model()

    def archived_count(self, projects):
        return None
