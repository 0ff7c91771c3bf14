"""Plans: written by a dry run, and approved by someone before a pass deletes what is in them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cleanup_job.errors import SettingsError
from cleanup_job.exit_codes import DID_WELL, ExitCode, StopReason
from cleanup_job.passes.ports import Observer
from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.selection import Chosen
from cleanup_job.report.formatting import at_least, counted, duration
from cleanup_job.report.plan_file import FORMAT, WITH_POLICIES, Header, PlannedTask, PlanWriter, read, settings_digest
from cleanup_job.settings.deciding import deciding, differences
from cleanup_job.settings.model import Settings

_PORTS = {"http": 80, "https": 443}
_ENDED_EARLY = {
    StopReason.MAX_TASKS: "raise CLEANUP_MAX_TASKS for this dry run",
    StopReason.DEADLINE: "raise CLEANUP_DEADLINE_SECONDS for this dry run",
}
"""What to do about a dry run that did not look at everything."""


class PlanFile(Observer):
    """The plan of a dry run, written while it runs. It is there only if the dry run looked at everything."""

    def __init__(self, path: Path | None = None) -> None:
        """Nothing is written yet; without a path, nothing is written at all."""
        self._path = path
        self._writer: PlanWriter | None = None
        self._error: OSError | None = None

    def open(self) -> None:
        """Find out whether it can be written.

        Raises:
            SettingsError: it can't, or there is a file that it would replace.
        """
        if self._path is None:
            return
        if self._path.exists():
            raise SettingsError(
                f"--plan {self._path}: there is such a file, which may have been approved. Choose another name, or delete it."
            )
        try:
            self._writer = PlanWriter(self._path)
        except OSError as error:
            raise SettingsError(
                f"--plan {self._path}: it can't be written ({error.strerror}). Name a file in a folder that exists and can be "
                "written to."
            ) from error

    def begin(self, settings: Settings, report: Report, user: Callable[[], str]) -> None:
        """Note for what the plan will hold; the report has a cut-off now. ``user`` finds out the id of the key's user.

        Raises:
            UnreachableError: the server gives no usable answer.
        """
        if self._writer is None:
            return
        values = deciding(settings)
        header = Header(
            format=FORMAT if settings.policies.document is None else WITH_POLICIES,
            version=report.version,
            server=report.server,
            user=user(),
            started=report.started,
            cutoff=report.cutoff,
            settings=values,
            settings_sha256=settings_digest(values),
        )
        try:
            self._writer.begin(header)
        except OSError as error:
            self._lose(error)

    def outcome(self, outcome: TaskOutcome) -> None:
        """Add a task that would be deleted, or with which its policy would do something else."""
        if self._writer is not None:
            try:
                self._writer.add(outcome)
            except OSError as error:
                self._lose(error)

    def end(self, report: Report) -> str:
        """Complete the plan, or say in the report why there is none; gives a line about it, empty if there is no plan."""
        if self._writer is None and self._error is None:
            return ""  # it could not be opened, which the report says
        try:
            why = self._why_not(report)
            if not why and self._writer is not None:
                end = self._writer.finish()
                self._writer = None
                what = f"{counted(end.tasks, 'task')}, {counted(end.files, 'file')}, {at_least(end.bytes, end.unsized)}"
                what += f"; {end.also}" if end.also else ""
                return f"The plan is in {self._path}: {what}. SHA-256 of its lines before the last: {end.sha256}"
        except OSError as error:
            why = f"it can't be written ({error.strerror}); free some space, or name another file"
        finally:
            self.discard()
        message = f"no plan was written to {self._path}: {why}"
        report.error = f"{report.error}; {message}" if report.error else message
        report.exit_code = report.exit_code or (ExitCode.UNEXPECTED if self._error is not None else ExitCode.IN_PART)
        return ""

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.discard()
        self._writer = None

    def _lose(self, error: OSError) -> None:
        self._error = error
        self.discard()

    def _why_not(self, report: Report) -> str:
        """Why there is no plan."""
        if self._error is not None:
            return f"it can't be written ({self._error.strerror}); free some space, or name another file"
        if report.error or report.exit_code not in {ExitCode.DONE, *DID_WELL}:
            return "the dry run did not end well"
        if report.stopped_by is not None or report.unfinished:
            way_out = _ENDED_EARLY.get(report.stopped_by) if report.stopped_by is not None else None
            return f"the dry run did not look at all tasks; {way_out or 'let it run to its end'}"
        return ""


@dataclass(frozen=True, slots=True)
class Approved:
    """A plan that may be carried out."""

    chosen: Chosen
    text: str
    """What it is, in a line."""


def approved(path: Path, settings: Settings) -> Approved:
    """Read a plan that is to be carried out with these settings.

    Raises:
        SettingsError: it is not a whole plan, or is for another server or other settings.
    """
    digests: dict[TaskId, str | None] = {}

    def each(task: PlannedTask) -> None:
        digests[TaskId(task.id)] = task.digest

    header, end = read(path, each)
    here = settings.connection.api_host
    if _place(header.server) != _place(here):
        raise SettingsError(
            f"plan {path} is for {header.server}, and CLEARML_API_HOST is {here}: it is not used. Set CLEARML_API_HOST to the "
            "address with which the plan was made, or make a plan of this server."
        )
    if found := differences(header.settings, settings):
        raise SettingsError(
            f"plan {path} was made with other settings, so it is not used: {'; '.join(found)}. Set them as in the plan, or "
            "make a new plan with these settings."
        )
    age = _age((datetime.now(UTC) - header.started).total_seconds())
    what = f"{counted(end.tasks, 'task')}, {at_least(end.bytes, end.unsized)}" + (f"; {end.also}" if end.also else "")
    return Approved(Chosen(digests), f"plan {path}: {what}; made {age} ago ({header.started:%Y-%m-%d %H:%M} UTC)")


def _age(seconds: float) -> str:
    days = int(seconds // 86_400)
    return counted(days, "day") if days > 0 else duration(max(0.0, seconds))


def _place(address: str) -> tuple[str, str | None, int | None, str]:
    """A server's address, so that those of one server are equal however they are written."""
    parts: SplitResult = urlsplit(address)
    return parts.scheme.lower(), parts.hostname, parts.port or _PORTS.get(parts.scheme.lower()), parts.path.rstrip("/")
