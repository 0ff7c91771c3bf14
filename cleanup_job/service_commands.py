"""The commands for the job's task in ClearML: register its draft, enqueue a clone for an agent."""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from cleanup_job import assemble, parameters
from cleanup_job.flags import add_flags, given
from cleanup_job.report.words import plain
from cleanup_job.rooms import ServiceTasks
from cleanup_job.service import Keeper
from cleanup_job.settings import Settings


def add_arguments(commands: Any, flags: Iterable[str]) -> None:
    """The commands' own parsers."""
    for name, text in (
        ("register", "make or update the draft task in ClearML, whose parameters people edit in the Web UI"),
        ("enqueue", "clone that draft and enqueue the clone for a ClearML Agent; settings given here are for this clone alone"),
    ):
        add_flags(commands.add_parser(name, help=text, description=text, allow_abbrev=False), flags)


def register(options: argparse.Namespace) -> int:
    """Make or update the draft."""
    settings, origins = assemble.read_settings(given(options))
    tasks = _tasks(settings)
    tasks.check()
    draft = Keeper(tasks, _warn).register(tasks.find(), settings, origins, only_given=True)
    _say(f"task {draft.id}: draft {draft.name!r} in project {settings.task_project!r}")
    for name, value in parameters.read(draft.hyperparams, draft.words).items():
        changed = " (edited in ClearML)" if draft.registered.get(name) != value else ""
        _say(f"  {parameters.section_of(name)}/{name}={value}{changed}")
    if settings.web_host:
        _say(
            f"{settings.web_host}/projects/{draft.project}/experiments/{draft.id}/info-output/hyper-params/hyper-param/General"
        )
    return 0


def enqueue(options: argparse.Namespace) -> int:
    """Enqueue a clone of the draft, which is made first where there is none."""
    settings, origins = assemble.read_settings(given(options))
    tasks = _tasks(settings)
    tasks.check()
    draft = tasks.find()
    own = parameters.of_settings(settings, origins)
    overrides = {name: own[name] for name in given(options) if name in own}
    if draft is None or draft.status != "created":
        rest = {name: value for name, value in given(options).items() if name not in own}
        draft = Keeper(tasks, _warn).register(draft, *assemble.read_settings(rest))
    done = Keeper(tasks, _warn).enqueue(draft, settings, datetime.now(UTC), overrides)
    _say(done.text)
    if settings.web_host:
        _say(f"{settings.web_host}/projects/{draft.project}/experiments/{done.line['run']}/output/log")
    return 0


def _tasks(settings: Settings) -> ServiceTasks:
    tasks: ServiceTasks = assemble.service_tasks(settings, assemble.log_in(settings, _warn))
    return tasks


def _say(text: str) -> None:
    Console(soft_wrap=True).print(plain(text), markup=False, highlight=False)


def _warn(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"warning: {plain(text)}", style="yellow", markup=False, highlight=False)
