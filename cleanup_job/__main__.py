"""``python -m cleanup_job`` and the console script: an interrupt ends them quietly, from the first import on."""

import os
import signal
import sys
from typing import Any

from cleanup_job.exit_codes import ExitCode


def main() -> int:
    """Run a command; gives the exit code."""
    signal.signal(signal.SIGINT, _quit)  # imports take a second, and an interrupt in one of them has nothing to tell
    from cleanup_job.cli.main import main as command  # noqa: PLC0415 -- see above

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return command()
    except KeyboardInterrupt:
        return ExitCode.SIGINT
    finally:
        signal.signal(signal.SIGINT, _quit)


def _quit(*_: Any) -> None:
    os._exit(ExitCode.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
