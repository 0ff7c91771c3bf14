"""``clearml-cleanup register``: create or update the draft task in ClearML."""

import argparse

from cleanup_job import wiring
from cleanup_job.cli.flags import OF_A_PASS, add_flags, given
from cleanup_job.cli.terminal import say, warn
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft import found, preview, register
from cleanup_job.service_task.draft_settings import DraftSettings
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.settings.model import shown

EXAMPLES = (
    ("clearml-cleanup register --dry-run", "see what would change in the draft"),
    ('clearml-cleanup register --task-name "Cleanup of vision" --projects vision', "a draft of its own for one project"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a pass; the draft gets their values."""
    add_flags(parser, OF_A_PASS, often=("task_project", "task_name"))


def run(options: argparse.Namespace) -> int:
    """Create or update the draft."""
    flags = given(options)
    only_show = flags.pop("dry_run", None)  # the flag is about this command; the draft's setting is CLEANUP_DRY_RUN
    known = wiring.read_settings(flags)
    settings = known[0]
    tasks: ServiceTasks = wiring.service_tasks(settings, wiring.log_in(settings, warn))
    edits, draft = DraftSettings(tasks, warn), found(tasks, settings)
    if only_show:
        changes = preview(tasks, draft, *known)
        say(f"{f'task {draft.id}' if draft else 'no draft yet'}: {'would' if changes else 'nothing to change'}")
        for change in changes:
            say(f"  {change}")
        return 0
    draft = register(tasks, draft, *known, warn)
    say(f"task {draft.id}: draft {draft.name!r} in project {settings.service_task.task_project!r}")
    for name, value in parameters.read(draft.hyperparams, draft.words).items():
        changed = " (edited in ClearML)" if draft.registered.get(name) != value else ""
        say(f"  {parameters.section_of(name)}/{name}={shown(name, value)}{changed}")
    edits.remark(draft, edits.with_edits(known, draft, lambda values: wiring.read_settings(flags, parameters=values))[1])
    if settings.connection.web_host:
        say(
            f"{settings.connection.web_host}/projects/{draft.project}/experiments/{draft.id}/info-output/hyper-params/hyper-param/General"
        )
    return 0
