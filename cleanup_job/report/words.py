"""Old names, until no branch uses them any more."""

from cleanup_job.report.formatting import *  # noqa: F403
from cleanup_job.report.phrases import *  # noqa: F403
