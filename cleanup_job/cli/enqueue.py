"""``clearml-cleanup enqueue``: clone the draft task and enqueue the clone for a ClearML Agent."""

import argparse
from datetime import UTC, datetime

from cleanup_job import wiring
from cleanup_job.cli.flags import OF_A_PASS, add_flags, given
from cleanup_job.cli.terminal import say, warn
from cleanup_job.errors import SettingsError
from cleanup_job.planning import contradictions
from cleanup_job.service_task import parameters
from cleanup_job.service_task.draft import found, register
from cleanup_job.service_task.draft_settings import DraftSettings
from cleanup_job.service_task.edits import registered
from cleanup_job.service_task.ports import ServiceTasks
from cleanup_job.service_task.runs import DraftRuns

EXAMPLES = (
    ("clearml-cleanup enqueue --dry-run", "let an agent list what would be deleted"),
    ("clearml-cleanup enqueue --queue services --max-tasks 1000", "delete at most 1,000 tasks in this pass"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a pass; it applies to this clone alone."""
    add_flags(parser, OF_A_PASS, often=("task_queue", "task_project", "task_name"))


def run(options: argparse.Namespace) -> int:
    """Enqueue a clone of the draft, which is created first if there is none."""
    flags = given(options)
    operator = wiring.read_settings(flags)
    settings = operator[0]
    if settings.policies.policies is not None:
        raise SettingsError(
            f"CLEANUP_POLICIES={settings.policies.policies}: an agent has no such file. Run passes with policies in pods "
            "(clearml-cleanup trigger), or unset CLEANUP_POLICIES."
        )
    tasks: ServiceTasks = wiring.service_tasks(settings, wiring.log_in(settings, warn))
    edits, draft = DraftSettings(tasks, warn), found(tasks, settings)
    if draft is None or not draft.is_draft:
        rest = {name: value for name, value in flags.items() if name not in parameters.TRANSFERABLE}
        draft = register(tasks, draft, *wiring.read_settings(rest), warn)
    # The release's settings count where none are given here: the user's shell doesn't have the release's environment.
    if not settings.service_task.task_requirement:
        tasks.install_as(draft)
    release = registered(operator, dict(draft.registered), draft.words)
    operator = wiring.read_settings(flags, parameters=release)
    known, notes = edits.with_edits(
        operator, draft, lambda values: wiring.read_settings(flags, parameters={**release, **values})
    )
    # Under the agent, a contradiction is only warned of: there it looks like what people edited.
    wrong = contradictions.of_settings(known[0].filters)
    if wrong and contradictions.of_settings(operator[0].filters):
        raise SettingsError(wrong)
    edits.remark(draft, notes)
    done = DraftRuns(tasks, warn).enqueue(draft, known, parameters.statement_of(*operator), datetime.now(UTC))
    say(done.text)
    if settings.connection.web_host:
        say(f"{settings.connection.web_host}/projects/{draft.project}/experiments/{done.line['run']}/output/log")
    return 0
