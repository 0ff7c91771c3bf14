"""Projects and users: their names, the tree of projects, and what is in a project."""

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

from cleanup_job.clearml_api import documents
from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.clearml_api.listed_documents import Malformed, page
from cleanup_job.clearml_api.listing import PAGE_CAP
from cleanup_job.clearml_api.task_reader import TaskReader
from cleanup_job.errors import AnswerError, CleanupError
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Model, Project

MOST_COUNTED = 20
"""Projects whose tasks are counted, by one request each."""


class ProjectReader(TaskReader):
    """Reads projects and users. A ``TaskReader``, because tasks of a project that can't be read count as unreadable."""

    def __init__(self, client: ApiClient, page_size: int = PAGE_CAP) -> None:
        """``page_size``: records that a listing call returns, at most 500."""
        super().__init__(client, page_size)
        self._names: dict[str, str] = {}
        """As ``projects`` gave them last."""

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
        self._names = found
        return found

    def archived_count(self, projects: Sequence[str]) -> int | None:
        """About how many archived tasks are in these projects and below them, or on the server if none are given.

        Only for showing how far a pass is. Tasks outside of projects are not counted, nor, by the source of newer servers, what
        is in the projects of pipelines and datasets. ``projects.get_all_ex`` gives no statistics of archived tasks (recording
        ``projects_list``), so each project is asked for what the Web UI shows before its deletion
        (``projects_delete_empty``); that changes nothing.

        Args:
            projects: Ids, of projects that ``projects`` gave.

        Returns:
            None if the server gives no such counts, or more than ``MOST_COUNTED`` projects would have to be asked for.
        """
        asked = self._outermost(projects)
        if len(asked) > MOST_COUNTED:
            return None
        try:
            counts = [count for project in asked if (count := self._archived_in(project)) is not None]
        except CleanupError:  # if the server is in trouble, the pass will find out
            return None
        return sum(counts) if counts else None

    def _outermost(self, projects: Sequence[str]) -> list[str]:
        """Those of these projects, or of all, that lie in none of the others: a count includes what is below."""
        names = {project: self._names[project] for project in projects or self._names if project in self._names}
        every = set(names.values())
        return [project for project, name in names.items() if every.isdisjoint(_above(name))]

    def _archived_in(self, project: str) -> int | None:
        """None if the project is public, or one that this key may not write to."""
        try:
            found = self._client.ask("projects.validate_delete", {"project": project}, documents.Contents, few_tries=True)
        except AnswerError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return None
            raise
        return found.archived

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


def _above(name: str) -> Iterator[str]:
    """The names of the projects that a project lies in."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
