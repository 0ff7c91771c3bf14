"""One pass of an installed release: its Job, and how its pods ended."""

from dataclasses import dataclass, field
from typing import Any

from cleanup_job.cluster import obstacles
from cleanup_job.cluster.connection import Document
from cleanup_job.cluster.cronjob import by_age, container_of, ending, state_of
from cleanup_job.cluster.pod_ends import Cause, PodEnd, cause_of, has_ended, job_cause, pod_end, shard_of

_FAILURES = "batch.kubernetes.io/job-index-failure-count"
"""The annotation of a pod that says how often its shard failed before."""
_SKIPPED = {"enqueued": "handed_over", "not_due": "not_due"}
"""The event in the termination message of a Job that ran no pass, and what `skipped` is then."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """One Job, and what its last pod said when it ended."""

    job: str
    started: str | None
    finished: str | None
    manual: bool
    state: str
    """``running``, ``waiting`` for its pod to run, ``suspended``, ``complete``, or ``failed``."""
    reason: str
    """Why it failed, in Kubernetes' words."""
    exit_code: int | None
    """None while it has not ended, and where the pod was deleted."""
    summary: dict[str, Any] | None
    """The termination message, as docs/log-schema.md describes it; None where the pod was deleted or said something else."""
    said: str
    """The termination message of a pass that has no summary."""
    shards: list[dict[str, Any]] | None = None
    """Of a pass in several pods, the ``shard``, ``exit_code``, ``summary``, ``cause`` and ``explanation`` of each.

    The fields above have the sum and the highest code."""
    message: str = ""
    """Kubernetes' sentence beside ``reason``."""
    cause: str = ""
    """What ended it from outside: ``OOMKilled``, ``Evicted``, ``DeadlineExceeded``, ``Killed``, or Kubernetes' other reasons.

    Empty if it ended by itself, or has not ended."""
    explanation: str = ""
    """The cause in words, with the way out."""
    tries: int = 0
    """Pods so far that count for the Job's ``backoffLimit``; with shards, those of the shard with most. 0 without a pod."""
    max_tries: int | None = None
    """How many there can be."""
    tries_before: list[dict[str, Any]] = field(default_factory=list)
    """Earlier pods that are still there, oldest first: ``pod``, and what ``shards`` has of each."""
    pod: str = ""
    """Name of the newest pod."""
    obstacles: list[str] = field(default_factory=list)
    """Why it has no pod, or why its pod does not start."""
    skipped: str = ""
    """``handed_over`` to a ClearML Agent, or ``not_due``: then the Job ran no pass, and ``said`` is why."""
    run_before: dict[str, Any] | None = None
    """The run that an agent was given before, if it did not do its whole pass: ``run``, ``status``, ``reason``, ``link``."""

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state in {"running", "waiting", "suspended"}


def pass_result(job: Document, pods: list[Document], events: list[Document]) -> PassResult:
    """What is known of a pass: by its Job, the pods of this Job, and the Job's events `FailedCreate`."""
    seen = _Seen(job, pods)
    status, failure, ends = job.get("status") or {}, seen.failure, seen.telling
    cause, skipped = seen.cause(), _without_pass(ends)
    return PassResult(
        job=seen.name,
        started=status.get("startTime"),
        finished=status.get("completionTime", failure.get("lastTransitionTime")),
        manual=_is_manual(job),
        state=seen.state(),
        reason=failure.get("reason", ""),
        exit_code=seen.exit_code(),
        summary=_summary(ends, divided=seen.is_divided),
        said=skipped.get("message") or _text(ends),
        shards=[_of_shard(end) for end in seen.ends] if seen.is_divided else None,
        message=failure.get("message", ""),
        cause=cause.word,
        explanation=cause.text,
        tries=_tries(job, seen.newest),
        max_tries=_max_tries(job),
        tries_before=[_as_try(pod_end(pod)) for pod in seen.tries_before()],
        pod=next((pod["metadata"]["name"] for pod in seen.newest[::-1]), ""),
        obstacles=seen.obstacles(events) if seen.is_live else [],
        skipped=_SKIPPED.get(skipped.get("event", ""), ""),
        run_before=skipped.get("run_before"),
    )


_NO_CAUSE = Cause("", "")


class _Seen:
    """A Job and its pods, as they are now."""

    def __init__(self, job: Document, pods: list[Document]) -> None:
        """Sort the pods: the newest of each shard, and those before."""
        self.job = job
        self.name: str = job["metadata"]["name"]
        self.container: str = container_of(job["spec"]["template"])["name"]
        self.is_live = ending(job) is None
        self.is_divided = _shards(job) is not None
        newest = {shard_of(pod): pod for pod in by_age(pods)}
        self.newest = [newest[shard] for shard in sorted(newest)]
        self.before = [pod for pod in by_age(pods) if pod not in self.newest]
        self.ends = [pod_end(pod) for pod in self.newest]

    @property
    def failure(self) -> Document:
        """The condition that says why it failed; empty if it did not."""
        condition = ending(self.job) or {}
        return condition if condition.get("type") == "Failed" else {}

    @property
    def telling(self) -> list[PodEnd]:
        """The pods that say how the pass ended: none while the Job may try again."""
        return [] if self.is_live and not self.is_divided else self.ends

    def state(self) -> str:
        """As in ``PassResult``."""
        condition = ending(self.job)
        if condition:
            return str(condition["type"]).lower()
        if self.job["spec"].get("suspend"):
            return "suspended"
        return "running" if any("running" in self._state_of(pod) for pod in self.newest) else "waiting"

    def cause(self) -> Cause:
        """What ended the pass from outside. A try that was killed does not count once a later one did the work."""
        if self.is_live:
            return _NO_CAUSE
        return job_cause(self.job) or next((end.cause for end in self.ends if end.cause), _NO_CAUSE)

    def exit_code(self) -> int | None:
        """The highest exit code, once the Job has ended and every part of the pass has one."""
        codes = [end.exit_code for end in self.ends if end.exit_code is not None]
        return max(codes) if not self.is_live and len(codes) >= (_shards(self.job) or 1) else None

    def tries_before(self) -> list[Document]:
        """Pods that ended and were followed by another, or will be."""
        if self.is_divided or not self.is_live:
            return self.before
        return [*self.before, *(pod for pod in self.newest if has_ended(pod, self.container))]

    def obstacles(self, events: list[Document]) -> list[str]:
        """Why the Job has no pod that works."""
        if not self.newest:
            return [entry.text for entry in obstacles.of_job(self.job, self.name, events)]
        starting = [pod for pod in self.newest if not {"running", "terminated"} & set(self._state_of(pod))]
        found = obstacles.unique(entry for pod in starting for entry in obstacles.of_pod(pod, self.name))
        causes = (cause_of(pod, self.container) for pod in self.newest if not has_ended(pod, self.container))
        return [*(entry.text for entry in found), *(f"its pod is being {cause.text}" for cause in causes if cause)]

    def _state_of(self, pod: Document) -> Document:
        return state_of(pod, self.container)


def _is_manual(job: Document) -> bool:
    annotations = job["metadata"].get("annotations") or {}
    return bool(annotations.get("cronjob.kubernetes.io/instantiate") == "manual")


# -- tries
def _max_tries(job: Document) -> int | None:
    limit = job["spec"].get("backoffLimitPerIndex", job["spec"].get("backoffLimit"))
    return None if limit is None else int(limit) + 1


def _tries(job: Document, newest: list[Document]) -> int:
    counted = [int((pod["metadata"].get("annotations") or {}).get(_FAILURES) or -1) for pod in newest]
    if "backoffLimitPerIndex" in job["spec"]:
        return max((number + 1 for number in counted), default=0)
    status = job.get("status") or {}
    goes_on = bool(status.get("active") or status.get("succeeded"))
    return int(status.get("failed") or 0) + goes_on or int(bool(newest))


def _as_try(end: PodEnd) -> dict[str, Any]:
    return {"pod": end.pod} | _of_shard(end)


def _of_shard(end: PodEnd) -> dict[str, Any]:
    return {
        "shard": end.shard,
        "summary": end.summary,
        "exit_code": end.exit_code,
        "cause": end.cause.word if end.cause else "",
        "explanation": end.cause.text if end.cause else "",
    }


# -- what the pods said
def _summary(ends: list[PodEnd], *, divided: bool) -> dict[str, Any] | None:
    summaries = [end.summary for end in ends if end.summary]
    return _sum(summaries) if divided and summaries else next(iter(summaries), None)


def _text(ends: list[PodEnd]) -> str:
    """What the pods said, where none gave a summary."""
    return "" if any(end.summary for end in ends) else next((end.said for end in ends if end.said), "")


def _without_pass(ends: list[PodEnd]) -> dict[str, Any]:
    """The line of a Job that ran no pass; empty if it ran one."""
    return next((end.without_pass for end in ends if end.without_pass), {})


def _shards(job: Document) -> int | None:
    """In how many pods the pass runs; None where it is not divided."""
    parts: int = job["spec"].get("completions") or 1
    return parts if job["spec"].get("completionMode") == "Indexed" and parts > 1 else None


def _sum(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The summaries of a pass's shards in one: counts added up, the longest time, all errors."""
    errors = dict.fromkeys(str(one["error"]) for one in summaries if one.get("error"))
    counts = {name: sum(_number(one, name) for one in summaries) for name in _counts(summaries)}
    return {
        **{name: _any(summaries, name) for name in ("dry_run", "left_at_least")},
        "exit_code": max(int(one.get("exit_code") or 0) for one in summaries),
        "error": "; ".join(errors) or None,
        "seconds": max(float(one.get("seconds") or 0) for one in summaries),
        **counts,
    }


def _number(summary: dict[str, Any], name: str) -> int:
    """A count; it can also be a list, where that is short enough."""
    value = summary.get(name)
    return len(value) if isinstance(value, list) else int(value or 0)


def _any(summaries: list[dict[str, Any]], name: str) -> bool:
    return any(one.get(name) for one in summaries)


def _counts(summaries: list[dict[str, Any]]) -> list[str]:
    """What any of them counts: what policies did is only in the summary of a shard that came to know of them."""
    found = dict.fromkeys(name for one in summaries for name, value in one.items() if type(value) is int)
    return [name for name in found if name not in {"exit_code", "shard", "shards"}]
