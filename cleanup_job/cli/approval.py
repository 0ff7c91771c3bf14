"""A pass on a terminal: it is planned first, and deletes what was planned once someone has said yes."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from select import select
from typing import Any, NoReturn

from rich.console import Console

from cleanup_job.cli.streams import watched
from cleanup_job.cli.terminal import say
from cleanup_job.cli.text_output import PlanOutput, Shown, TextOutput
from cleanup_job.exit_codes import ExitCode
from cleanup_job.job.at_terminal import Approvable, PassAtTerminal, Plan, is_to_be_approved, settings_of_plan
from cleanup_job.job.plans import PlanFile
from cleanup_job.passes.stop import Stop
from cleanup_job.planning.outcome import Report, TaskOutcome
from cleanup_job.planning.selection import Chosen
from cleanup_job.report import stages
from cleanup_job.report.formatting import at_least, counted, plain
from cleanup_job.settings.model import Settings

LISTENS = 0.5
"""Seconds between two looks for Ctrl-C while nothing is typed."""
YES = frozenset({"y", "yes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTerminal:
    """What someone asks of a pass on a terminal."""

    settings: Settings
    origins: dict[str, str]
    flags: Mapping[str, Any]
    yes: bool = False
    """Whether it may delete without a question."""
    every_task: bool = False
    """Whether each task that is deleted, or would be, is shown."""
    chosen: Chosen | None = None
    """The only tasks that it may delete; None if it may be any."""
    plan: PlanFile | None = None
    """Gets what a dry run would delete."""

    def run(self) -> int:
        """Run the pass, after a plan that is approved unless it is a dry run or was approved beforehand.

        Gives its exit code: 0 if the answer was no.
        """
        if self.settings.run.dry_run or self.yes:
            return self._pass(Shown(every_task=self.every_task, asks=False), self.chosen)
        planned, approvable = self._plan()
        if not is_to_be_approved(planned):
            return planned.exit_code
        if not _approved(question(planned)):
            say("Nothing was changed." if planned.stages else "Nothing was deleted.")
            return ExitCode.DONE
        shown = Shown(every_task=self.every_task, head=False, told=frozenset(planned.warnings))
        return self._pass(shown, approvable.chosen)

    def _plan(self) -> tuple[Report, Approvable]:
        approvable, stop = Approvable(), Stop()
        output = _Planning(Console(), self._level, approvable, Shown(every_task=self.every_task, is_plan=True))
        with watched(stop):
            plan = Plan(settings_of_plan(self.settings), self.origins, self.flags, output, stop, _leave, chosen=self.chosen)
            code = plan.run()
        if stop.patience() is not None:
            _leave(code)
        return plan.report, approvable

    def _pass(self, shown: Shown, chosen: Chosen | None) -> int:
        stop = Stop()
        output = TextOutput(Console(), self._level, shown)
        with watched(stop):
            code = PassAtTerminal(
                self.settings, self.origins, self.flags, output, stop, _leave, chosen=chosen, plan=self.plan
            ).run()
        if stop.patience() is not None:
            _leave(code)  # what hangs in a thread would be waited for otherwise
        return code

    @property
    def _level(self) -> str:
        return self.settings.output.log_level


class _Planning(PlanOutput):
    """Remembers what may be approved."""

    def __init__(self, console: Console, level: str, approvable: Approvable, shown: Shown) -> None:
        super().__init__(console, level, shown)
        self._approvable = approvable

    def outcome(self, outcome: TaskOutcome) -> None:
        self._approvable.add(outcome)
        super().outcome(outcome)


def question(planned: Report) -> str:
    """What would be deleted, and what policies would do besides, and where, as a question."""
    total, more = planned.total(), stages.phrases(planned)
    what = [counted(total.tasks, "task"), counted(total.models, "model"), counted(total.files, "file")]
    known = f" ({at_least(total.bytes, total.unsized)})" if total.files else ""
    emptied = f" and {counted(len(planned.emptied), 'emptied project')}" if planned.emptied else ""
    doing = [f"delete {', '.join(what)}{known}{emptied}"] if total.tasks or not more else []
    asked = ", ".join([*doing, *more])
    return f"{asked[0].upper()}{asked[1:]} on {plain(planned.server)} ? [y/N] "


def _approved(text: str) -> bool:
    """Whether someone says yes. What was typed before the question doesn't count; its end, or Ctrl-C, means no."""
    with suppress(ImportError, OSError):
        import termios  # noqa: PLC0415 -- not on every system

        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
        while not select([sys.stdin], [], [], LISTENS)[0]:
            pass  # a signal that comes right before a read would not interrupt it
        answer = sys.stdin.readline()
    except (KeyboardInterrupt, UnicodeDecodeError):
        answer = ""
    if not answer.endswith("\n"):
        sys.stdout.write("\n")
    return answer.strip().lower() in YES


def _leave(code: int) -> NoReturn:
    """End at once, without waiting for threads."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
