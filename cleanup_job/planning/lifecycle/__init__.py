"""The life of a task by policy: when its stages come, what keeps it, what is announced. Pure: no I/O."""
