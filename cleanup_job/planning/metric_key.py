"""How ClearML names a metric in a task's record."""

from hashlib import md5


def metric_key(title: str, series: str) -> str:
    """The path below ``last_metrics`` of a metric, by its title and series as they were reported.

    The server uses the MD5 of each, since a name may have any characters (recording ``list_by_metric``).
    """
    return ".".join(md5(name.encode(), usedforsecurity=False).hexdigest() for name in (title, series))
