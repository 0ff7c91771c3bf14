"""What exit codes and stop reasons mean."""

EXIT_CODES = {
    0: "done",
    1: "unexpected error",
    2: "wrong settings or credentials, or refused",
    3: "done in part: what is left or failed waits for the next pass",
    4: "server unreachable",
    5: "another pass holds the lease",
    6: "the lease was lost in mid-pass",
    130: "stopped by SIGINT after the batches in progress",
    143: "stopped by SIGTERM after the batches in progress",
}
IN_PART = (3, 130, 143)
"""Exit codes of a pass that did well what it did, but did not do all."""

STOPPED = {
    "max_tasks": "the budget is used up (CLEANUP_MAX_TASKS)",
    "deadline": "the time was over (CLEANUP_DEADLINE_SECONDS)",
    "SIGTERM": "it was told to stop (SIGTERM)",
    "SIGINT": "it was told to stop (SIGINT)",
    "aborted": "its run was aborted in ClearML",
    "lease": "it lost its lease, and another pass may have begun",
    "output": "its output could not be written",
    "unreachable": "the server could not be reached",
}
