"""Reading audit logs: whether a log is as it was written, and what it says of a task or a file. Nothing is printed here."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from cleanup_job.planning.paths import KINDS
from cleanup_job.redaction import redacted
from cleanup_job.report.audit_chain import Line, Link, links

Log = tuple[str, Callable[[], Iterator[bytes]]]
"""A log's name, and what reads its lines."""
DELETE = frozenset({"delete", "delete_project", "delete_orphan"})
"""Events of lines that say what is going to be deleted."""
STAGES = MappingProxyType({"archive": "archived", "slim": "slimmed", "notice": "noticed"})
"""Events of lines that say what a policy is going to do apart from deletion, each with that of the line from after it."""
BEFORE = DELETE | STAGES.keys()


@dataclass(slots=True)
class Found:
    """What a log says of one deletion, or of one change by a policy."""

    log: str
    begin: Line
    """The first line of the log: who, from where, with which settings."""
    delete: Line
    """The line from before it."""
    result: Line | None = None
    """The line from after it; None if the run was ended before it could say, or the line is missing."""
    record: Mapping[str, Any] | None = None
    """The task's record, if it was asked for and is in the log."""

    @property
    def verdict(self) -> str:
        """What became of it: ``deleted``, ``archived``, ``failed`` and so on; ``unconfirmed`` if the log does not say."""
        return str(self.result["verdict"]) if self.result is not None else "unconfirmed"

    def as_document(self) -> dict[str, Any]:
        """The same for programs, without the settings in the first line."""
        return {
            "log": self.log,
            "verdict": self.verdict,
            "begin": {name: value for name, value in self.begin.items() if name != "settings"},
            "delete": self.delete,
            "result": self.result,
            "record": self.record,
        }


@dataclass(slots=True)
class Looked:
    """What became of looking through one log."""

    log: str
    lines: int = 0
    """Lines that are as they were written."""
    problem: str = ""
    """What is wrong with the line after these; empty if nothing is."""
    torn: bool = False
    """Whether it ends within a line: its run was ended while it wrote that line, and deleted nothing of it."""
    ended: bool = False
    """Whether it has its last line. If not, its run was ended from outside, is still running, or lines were removed."""
    hash: str = ""
    """The hash of its last line."""
    begin: Line = field(default_factory=dict)
    deletions: int = 0
    """Deletions that it announces."""
    changes: int = 0
    """Changes by policies that it announces: tasks that are archived, slimmed or get a notice."""
    confirmed: int = 0
    """Those of all these of which it says what became of them."""
    found: list[Found] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for."""

    tasks: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    """URIs, or paths in a store."""
    projects: frozenset[str] = frozenset()
    """Names or ids."""
    records: bool = False
    """Whether the records of these tasks are wanted too."""

    @property
    def anything(self) -> bool:
        """Whether something is looked for at all."""
        return bool(self.tasks or self.files or self.projects)

    def has(self, line: Line) -> bool:
        """Whether a line from before a deletion or change is about one of these."""
        if line["event"] == "delete_project":
            return not self.projects.isdisjoint({line["project"], line["project_id"]})
        return line["task"] in self.tasks or any(_names(line, file) for file in self.files)


def look(log: Log, wanted: Wanted) -> Looked:
    """Read a log once: verify it, and find in it what is wanted. Takes no more memory than what is found.

    Raises:
        OSError: the log can't be read.
    """
    name, lines = log
    looking = _Looking(Looked(name), wanted)
    for link in links(lines()):
        problem = link.problem or ("it is not how an audit log begins" if _begins_wrong(link) else "")
        if problem or link.torn:
            looking.looked.torn = link.torn
            looking.looked.problem = f"line {link.number}: {problem}" if problem else ""
            break
        looking.take(link)
    return looking.looked


@dataclass(slots=True)
class _Looking:
    """Where one look through a log is."""

    looked: Looked
    wanted: Wanted
    announced: dict[str, Found] = field(default_factory=dict)
    """What was found and has no result yet, by the id of its task or project."""
    records: dict[str, Any] = field(default_factory=dict)
    """The records of wanted tasks whose deletion is not announced yet."""

    def take(self, link: Link) -> None:
        """Take the next line in."""
        _count(self.looked, link)
        line = link.fields
        event, key = line.get("event"), str(line.get("task") or line.get("project_id") or "")
        if event == "record":
            if self.wanted.records and key in self.wanted.tasks:
                self.records[key] = line["record"]
        elif event in BEFORE:
            if self.wanted.has(line):
                self.announced[key] = Found(self.looked.log, self.looked.begin, line, record=self.records.pop(key, None))
                self.looked.found.append(self.announced[key])
        elif key in self.announced:
            self.announced.pop(key).result = line


def find(logs: Iterable[Log], task: str, *, record: bool = False) -> list[Found]:
    """What these logs say of a task, up to where each is as it was written.

    Raises:
        OSError: a log can't be read.
    """
    wanted = Wanted(frozenset({task}), records=record)
    return [found for log in logs for found in look(log, wanted).found]


def _begins_wrong(link: Link) -> bool:
    return link.number == 1 and not link.torn and link.fields.get("event") != "begin"


def _count(looked: Looked, link: Link) -> None:
    event = link.fields.get("event")
    looked.lines, looked.hash = link.number, link.hash
    if link.number == 1:
        looked.begin = link.fields
    looked.deletions += event in DELETE
    looked.changes += event in STAGES
    looked.confirmed += "verdict" in link.fields
    looked.ended = event == "end"


def _names(line: Line, wanted: str) -> bool:
    """Whether a URI, or a path in a store, is one of those that were deleted."""
    text = wanted.partition("://")[2] or wanted
    ways = {f"/{way.strip('/')}" for way in (text, unquote(text), unquote(unquote(text)), redacted(text))}
    paths = (*line.get("paths", ()), *line.get("linked", ()))
    if any(_is_path(path, way) for path in paths for way in ways):
        return True
    if any(_is_uri(uri, way) for uri in line.get("uris", ()) for way in ways):
        return True
    return any(model["uri"] in {wanted, redacted(wanted)} for model in line.get("models", ()))


def _is_uri(uri: str, way: str) -> bool:
    """Whether a way to a file is a URI, without its scheme, ends it, or leads below it."""
    whole = f"/{uri.partition('://')[2].strip('/')}"
    return any(one.endswith(way) or way.startswith(f"{one}/") for one in (whole, unquote(whole)))


def _is_path(path: Line, way: str) -> bool:
    if "file" in path:
        return way.endswith(f"/{path['file']}")
    _, inside, rest = way.partition(f"/{path['folder']}/")
    if not inside:
        return way.endswith(f"/{path['folder']}")
    kept = any(f"{rest}/".startswith(f"{other}/") for other in path.get("except", ()))
    return not kept and (rest.partition("/")[0] in KINDS or "reports/" in path["folder"])
