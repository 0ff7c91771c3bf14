"""The key of a metric is the one of ClearML Server."""

from cleanup_job.planning.metric_key import metric_key


def test_the_key_is_the_recorded_one() -> None:
    recorded = "5d6db9a1dc722586187fc2db530f8388.282385ed881d4e5d164acac99b0aced0"
    assert metric_key("accuracy", "val / top.1") == recorded
