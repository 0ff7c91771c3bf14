"""The sweep for files without a record."""

from typing import Annotated, ClassVar

from pydantic import Field

from cleanup_job.settings.fields import Group, Names, option
from cleanup_job.settings.scopes import Scope


class SweepSettings(Group):
    """Where a sweep looks, and when it refuses."""

    heading: ClassVar = "Sweep"
    scope: ClassVar = Scope.SWEEP
    sweeps: ClassVar = True
    chart: ClassVar = False

    sweep_stores: Names = option(
        (),
        "Where to look for task folders without a record, and what `usage` lists: `s3://`, `gs://` and `azure://` URLs, and "
        "absolute paths of mounted folders, such as the fileserver's volume.",
        flag="--store",
    )
    sweep_delete: bool = option(
        False,
        "Delete the folders that are older than the grace period. If false, they are only reported.",
        flag="--delete",
    )
    sweep_grace_days: Annotated[float, Field(ge=1, le=36_500, allow_inf_nan=False)] = option(
        30.0,
        "Grace period: keep folders in which a file has changed within this many days.",
        flag="--grace-days",
    )
    sweep_known_one_in: int = option(
        10,
        "Safety limit: refuse to sweep (exit code 2) if the server knows fewer than one in this many of the folders' tasks; it "
        "is then probably the wrong server, or has a new database.",
        flag="--known-one-in",
        rare=True,
        ge=1,
        le=1_000_000,
    )
    sweep_refuse_above: float = option(
        0.5,
        "Safety limit: refuse to sweep (exit code 2) if more than this share of the folders would be deleted, or if the server "
        "doesn't know most of the folders younger than the grace period.",
        flag="--refuse-above",
        rare=True,
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    sweep_i_know: str | None = option(
        None,
        "The API server's host name, to sweep regardless of how few tasks it knows and how many folders would be deleted.",
        flag="--i-know",
        rare=True,
    )
