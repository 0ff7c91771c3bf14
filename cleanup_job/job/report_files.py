"""The report files of a pass: those with a line for each task grow while it runs, the others are written at its end."""

from collections.abc import Callable, Iterator, Mapping

from cleanup_job.passes.ports import Observer
from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.report import files
from cleanup_job.report.interface import Destination
from cleanup_job.report.task_rows import TaskRows


class ReportFiles(Observer):
    """All report files that the settings name. One that can't be written never ends a pass."""

    def __init__(self, report: Report, places: Mapping[str, Destination], warn: Callable[[str], None]) -> None:
        """Nothing is written yet.

        Args:
            report: The report, which is filled in during the pass.
            places: Where to write, by the addresses that the settings have.
            warn: Gets what can't be written, as soon as that is known.
        """
        self._report = report
        self._warn = warn
        self._whole = {address: place for address, place in places.items() if place.ending not in files.STREAMED}
        self._to_begin = {address: place for address, place in places.items() if place.ending in files.STREAMED}
        self._streams: dict[str, files.Stream] = {}
        self._failures: list[str] = []
        self._rows = TaskRows() if any(place.ending == files.PAGE for place in places.values()) else None

    def begin(self) -> None:
        """Begin the files that grow. The report has a cut-off now."""
        while self._to_begin:
            address, place = self._to_begin.popitem()
            try:
                self._streams[address] = files.Stream(self._report, place)
            except OSError as error:
                self._lose(address, error)

    def outcome(self, outcome: TaskOutcome) -> None:
        """Add a task to the files that grow, and to those that the page will have."""
        if self._rows is not None:
            self._rows.add(outcome)
        for address, stream in list(self._streams.items()):
            try:
                stream.add(outcome)
            except OSError as error:
                del self._streams[address]
                self._lose(address, error)

    def finish(self) -> Iterator[str]:
        """End all files, as the report is by then. Gives what could not be written, before the files that can tell of it."""
        self.begin()
        yield from self._failures
        for address, stream in self._streams.items():
            try:
                stream.finish()
            except OSError as error:
                yield _problem(address, error)
        for address, place in self._whole.items():
            try:
                files.write(self._report, place, self._rows)
            except OSError as error:
                yield _problem(address, error)

        if self._rows is not None:
            self._rows.close()

    def abandon(self) -> None:
        """Leave the files that grew as they are: the pass ended in a way that has no report."""
        for stream in self._streams.values():
            stream.abandon()
        if self._rows is not None:
            self._rows.close()

    def _lose(self, address: str, error: OSError) -> None:
        problem = _problem(address, error)
        self._failures.append(problem)
        self._warn(f"{problem}. The pass continues without it.")


def _problem(address: str, error: OSError) -> str:
    return f"CLEANUP_REPORT={address} could not be written: {error}"
