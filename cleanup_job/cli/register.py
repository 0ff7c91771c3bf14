"""``clearml-cleanup register``: create or update the draft task in ClearML."""

import argparse

from cleanup_job import wiring
from cleanup_job.cli.flags import OF_A_PASS, add_flags, given
from cleanup_job.cli.terminal import say, warn
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft import found, preview, register
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.service import Keeper
from cleanup_job.settings.model import shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting of a pass: what the draft is to say."""
    add_flags(parser, OF_A_PASS)


def run(options: argparse.Namespace) -> int:
    """Make or update the draft."""
    flags = given(options)
    only_show = flags.pop("dry_run", None)  # said of this command; as a setting it is CLEANUP_DRY_RUN
    known = wiring.read_settings(flags)
    settings = known[0]
    tasks: ServiceTasks = wiring.service_tasks(settings, wiring.log_in(settings, warn))
    keeper, draft = Keeper(tasks, warn), found(tasks, settings)
    if only_show:
        changes = preview(tasks, draft, *known)
        say(f"{f'task {draft.id}' if draft else 'no draft yet'}: {'nothing to change' if not changes else 'would'}")
        for change in changes:
            say(f"  {change}")
        return 0
    draft = register(tasks, draft, *known, warn)
    say(f"task {draft.id}: draft {draft.name!r} in project {settings.service_task.task_project!r}")
    for name, value in parameters.read(draft.hyperparams, draft.words).items():
        changed = " (edited in ClearML)" if draft.registered.get(name) != value else ""
        say(f"  {parameters.section_of(name)}/{name}={shown(name, value)}{changed}")
    keeper.remark(draft, keeper.with_edits(known, draft, lambda values: wiring.read_settings(flags, parameters=values))[1])
    if settings.connection.web_host:
        say(
            f"{settings.connection.web_host}/projects/{draft.project}/experiments/{draft.id}/info-output/hyper-params/hyper-param/General"
        )
    return 0
