"""A process that holds a Lease until its standard input ends: `holder.py NAME NAMESPACE SECONDS`."""

import signal
import sys

from cleanup_job.cluster.lease import hold
from cleanup_job.errors import LeaseHeldError


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- that is how the test hears of it


signal.alarm(300)  # whatever becomes of the test, this process ends
name, namespace, seconds = sys.argv[1:]
try:
    with hold(name, namespace, duration=float(seconds), on_lost=lambda reason: say(f"lost {reason}")) as held:
        say(f"held {held.identity}")
        sys.stdin.read()
except LeaseHeldError as error:
    say(f"refused {error}")
    sys.exit(error.exit_code)
