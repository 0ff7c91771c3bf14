"""``python -m cleanup_job`` and the console script. An interrupt ends them without a traceback, even during imports."""

import gc
import os
import signal
import sys
from typing import Any

from cleanup_job.exit_codes import ExitCode


def main() -> int:
    """Run a command and return its exit code."""
    signal.signal(signal.SIGINT, _quit)  # imports take a while, and an interrupt during one needs no message
    from cleanup_job.cli.main import main as command  # noqa: PLC0415 -- see above

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return command()
    except KeyboardInterrupt:
        return ExitCode.SIGINT
    finally:
        signal.signal(signal.SIGINT, _quit)
        gc.freeze()  # or Python searches all that libraries have made for cycles as it ends: a third of a pass without work


def _quit(*_: Any) -> None:
    os._exit(ExitCode.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
