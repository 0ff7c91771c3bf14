"""The commands for the job's task in ClearML: register its draft, enqueue a clone for an agent."""

import argparse
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from cleanup_job import wiring
from cleanup_job.cli.flags import add_flags, given
from cleanup_job.report.words import plain
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft import found, preview
from cleanup_job.service_task.draft import register as make
from cleanup_job.service_task.edits import Read, registered
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.service import Keeper
from cleanup_job.settings.model import Settings, shown


def add_arguments(commands: Any, flags: Iterable[str]) -> None:
    """The commands' own parsers."""
    for name, text in (
        ("register", "make or update the draft task in ClearML, whose parameters people edit in the Web UI"),
        ("enqueue", "clone that draft and enqueue the clone for a ClearML Agent; settings given here are for this clone alone"),
    ):
        add_flags(commands.add_parser(name, help=text, description=text, allow_abbrev=False), flags)


def register(options: argparse.Namespace) -> int:
    """Make or update the draft."""
    flags = given(options)
    only_show = flags.pop("dry_run", None)  # said of this command; as a setting it is CLEANUP_DRY_RUN
    known = wiring.read_settings(flags)
    settings = known[0]
    tasks = _tasks(settings)
    keeper, draft = Keeper(tasks, _warn), found(tasks, settings)
    if only_show:
        changes = preview(tasks, draft, *known)
        _say(f"{f'task {draft.id}' if draft else 'no draft yet'}: {'nothing to change' if not changes else 'would'}")
        for change in changes:
            _say(f"  {change}")
        return 0
    draft = make(tasks, draft, *known, _warn)
    _say(f"task {draft.id}: draft {draft.name!r} in project {settings.service_task.task_project!r}")
    for name, value in parameters.read(draft.hyperparams, draft.words).items():
        changed = " (edited in ClearML)" if draft.registered.get(name) != value else ""
        _say(f"  {parameters.section_of(name)}/{name}={shown(name, value)}{changed}")
    keeper.remark(draft, keeper.with_edits(known, draft, _over(flags))[1])
    if settings.connection.web_host:
        _say(
            f"{settings.connection.web_host}/projects/{draft.project}/experiments/{draft.id}/info-output/hyper-params/hyper-param/General"
        )
    return 0


def enqueue(options: argparse.Namespace) -> int:
    """Enqueue a clone of the draft, which is made first where there is none."""
    flags = given(options)
    operator = wiring.read_settings(flags)
    settings = operator[0]
    tasks = _tasks(settings)
    keeper, draft = Keeper(tasks, _warn), found(tasks, settings)
    if draft is None or not draft.is_draft:
        rest = {name: value for name, value in flags.items() if name not in parameters.TRANSFERABLE}
        draft = make(tasks, draft, *wiring.read_settings(rest), _warn)
    # What the draft's release said counts where nothing is said here: nobody has a release's whole environment at hand.
    if not settings.service_task.task_requirement:
        tasks.install_as(draft)
    release = registered(operator, dict(draft.registered), draft.words)
    operator = wiring.read_settings(flags, parameters=release)
    known, notes = keeper.with_edits(operator, draft, lambda edits: _over(flags)({**release, **edits}))
    keeper.remark(draft, notes)
    done = keeper.enqueue(draft, known, parameters.statement_of(*operator), datetime.now(UTC))
    _say(done.text)
    if settings.connection.web_host:
        _say(f"{settings.connection.web_host}/projects/{draft.project}/experiments/{done.line['run']}/output/log")
    return 0


def _over(flags: Mapping[str, Any]) -> Read:
    """Reads the settings of this command with values of a task."""
    return lambda values: wiring.read_settings(flags, parameters=values)


def _tasks(settings: Settings) -> ServiceTasks:
    tasks: ServiceTasks = wiring.service_tasks(settings, wiring.log_in(settings, _warn))
    return tasks


def _say(text: str) -> None:
    Console(soft_wrap=True).print(plain(text), markup=False, highlight=False)


def _warn(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"warning: {plain(text)}", style="yellow", markup=False, highlight=False)
