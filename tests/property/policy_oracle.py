"""What may become of a world by policies: the oracle of promises, with what `life_oracle` says of each task.

What has to be archived, slimmed or announced is left open: `tests/passes/test_time_machine.py` demands it.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property

from tests.property.life_oracle import Life, is_archived
from tests.property.oracle import After, File, Oracle, read
from tests.property.scenario import Document

TIMES = ("created", "started", "completed", "status_changed", "last_update", "last_change")


def record_of(document: Document) -> Document:
    """A document of the API as `life_oracle` reads it."""
    times = {name: datetime.fromisoformat(document[name]) if document.get(name) else None for name in TIMES}
    given = {"tags": document.get("tags") or [], "last_changed_by": document.get("last_changed_by") or ""}
    return {**document, **given, **times}


class PolicyOracle(Oracle):
    """Judges what a pass with policies did."""

    @cached_property
    def _life(self) -> Life:
        world, options = self.scenario.world, self.scenario.options
        projects = {project["id"]: project["name"] for project in world["projects"]}
        grace = options.get("archived_for_days") or 0
        return Life(self.scenario.policies, projects, world["user"]["id"], self._force, archived_days=grace)

    def _may(self, task: str, stage: str) -> bool:
        document = self.tasks[task]
        if "hidden" in document["system_tags"] or document["company"] == "":
            return False
        return self._life.may(record_of(document), stage, datetime.fromisoformat(self.scenario.world["now"]))

    def _is_eligible(self, task: Document) -> bool:
        return self._may(task["id"], "delete")

    @cached_property
    def slimmable(self) -> frozenset[str]:
        """Tasks that may be slimmed: some of their outputs may be gone, of whichever kind."""
        return frozenset(task for task in self.tasks if self._may(task, "slim"))

    # -- what slimming takes
    def surviving_models(self, gone: set[str]) -> tuple[set[str], set[str]]:
        must, may = super().surviving_models(gone)
        used: dict[str, set[str]] = {}
        for task in self.tasks.keys() - gone:
            for side in ("input", "output"):
                for entry in self.tasks[task]["models"][side]:
                    used.setdefault(entry["model"], set()).add(task)
        named = {happened.event.get("model") for happened in self.happened}
        loose = {
            model
            for model in must & self.models.keys() - self._perhaps_ready - named
            if (maker := self.models[model].get("task")) in self.slimmable
            and not self.models[model]["ready"]
            and used.get(model, set()) <= {maker}
        }
        return must - loose, must | may

    def _may_lose(self, task: str, uri: str) -> bool:
        return task in self.slimmable and f".{task}" in uri

    def _may_lose_files(self, task: str) -> bool:
        return task in self.slimmable

    # -- what stays
    def _about_records(self, after: After) -> Iterable[str]:
        tasks = {task: self._as_before(task, document) for task, document in after.tasks.items()}
        yield from super()._about_records(After(tasks, after.models, after.files))
        for task in sorted(self.slimmable & after.tasks.keys()):
            if not self._trouble(task) and not self._touched(task):
                yield from self._about_entries(task, after)

    def _as_before(self, task: str, now: Document) -> Document:
        """A record of after the pass, without what policies may have changed in it."""
        before = self.tasks.get(task)
        if before is None:
            return now
        others = [tag for tag in now.get("tags") or [] if not tag.startswith("cleanup:")]
        of_job = [tag for tag in before.get("tags") or [] if tag.startswith("cleanup:")]
        found = {**now, "tags": sorted([*others, *of_job])}
        if is_archived(now) and not is_archived(before) and self._may(task, "archive"):
            found["system_tags"] = [tag for tag in now["system_tags"] if tag != "archived"]
        if task in self.slimmable:
            found |= {"models": before["models"], "execution": before["execution"]}
        return found

    def _about_entries(self, task: str, after: After) -> Iterable[str]:
        """What is still listed in a record that was slimmed is still there."""
        document = after.tasks[task]
        uris = [artifact["uri"] for artifact in document["execution"]["artifacts"]]
        uris += [model["uri"] for model in after.models.values() if model.get("task") == task]
        for uri in uris:
            meaning = read(self._spelled(uri))
            if meaning.plain and meaning.store == "files":
                for file in (File("files", path) for path in meaning.paths):
                    if file.owner == task and file in self.files - after.files:
                        yield f"task {self._name(task)} still lists {uri}, and its file is gone"

    def _spelled(self, uri: str) -> str:
        """An address as the scenario has it: the sandbox fills in its own."""
        return "{FILES}" + uri[uri.index("/", 8) :] if uri.startswith("http://127.0.0.1:") else uri
