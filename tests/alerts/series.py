"""Series as kube-state-metrics and the Pushgateway have them, of release `nightly` in namespace `ml`."""

from collections.abc import Callable, Mapping

from tests.alerts.promtool import DAY, HOUR, Hourly, series

CRONJOB = {"namespace": "ml", "cronjob": "nightly-clearml-cleanup"}
RELEASE = {"job": "clearml-cleanup", "namespace": "ml", "release": "nightly"}
"""The grouping key of what is pushed, with `honor_labels`."""


def night(hour: int, starts: int = 3) -> int:
    """The number of nightly starts up to this hour, the first one at 03:00 of the first day."""
    return (hour + 24 - starts) // 24


def nightly(hour: int) -> float | None:
    """The time of the last success, if each night's pass succeeds."""
    return (night(hour) - 1) * DAY + 3 * HOUR if night(hour) else None


def cronjob(
    hours: int,
    succeeded: Hourly = nightly,
    *,
    suspended: Callable[[int], bool] = lambda _: False,
    labels: Mapping[str, str] = CRONJOB,
) -> list[dict[str, str]]:
    """What kube-state-metrics has of a CronJob that was made at the beginning."""
    return [
        series("kube_cronjob_created", labels, lambda _: 0, hours),
        series("kube_cronjob_spec_suspend", labels, suspended, hours),
        series("kube_cronjob_status_last_successful_time", labels, succeeded, hours),
    ]


def job(hours: int, name: str, created: int, ended: Mapping[str, int], owner: str = CRONJOB["cronjob"]) -> list[dict[str, str]]:
    """What it has of a Job that was made in this hour; ``ended`` is the hour of each of its conditions: failed, complete."""
    labels = {"namespace": "ml", "job_name": name}

    def since(start: int, value: float) -> Hourly:
        return lambda hour: value if hour >= start else None

    kind = "CronJob" if owner else ""
    found = [
        series("kube_job_created", labels, since(created, created * HOUR), hours),
        series("kube_job_owner", labels | {"owner_kind": kind, "owner_name": owner}, since(created, 1), hours),
        series("kube_job_status_failed", labels | {"reason": ""}, since(created, 1), hours),
    ]
    for condition, hour in ended.items():
        for status in ("true", "false", "unknown"):
            value = float(status == "true")
            found.append(series(f"kube_job_{condition}", labels | {"condition": status}, since(hour, value), hours))
    return found


def pushed(hours: int, name: str, hourly: Hourly, **labels: str) -> dict[str, str]:
    """One series of the Pushgateway, without `clearml_cleanup_last_`."""
    return series(f"clearml_cleanup_last_{name}", RELEASE | labels, hourly, hours)
