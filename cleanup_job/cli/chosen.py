"""The flags of ``run`` that choose tasks: by id, or by a plan that was approved; and the one that writes a plan."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cleanup_job.cli.task_ids import task_ids
from cleanup_job.errors import SettingsError
from cleanup_job.job.plans import PlanFile, approved
from cleanup_job.planning.selection import Chosen
from cleanup_job.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """What these flags ask of a pass."""

    chosen: Chosen | None = None
    """The only tasks that may be deleted; None if it may be any."""
    plan: PlanFile | None = None
    """Gets what would be deleted."""
    text: str = ""
    """A line about the plan that is carried out."""


def add_chosen_flags(parser: Any) -> None:
    """Add them to a parser, or to a group of one."""
    parser.add_argument(
        "--task",
        metavar="ID",
        dest="chosen_tasks",
        action="extend",
        nargs="+",
        help="look at these tasks only, by ID or by the address of their page; every setting still counts",
    )
    parser.add_argument(
        "--plan",
        metavar="FILE",
        dest="plan",
        type=Path,
        help="with --dry-run: also write what would be deleted to this file, to be approved",
    )
    parser.add_argument(
        "--from-plan",
        metavar="FILE",
        dest="from_plan",
        type=Path,
        help="delete the tasks of this plan and no others, as far as they are unchanged and every setting still allows it",
    )


def asked_of(options: argparse.Namespace, settings: Settings) -> Asked:
    """What the flags ask for.

    Raises:
        SettingsError: the flags contradict each other or the settings, a task's id is wrong, or the plan can't be used.
    """
    named = {
        "--task": options.chosen_tasks is not None,
        "--plan": options.plan is not None,
        "--from-plan": options.from_plan is not None,
    }
    flags = [flag for flag, given in named.items() if given]
    if not flags:
        return Asked()
    _check_settings(flags[0], settings)
    if options.plan is not None and not settings.run.dry_run:
        raise SettingsError(
            f"--plan {options.plan}: a plan is written by a dry run. Add --dry-run; once the plan is approved, "
            f"`clearml-cleanup run --from-plan {options.plan}` deletes what is in it."
        )
    plan = PlanFile(options.plan) if options.plan is not None else None
    if options.from_plan is not None:
        if options.chosen_tasks is not None:
            raise SettingsError("--task and --from-plan: a plan names its tasks itself. Leave one of the two out.")
        found = approved(options.from_plan, settings)
        return Asked(found.chosen, plan, found.text)
    if options.chosen_tasks is not None:
        return Asked(Chosen(dict.fromkeys(task_ids(options.chosen_tasks))), plan)
    return Asked(plan=plan)


def arguments_of(options: argparse.Namespace) -> list[str]:
    """The same flags, for the container of a Job.

    Raises:
        SettingsError: a task's id is wrong.
    """
    arguments = [f"--task={task}" for task in task_ids(options.chosen_tasks or ())]
    for flag, value in (("--plan", options.plan), ("--from-plan", options.from_plan)):
        arguments += [f"{flag}={value}"] if value is not None else []
    return arguments


def _check_settings(flag: str, settings: Settings) -> None:
    """Check that the pass is one of its own, with settings that are known by now."""
    if settings.run.shards > 1:
        raise SettingsError(
            f"{flag}: CLEANUP_SHARDS={settings.run.shards} divides a pass among several pods, and this is for a single one. "
            "Set it to 1 for this pass (in the chart, `shards: 1`)."
        )
    if settings.service_task.task_id is not None:
        raise SettingsError(
            f"{flag}: this pass runs in task {settings.service_task.task_id} with the settings of its release. Leave {flag} "
            "out, or unset CLEARML_TASK_ID."
        )
    if settings.service_task.task:
        raise SettingsError(
            f"{flag}: with CLEANUP_TASK=true, the settings of the pass are only known once its task in ClearML is read. Set "
            "CLEANUP_TASK=false for this pass (--no-service-task; for `trigger`, --set task=false)."
        )
