"""What a run prints and writes."""

import os
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import field_validator

from cleanup_job.settings.fields import Group, option
from cleanup_job.settings.scopes import Edit, Scope


class OutputSettings(Group):
    """The log, and the report as a file."""

    heading: ClassVar = "Output"

    log_format: Literal["auto", "json", "text"] = option(
        "auto",
        "`json`: one object per line. `text`: progress and tables for people. `auto`: text on a terminal, otherwise json.",
        scope=Scope.POD,
        sweeps=True,
    )
    log_level: Literal["debug", "info", "warning", "error"] = option(
        "info", "Least severe log lines to print.", edit=Edit.LISTED, sweeps=True, rare=True
    )
    report: Path | None = option(
        None,
        "Write a report to this file; its suffix decides the format: .json, .html or .md.",
        scope=Scope.POD,
        file=True,
    )

    @field_validator("report")
    @classmethod
    def _can_be_written(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix not in {".json", ".html", ".md"}:
            message = "use a file name that ends in .json, .html or .md"
            raise ValueError(message)
        if value is not None and not os.access(value.parent, os.W_OK):
            message = "use a folder that exists and can be written to"
            raise ValueError(message)
        return value
