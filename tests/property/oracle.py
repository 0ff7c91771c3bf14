"""What may and what must become of a world, from the world alone.

Written from the promises and the rules of ClearML, and from nothing that it judges: no module of the job is imported here. It
looks at a world as a whole, before and after, and says what is wrong with the difference. What is neither demanded nor
forbidden is left open on purpose: files on the edge of a claim, tasks with trouble of their own.
"""

import json
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cached_property, lru_cache
from itertools import pairwise
from urllib.parse import unquote

from tests.property.scenario import AGAIN, MOUNT, PUBLIC, Document, Happened, Scenario, Seen

THRESHOLD = timedelta(days=30)
KINDS = ("artifacts", "models", "metrics")
"""What the SDK writes to in a task's folder."""
_FOLDER = re.compile(r".*\.([0-9a-f]{32})", re.DOTALL)
_IN_PATH = re.compile(r"\.([0-9a-f]{32})(?![^/])")
_REPORT = re.compile(r"reports/([0-9a-f]{32})/")
_HOST = re.compile(r"([a-z][a-z0-9+]*)://(?:[^/@]*@)?([^/]*)(.*)", re.DOTALL | re.IGNORECASE)
_ACTIVE = frozenset({"in_progress", "queued"})


class Claim(IntEnum):
    """How certainly a record means a file."""

    NO = 0
    MAYBE = 1
    """It may stay for it, and may go."""
    YES = 2
    """It must stay for it."""


@dataclass(frozen=True, order=True)
class File:
    """A file by what it really is: `files` (the fileserver) or `mount`, and its path there."""

    store: str
    path: str

    @property
    def owner(self) -> str:
        """The task in whose folder it lies, the deepest one counts; empty where it lies in none."""
        return self._split[0]

    @property
    def folder(self) -> str:
        """That folder."""
        return self._split[1]

    @property
    def rest(self) -> str:
        """Its path below that folder."""
        return self.path[len(self.folder) + 1 :]

    @property
    def report(self) -> str:
        """The report among whose images it is; empty where it is none."""
        found = _REPORT.match(self.path)
        return found[1] if found and self.store == "files" else ""

    @property
    def _split(self) -> tuple[str, str]:
        segments = self.path.split("/")
        for at in range(len(segments) - 2, 0, -1):
            if found := _FOLDER.fullmatch(segments[at]):
                return found[1], "/".join(segments[: at + 1])
        return "", ""


@dataclass(frozen=True)
class Meaning:
    """Where a URI may lead."""

    store: str
    """`files`, `mount`, `bucket`, or `anywhere` for a host or a local path that is not configured."""
    paths: tuple[str, ...]
    """In every way that it can be read, without empty, `.` and `..` segments."""
    plain: bool
    """Whether it can be read in one way only, as the SDK writes it."""


@lru_cache(100_000)
def read(uri: str) -> Meaning:
    """What a URI can mean."""
    store, rest = "anywhere", uri
    for root in (MOUNT, AGAIN):
        for lead in (f"file://localhost{root}", f"file://{root}", root):
            if uri.startswith(f"{lead}/"):
                store, rest = "mount", uri[len(lead) :]
    if uri.startswith("{FILES}"):
        store, rest = "files", uri.removeprefix("{FILES}")
    elif store == "anywhere" and (parts := _HOST.fullmatch(uri)):
        scheme, host, rest = parts[1].lower(), parts[2].lower(), parts[3]
        known = f"{scheme}://{host.removesuffix(':443')}" == PUBLIC
        store = "files" if known else "anywhere" if scheme in {"http", "https", "file"} else "bucket"
    cut = re.split(r"[?#]", rest)[0]
    cuts = [rest[: mark.start()] for mark in re.finditer(r"[?#]", rest)]
    forms = {form for raw in (rest, *cuts) for form in (raw, unquote(raw), unquote(unquote(raw)))}
    tidy = {posixpath.normpath(f"/{form}").strip("/") for form in forms}
    decoded = unquote(rest) if store == "files" else rest
    plain = store in {"files", "mount"} and f"/{posixpath.normpath(decoded).strip('/')}" == decoded and cut == rest
    return Meaning(store, tuple(sorted(tidy - {"", "."})), plain)


def claim(uri: str, file: File, links: Mapping[str, str]) -> Claim:
    """Whether a record that names this URI needs the file: it names the file, or a folder around it within a task's folder."""
    if not file.owner:
        return Claim.NO
    meaning = read(uri)
    first = next(n for n, segment in enumerate(file.path.split("/")[1:], 2) if _FOLDER.fullmatch(segment))
    segments = file.path.split("/")
    around = ["/".join(segments[:n]) for n in range(first, len(segments) + 1)]
    best = Claim.NO
    # A folder of another task, in which this one wrote: a record that names it as a whole is not seen (docs/limits.md).
    own = max((n for n, segment in enumerate(segments, 1) if segment.endswith(f".{file.owner}")), default=0)
    for named in {real(path, links) if meaning.store == "mount" else path for path in meaning.paths}:
        for place in around:
            exact = named == place
            if place.count("/") + 1 < own:
                best = Claim.MAYBE if exact else best
                continue
            if exact and (meaning.store in {file.store, "anywhere"}):
                return Claim.YES
            if named.endswith(f"/{place}") and meaning.store == "anywhere":
                return Claim.YES
            # Another project or name before the id, as after a move: it can't be known.
            ids = [n for n, segment in enumerate(place.split("/")) if _FOLDER.fullmatch(segment)]
            tails = ["/".join([segment[-33:], *place.split("/")[n + 1 :]]) for n in ids for segment in [place.split("/")[n]]]
            if exact or any(named.endswith(tail) for tail in tails):
                best = Claim.MAYBE
    return best


def real(path: str, links: Mapping[str, str]) -> str:
    """The path without symbolic links on the way."""
    for _ in range(8):
        link = next((link for link in links if path.startswith(f"{link}/")), None)
        if link is None:
            break
        path = links[link] + path[len(link) :]
    return path


@dataclass(frozen=True)
class After:
    """What a pass left."""

    tasks: Mapping[str, Document]
    models: Mapping[str, Document]
    files: frozenset[File]


@dataclass
class Oracle:
    """Judges what a pass did to a scenario's world."""

    scenario: Scenario
    happened: list[Happened] = field(default_factory=list)
    log: list[Seen] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)
    """Ids whose documents came broken."""

    def __post_init__(self) -> None:
        world = self.scenario.world
        self.tasks: dict[str, Document] = {task["id"]: task for task in world["tasks"]}
        self.models: dict[str, Document] = {model["id"]: model for model in world["models"]}
        self.files = frozenset(
            [File("files", file["path"]) for file in world["files"]] + [File("mount", path) for path in self.scenario.mounted]
        )
        self._events: dict[str, list[str]] = {}
        for event in world["events"]:
            self._events.setdefault(event["task"], []).extend(_uris_of_event(event))

    # -- tasks
    def eligible(self) -> set[str]:
        """The tasks that the settings allow to delete."""
        return {task for task, document in self.tasks.items() if self._is_eligible(document)}

    def _is_eligible(self, task: Document) -> bool:
        server_time = datetime.fromisoformat(self.scenario.world["now"])
        active = task["status"] in _ACTIVE
        since = task["last_update"] if active else task.get("status_changed") or task["last_update"]
        grace = timedelta(days=self.scenario.options.get("archived_for_days") or 0)
        return (
            "archived" in task["system_tags"]
            and "hidden" not in task["system_tags"]
            and task["company"] != ""
            and datetime.fromisoformat(since) < server_time - THRESHOLD
            and (not grace or datetime.fromisoformat(task["last_change"]) <= server_time - grace)
            and (self._force or task["status"] == "created")
        )

    @property
    def _force(self) -> bool:
        return bool(self.scenario.options.get("force_delete", True))

    def needed_versions(self, gone: set[str]) -> dict[str, str]:
        """Dataset versions that one which is not gone can't be read without."""
        return {
            ancestor: task
            for task in self.tasks.keys() - gone
            for ancestor in self._ancestors(task) & self.tasks.keys()
            if ancestor != task
        }

    def _ancestors(self, task: str) -> set[str]:
        text = (self.tasks[task]["configuration"].get("Dataset Struct") or {}).get("value")
        return {version["job_id"] for version in json.loads(text).values()} if text else set()

    def excused(self, gone: set[str]) -> set[str]:
        """Eligible tasks that may be kept: those with trouble of their own, and those whose outputs a kept one needs."""
        eligible = self.eligible()
        needed = self.needed_versions(gone)
        found = {task for task in eligible if task in needed or self._trouble(task) or self._touched(task)}
        # A record that can't be read may need everything that its text names, also where it is not to be deleted itself.
        pending = list((found | (self.edited & self.tasks.keys())) - gone)
        while pending:
            more = self._needs_of(pending.pop()) & eligible - found
            found |= more
            pending += more - gone
        return found

    def _trouble(self, task: str) -> bool:
        """Whether something about a task itself may keep it."""
        document = self.tasks[task]
        if not re.fullmatch(r"[0-9a-f]{32}", task):
            return True
        own_models = [model for model in self.models.values() if model.get("task") == task]
        if self.edited & {task, *(model["id"] for model in own_models)}:
            return True
        parent = self.tasks.get(document.get("parent") or "")
        if parent and "pipeline" in parent["system_tags"] and "pipeline" not in document["system_tags"]:
            return True  # a step stays as long as its controller does
        if not self._force:
            listed = [self.models.get(entry["model"], {}) for entry in document["models"]["output"]]
            children = [child for child in self.tasks.values() if child.get("parent") == task]
            if any(model.get("ready") for model in [*own_models, *listed]) or any(c["status"] == "published" for c in children):
                return True
        if self._has_link(task):
            return True
        own = [uri for uri in self._own_uris(task) if f".{task}" in unquote(unquote(uri))]
        links = self.scenario.links
        return any(not read(uri).plain or _by_link(uri, links) for uri in own)

    def _has_link(self, task: str) -> bool:
        """Whether there is a symbolic link in a folder of the task: it can't be deleted to the end."""
        return any(f".{task}/" in link for link in self.scenario.links)

    def _touched(self, task: str) -> bool:
        """Whether someone else's deed during the pass may have kept a task."""
        for happened in self.happened:
            event = happened.event
            if event.get("task") == task:
                return True
            uri = event.get("uri") or self.models.get(event.get("model", ""), {}).get("uri") or ""
            maker = self.models.get(event.get("model", ""), {}).get("task")
            if task == maker or f".{task}" in uri:
                return True
        return False

    def _needs_of(self, task: str) -> set[str]:
        """The tasks whose outputs a task needs, and those that it is deleted along with."""
        document = self.tasks[task]
        models = [entry["model"] for side in ("input", "output") for entry in document["models"][side]]
        models += [model for model, record in self.models.items() if record.get("task") == task]
        uris = [self.models[model]["uri"] for model in models if model in self.models]
        uris += [*self._own_uris(task), (document.get("output") or {}).get("destination") or ""]
        needs = {self.models[model].get("task") or "" for model in models if model in self.models}
        needs |= self._ancestors(task)
        needs |= {other for other in self.tasks for uri in uris if f".{other}" in unquote(unquote(uri))}
        shown = [*(document.get("report_assets") or ()), document.get("report") or ""]
        needs |= {other for other in self.tasks for text in shown if f"reports/{other}/" in text}
        # Also those in whose folder its files lie: a project may have the name of a folder.
        needs |= {other for other in self.tasks for file in self.files if file.owner == task and f".{other}/" in file.path}
        if "pipeline" in document["system_tags"]:
            needs |= {other for other, record in self.tasks.items() if record.get("parent") == task}
        if document.get("parent"):
            needs.add(document["parent"])
        return needs & self.tasks.keys() - {task}

    # -- claims
    def _own_uris(self, task: str) -> list[str]:
        """What a task's own record, its models and events name."""
        document = self.tasks[task]
        uris = [artifact["uri"] for artifact in document["execution"]["artifacts"]]
        uris += [model["uri"] for model in self.models.values() if model.get("task") == task]
        return uris + self._events.get(task, [])

    def surviving_models(self, gone: set[str]) -> tuple[set[str], set[str]]:
        """The models whose records must be there when exactly these tasks are gone, and those that may."""
        there = self.tasks.keys() - gone
        listed = {
            entry["model"] for task in there for side in ("input", "output") for entry in self.tasks[task]["models"][side]
        }
        must = {
            model
            for model, record in self.models.items()
            if record.get("task") not in gone or record["ready"] or model in listed or model in self._perhaps_ready
        }
        may = set(self.models.keys() & self.edited)
        for happened in self.happened:
            if model := happened.event.get("model") or happened.event.get("id"):
                (must if self._in_time(happened) else may).add(model)
        return must, must | may

    def _claims(self, gone: set[str]) -> list[tuple[str, Claim]]:
        """The URIs that surviving records name, each with what is demanded for it at most."""
        must, may = self.surviving_models(gone)
        there = self.tasks.keys() - gone
        # What an answer hid, or a task that came back too late, can't be honoured, and yet may be.
        late = {task for task, in_time in self._restored().items() if not in_time}
        hidden = self.edited | late
        uncertain = (
            self._uri_hidden | {model for model, record in self.models.items() if record.get("task") in late} | may - must
        )
        found = [
            (record["uri"], Claim.MAYBE if model in uncertain else Claim.YES)
            for model, record in self.models.items()
            if model in must | may
        ]
        found += [
            (uri, Claim.MAYBE if task in hidden or self._may_lose(task, uri) else Claim.YES)
            for task in there
            for artifact in self.tasks[task]["execution"]["artifacts"]
            for uri in [artifact["uri"]]
        ]
        # An image that another task only shows is no claim, and yet nothing may be made of it.
        found += [(uri, Claim.MAYBE) for task in there for uri in self._events.get(task, [])]
        found += [(destination, Claim.MAYBE) for task in there if (destination := self._destination(task))]
        for happened in self.happened:
            uri = happened.event.get("uri")
            if uri:
                found.append((uri, Claim.YES if self._in_time(happened) else Claim.MAYBE))
        return [(uri, strength) for uri, strength in found if uri]

    def _may_lose(self, _task: str, _uri: str) -> bool:
        """Whether a task that is kept may lose an output, with its entry in the record."""
        return False

    def _may_lose_files(self, _task: str) -> bool:
        """Whether files of a task that is kept may be gone, unless a record names them."""
        return False

    @cached_property
    def _uri_hidden(self) -> set[str]:
        return {edit["id"] for edit in self.scenario.edits if "uri" in edit.get("set", {}) or edit.get("deep") == "uri"}

    @cached_property
    def _perhaps_ready(self) -> set[str]:
        """Models of which an answer told in no readable way whether they are published: they count as if they were."""
        return {edit["id"] for edit in self.scenario.edits if "ready" in edit.get("set", {}) and edit["id"] in self.edited}

    def _destination(self, task: str) -> str:
        return str((self.tasks[task].get("output") or {}).get("destination") or "")

    def _restored(self) -> dict[str, bool]:
        """The tasks that were restored during the pass, and whether that was in time."""
        return {h.event["task"]: self._in_time(h) for h in self.happened if h.event["kind"] == "restore"}

    def _in_time(self, happened: Happened) -> bool:
        """Whether an event must be honoured.

        It must where the pass was told of it before its first deletion of what is at stake, and where it was not told although
        records were deleted in between: a pass looks once more before each of its chunks.
        """
        deletion = next((seen.number for seen in self.log if self._deletes(seen, happened.event)), None)
        if deletion is None:
            return True
        if deletion < happened.at:
            return False
        told = happened.told is not None and happened.told < deletion
        return told or any(happened.at <= seen.number < deletion and seen.deletes_records for seen in self.log)

    def _deletes(self, seen: Seen, event: Document) -> bool:
        """Whether a request deletes what an event is about."""
        if not (seen.deletes_files or seen.deletes_records):
            return False
        if event["kind"] == "restore":
            return event["task"] in seen.text
        model = self.models.get(event.get("model", ""), {})
        maker, uri = str(model.get("task") or ""), event.get("uri") or model.get("uri") or ""
        hosts = {maker, *(task for task in self.tasks if f".{task}" in unquote(unquote(uri)))} - {""}
        return any(host in seen.text for host in {*hosts, event.get("model") or "no model"})

    # -- the verdict
    def violations(self, after: After) -> list[str]:
        """All that is wrong with what a pass left."""
        gone = self.tasks.keys() - after.tasks.keys()
        return [
            *self._about_tasks(gone),
            *self._about_models(gone, after),
            *self._about_files(gone, after),
            *self._about_records(after),
        ]

    def _about_tasks(self, gone: set[str]) -> Iterable[str]:
        eligible, needed = self.eligible(), self.needed_versions(gone)
        for task in gone - eligible:
            yield f"task {self._name(task)} is gone, and was not to be deleted"
        for task in gone & needed.keys():
            yield f"dataset {self._name(task)} is gone, and {self._name(needed[task])} can't be read without it"
        for happened in self.happened:
            event = happened.event
            if event["kind"] == "restore" and event["task"] in gone and self._in_time(happened):
                yield f"task {self._name(event['task'])} is gone, and was restored in time, at request {happened.at}"
        for task in gone:
            stores = {read(uri).store for uri in self._own_uris(task) if f".{task}/" in uri} & {"bucket", "anywhere"}
            if stores and re.fullmatch(r"[0-9a-f]{32}", task):
                yield f"task {self._name(task)} is gone, and files of it are on a store that the job does not know"
        for task in gone & self._unreadable:
            yield f"task {self._name(task)} is gone, and its record could not be read"
        for task in sorted(eligible - gone - self.excused(gone)):
            yield f"task {self._name(task)} is still there, and nothing speaks against its deletion"

    @cached_property
    def _unreadable(self) -> set[str]:
        """Tasks whose answers had a field that decides in a shape that the API never gives."""
        fields = {"tags", "system_tags", "company", "status", "status_changed", "last_update", "models", "execution"}
        return {
            edit["id"]
            for edit in self.scenario.edits
            if edit["in"] == "tasks" and fields & {*edit.get("set", {}), edit.get("deep")} and edit["id"] in self.edited
        }

    def _about_models(self, gone: set[str], after: After) -> Iterable[str]:
        must, may = self.surviving_models(gone)
        for model in sorted(must - after.models.keys()):
            yield f"model {self._model(model)} is gone, and something that is still there needs it"
        for model in sorted(after.models.keys() & self.models.keys() - may):
            yield f"model {self._model(model)} is still there, and only what is gone needed it"
        for model in sorted(after.models.keys() & self.models.keys()):
            before, now = self.models[model].get("task"), after.models[model].get("task")
            if before in after.tasks and now != before:
                yield f"model {self._model(model)} lost its maker, which is still there"

    def _about_files(self, gone: set[str], after: After) -> Iterable[str]:
        # A task whose files can't all be deleted keeps its record, and may have lost those that could be.
        halfway = {task for task in self.eligible() - gone if self._has_link(task)}
        by_id: dict[str, list[tuple[str, Claim]]] = {}
        for uri, most in self._claims(gone | halfway):
            for task in _ids_in(uri, self.scenario.links):
                by_id.setdefault(task, []).append((uri, most))
        restored = self._restored()
        for file in sorted(self.files):
            there = file in after.files
            if file.report:
                yield from self._about_image(file, gone, there=there)
                continue
            claims = [one for task in set(_IN_PATH.findall(file.path)) for one in by_id.get(task, ())]
            strength = max((min(claim(uri, file, self.scenario.links), most) for uri, most in claims), default=Claim.NO)
            if not there and strength is Claim.YES:
                named = next(uri for uri, most in claims if min(claim(uri, file, self.scenario.links), most) is Claim.YES)
                yield f"{file.store} file {file.path} is gone, and a surviving record names it: {named}"
            elif not there and file.owner not in gone | halfway and restored.get(file.owner, True):
                if self._may_lose_files(file.owner):
                    continue
                yield f"{file.store} file {file.path} is gone, and its task {self._name(file.owner)} is not"
            elif file.owner in gone and strength is Claim.NO:
                yield from self._about_orphan(file, gone, there=there)

    def _about_image(self, file: File, gone: set[str], *, there: bool) -> Iterable[str]:
        """An image of a report: it is deleted with the report, unless one that is there shows it."""
        shown = {uri for task in self.tasks.keys() - gone for uri in self.tasks[task].get("report_assets") or () if uri}
        named = any(file.path in read(uri).paths for uri in shown)
        texts = [self.tasks[task].get("report") or "" for task in self.tasks.keys() - gone - {file.report}]
        if not there and (named or file.report not in gone):
            yield f"image {file.path} is gone, and a report that is there shows it"
        elif there and file.report in gone and not named and self.tasks[file.report].get("report_assets"):
            own = any(file.path in read(uri).paths for uri in self.tasks[file.report]["report_assets"])
            if own and not any(file.report in text for text in texts):
                yield f"image {file.path} is left behind: its report, which is gone, named it"

    def _about_orphan(self, file: File, gone: set[str], *, there: bool) -> Iterable[str]:
        """A file of a task that is gone, which nothing claims."""
        in_kind = file.rest.split("/")[0] in KINDS
        if in_kind and not there:
            return
        uris = [uri for uri in self._own_uris(file.owner) if read(uri).plain and self._is_named(uri, file)]
        # Beside the folders that are deleted whole only what is named itself is deleted, not what is in a folder that is named.
        named = any(in_kind or file.path in {real(path, self.scenario.links) for path in read(uri).paths} for uri in uris)
        if there and named:
            yield f"{file.store} file {file.path} is left behind: its task's record, which is gone, named it"
        elif there and in_kind and self._goes_whole(file):
            yield f"{file.store} file {file.path} is left behind: it lies in a folder that is deleted whole"
        elif not (there or named or in_kind or self._named_by_any(file) or _in_kind_of(file, gone)):
            yield f"{file.store} file {file.path} is gone: it lies beside what the SDK writes, and no record names it"

    def _is_named(self, uri: str, file: File) -> bool:
        return claim(uri, file, self.scenario.links) is Claim.YES

    def _named_by_any(self, file: File) -> bool:
        return any(claim(uri, file, self.scenario.links) for task in self.tasks for uri in self._own_uris(task))

    def _goes_whole(self, file: File) -> bool:
        """Whether nothing can have kept the pass from deleting this folder as a whole, as far as this file is concerned."""
        task, links = file.owner, self.scenario.links
        beside = [other for other in self.files if (other.store, other.folder) == (file.store, file.folder)]
        if not any(self._is_named(uri, other) for uri in self._own_uris(task) if read(uri).plain for other in beside):
            return False  # no record tells of this folder
        others = [uri for other in self.tasks.keys() - {task} for uri in self._own_uris(other)]
        others += [destination for other in self.tasks if (destination := self._destination(other))]
        others += [model["uri"] for model in self.models.values() if model.get("task") not in self.tasks or model["ready"]]
        listed = {
            entry["model"] for other in self.tasks.values() for side in ("input", "output") for entry in other["models"][side]
        }
        others += [self.models[model]["uri"] for model in listed & self.models.keys()]
        others += [happened.event["uri"] for happened in self.happened if "uri" in happened.event]
        if file.store == "mount":
            return not any(claim(uri, file, links) for uri in others)
        nested = any(other.path.startswith(f"{file.folder}/") and other.owner != task for other in self.files)
        used = {h.event.get("model") for h in self.happened}
        others += [self.models[model]["uri"] for model in used & self.models.keys()]
        return not nested and not any(f".{task}" in unquote(unquote(uri)) for uri in others)

    def _about_records(self, after: After) -> Iterable[str]:
        """Records of tasks that are still there are as they were."""
        touched = {happened.event.get("task") for happened in self.happened}
        for task in sorted(self.tasks.keys() & after.tasks.keys() - touched):
            before, now = self.tasks[task], after.tasks[task]
            for what in ("status", "tags", "system_tags", "name", "project"):
                if before.get(what) != now.get(what):
                    yield f"task {self._name(task)} is still there with another {what}: {now.get(what)!r}"
            for side in ("input", "output"):
                lists = [[entry["model"] for entry in one["models"][side]] for one in (before, now)]
                if lists[0] != lists[1]:
                    yield f"task {self._name(task)} is still there with other {side} models: {lists[1]}, not {lists[0]}"
            counts = [len(one["execution"]["artifacts"]) for one in (before, now)]
            if counts[0] != counts[1]:
                yield f"task {self._name(task)} is still there with {counts[1]} artifacts, not {counts[0]}"

    def _name(self, task: str) -> str:
        return f"{self.tasks[task]['name']!r} ({task})" if task in self.tasks else task or "of no task"

    def _model(self, model: str) -> str:
        record = self.models.get(model, {})
        return f"{record.get('name')!r} ({model}, of task {self._name(record.get('task') or '')})"


@lru_cache(100_000)
def _ids_of(paths: tuple[str, ...]) -> frozenset[str]:
    return frozenset(task for path in paths for task in _IN_PATH.findall(path))


def _ids_in(uri: str, links: Mapping[str, str]) -> frozenset[str]:
    """The tasks whose folders a URI can name."""
    meaning = read(uri)
    paths = meaning.paths
    return _ids_of((*paths, *(real(path, links) for path in paths)) if meaning.store == "mount" else paths)


def _uris_of_event(event: Document) -> list[str]:
    if "plot_str" in event:
        return [image["source"] for image in json.loads(event["plot_str"])["layout"].get("images", [])]
    return [event["url"]] if "url" in event else []


def _in_kind_of(file: File, tasks: Collection[str]) -> bool:
    """Whether a file lies in what the SDK wrote for one of these tasks, at any depth."""
    segments = file.path.split("/")
    folders = {(segment[-32:], below) for segment, below in pairwise(segments) if _FOLDER.fullmatch(segment)}
    return any(task in tasks and below in KINDS for task, below in folders)


def _by_link(uri: str, links: Mapping[str, str]) -> bool:
    return any(real(path, links) != path for path in read(uri).paths) or uri.startswith((AGAIN, f"file://{AGAIN}"))
