"""Plan files: what a dry run would delete, so that someone can approve it before ``run --from-plan`` deletes just that.

With policies, a plan also has what would be archived, slimmed and announced, and has the number of another format.

A line of JSON for the plan itself, one for each task, and a last one with the sums and a SHA-256 of all lines before it: a file
that was changed or cut off by mistake is not a plan any more. Who could mean to change it needs a signature beside the file.
"""

import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from cleanup_job.errors import SettingsError
from cleanup_job.planning.outcome import GONE, NOTICES, STAGED, TaskOutcome
from cleanup_job.report.formatting import plain

FORMAT = 1
"""Of the files that this version writes and reads, without policies."""
WITH_POLICIES = 2
"""The same with policies: versions that don't know them must not read these."""
LONGEST_LINE = 1 << 20
"""Bytes of a line: names are cut long before."""
AGAIN = "Make a new one with `clearml-cleanup run --dry-run --plan FILE`"

_Count = Annotated[int, Meta(ge=0)]


class Header(Struct, frozen=True, kw_only=True, tag="plan", tag_field="line", forbid_unknown_fields=True):
    """The first line."""

    format: int
    version: str
    """Of ClearML Cleanup."""
    server: str
    """The address of the API server."""
    user: str = ""
    """The id of the user whose key made the plan; empty if the server doesn't say."""
    started: datetime
    cutoff: datetime
    """Tasks whose age counts from before this moment were old enough."""
    settings: dict[str, str]
    """Those that decide what is deleted, by variable."""
    settings_sha256: str

    def may_have(self, task: "PlannedTask") -> bool:
        """Whether a task belongs in such a plan: without policies, nothing is done but deleting."""
        return task.stage is UNSET or self.format == WITH_POLICIES


class PlannedTask(Struct, frozen=True, kw_only=True, tag="task", tag_field="line", forbid_unknown_fields=True):
    """A task that would be deleted, and how much with it."""

    id: Annotated[str, Meta(min_length=1)]
    name: str
    project: str
    owner: str
    """The id of its owner; empty if unknown."""
    status: str
    models: _Count
    files: _Count
    bytes: _Count
    unsized: _Count
    """Those of ``files`` whose size is not known."""
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    """Of its record and its models (`deletion.digest_of`), or of what its policy does and its record (`fate.Step.digest`)."""
    stage: Literal["archive", "slim", "delete"] | UnsetType = UNSET
    """With policies: what is done with it."""
    policy: str | UnsetType = UNSET
    """By which of them."""
    announced: str | UnsetType = UNSET
    """The date for which the stage is announced; if there is one, nothing else is done."""

    @property
    def does(self) -> str:
        """What is done with it, in a word: ``delete``, ``archive``, ``slim`` or ``notice``."""
        if self.announced is not UNSET:
            return "notice"
        return "delete" if self.stage is UNSET else self.stage


class End(Struct, kw_only=True, tag="end", tag_field="line", forbid_unknown_fields=True):
    """The last line: the sums."""

    tasks: int = 0
    models: int = 0
    files: int = 0
    bytes: int = 0
    unsized: int = 0
    archive: int | UnsetType = UNSET
    slim: int | UnsetType = UNSET
    notice: int | UnsetType = UNSET
    """With policies: tasks that are archived, slimmed, and of which a stage is announced; ``tasks`` are deleted."""
    sha256: str = ""
    """Of all bytes before this line."""

    @property
    def also(self) -> str:
        """What policies do beside deleting, in words; empty without policies, or if it is nothing."""
        found = {"archive": self.archive, "slim": self.slim, "announce": self.notice}
        return ", ".join(f"{number:,} to {verb}" for verb, number in found.items() if number is not UNSET and number)

    def add(self, task: PlannedTask) -> None:
        """Count one task in."""
        match task.does:
            case "archive":
                self.archive = (self.archive or 0) + 1
            case "slim":
                self.slim = (self.slim or 0) + 1
            case "notice":
                self.notice = (self.notice or 0) + 1
            case _:
                self.tasks += 1
        self.models += task.models
        self.files += task.files
        self.bytes += task.bytes
        self.unsized += task.unsized


_Line = Header | PlannedTask | End
_decoder = msgspec.json.Decoder(_Line)
_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises: the first is what msgspec calls its errors."""


def settings_digest(settings: dict[str, str]) -> str:
    """A SHA-256 of settings, to compare them at a glance."""
    return sha256(msgspec.json.encode(sorted(settings.items()))).hexdigest()


class PlanWriter:
    """Writes a plan beside its place, and moves it there once it is complete. Memory does not grow with its tasks."""

    def __init__(self, path: Path) -> None:
        """Nothing is written at ``path`` yet.

        Raises:
            OSError: no file can be created beside it.
        """
        self._path = path
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        self._temporary = Path(name)
        self._file: BinaryIO = os.fdopen(handle, "wb")
        self._hash = sha256()
        self._end = End()

    def begin(self, header: Header) -> None:
        """Write the first line.

        Raises:
            OSError: it can't be written.
        """
        self._write(header)

    def add(self, outcome: TaskOutcome) -> None:
        """Write a task, if it would be deleted, or if its policy would do something else with it.

        Raises:
            OSError: it can't be written.
        """
        if outcome.verdict not in GONE | STAGED:
            return
        task = PlannedTask(
            id=outcome.task,
            name=plain(outcome.name),
            project=plain(outcome.project),
            owner=outcome.user,
            status=outcome.status,
            models=outcome.models,
            files=outcome.files,
            bytes=outcome.bytes,
            unsized=outcome.unsized,
            digest=outcome.digest,
        )
        if outcome.stage is not None:
            day = f"{outcome.due:%Y-%m-%d}" if outcome.due is not None and outcome.verdict in NOTICES else UNSET
            task = replace(task, stage=outcome.stage.value, policy=plain(outcome.policy), announced=day)
        self._write(task)
        self._end.add(task)

    def finish(self) -> End:
        """Write the last line, and move the file to its place.

        Raises:
            OSError: it can't be written.
        """
        self._end.sha256 = self._hash.hexdigest()
        self._write(self._end)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.chmod(0o644)  # mkstemp's files are for their owner only; a plan is for others to read
        self._temporary.replace(self._path)
        return self._end

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _write(self, line: _Line) -> None:
        text = _encoded(line)
        self._hash.update(text)
        self._file.write(text)


def read(path: Path, each: Callable[[PlannedTask], None]) -> tuple[Header, End]:
    """Read a plan. What ``each`` got counts only if no error is raised in the end.

    Raises:
        SettingsError: the file can't be read, is not a plan, or was changed or cut off.
    """
    try:
        with path.open("rb") as file:
            return _read(path, file, each)
    except OSError as error:
        raise SettingsError(f"plan {path} can't be read: {error.strerror}. Give the path of a plan file.") from error


def _read(path: Path, file: BinaryIO, each: Callable[[PlannedTask], None]) -> tuple[Header, End]:
    digest, sums, seen = sha256(), End(), set[str]()
    text = file.readline(LONGEST_LINE)
    header = _header(path, text)
    digest.update(text)
    while True:
        text = file.readline(LONGEST_LINE)
        match _decoded(text):
            case PlannedTask() as task if task.id not in seen and header.may_have(task):
                seen.add(task.id)
                sums.add(task)
                each(task)
                digest.update(text)
            case End() as end:
                sums.sha256 = digest.hexdigest()
                if text != _encoded(sums) or file.readline(1):
                    raise _changed(path)
                return header, end
            case _ if not text:
                raise SettingsError(f"plan {path} is cut off: its last line is missing. Get the whole file, or: {AGAIN}.")
            case _:
                raise _changed(path)


def _header(path: Path, text: bytes) -> Header:
    """The first line of a plan. Its format is looked at first: the rest may be another one in other versions."""
    try:
        found = msgspec.json.decode(text)
    except _NOT_JSON:
        found = None
    if not isinstance(found, dict) or found.get("line") != "plan":
        raise SettingsError(f"{path} is not a plan. {AGAIN}.")
    if found.get("format") not in {FORMAT, WITH_POLICIES}:
        raise SettingsError(
            f"plan {path} has format {found.get('format')}, by version {plain(found.get('version'))} of ClearML Cleanup; this "
            f"version reads formats {FORMAT} and {WITH_POLICIES}. {AGAIN} with this version."
        )
    header = _decoded(text)
    if not isinstance(header, Header) or header.settings_sha256 != settings_digest(header.settings):
        raise _changed(path)
    return header


def _encoded(line: _Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _decoded(text: bytes) -> _Line | None:
    """A line; None if it is not one of a plan."""
    try:
        return _decoder.decode(text) if text.endswith(b"\n") else None
    except _NOT_JSON:
        return None


def _changed(path: Path) -> SettingsError:
    return SettingsError(f"plan {path} was changed after it was written: it is not used. {AGAIN}, or get the file once more.")
