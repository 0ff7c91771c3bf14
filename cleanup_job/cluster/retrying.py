"""How a call of the Kubernetes API is tried again.

Not with `cleanup_job.retry`, whose pauses can't end early: a pass that waits for its lease may get a signal to stop.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

Answer = TypeVar("Answer")


def until_answered(
    call: Callable[[], Answer], may_pass: Callable[[Exception], bool], pauses: Iterable[float], sleep: Callable[[float], None]
) -> Answer:
    """The answer of ``call``, tried again after each of the ``pauses`` in seconds as long as its error ``may_pass``."""
    for pause in pauses:
        try:
            return call()
        except Exception as error:
            if not may_pass(error):
                raise
        sleep(pause)
    return call()
