"""One pass of an installed release: its Job, and how its pods ended."""

from dataclasses import dataclass, field
from typing import Any

from cleanup_job.cluster import obstacles
from cleanup_job.cluster.connection import Document
from cleanup_job.cluster.cronjob import by_age, container_of, ending, state_of
from cleanup_job.cluster.pod_ends import Cause, PodEnd, cause_of, has_ended, job_cause, pod_end, shard_of

_FAILURES = "batch.kubernetes.io/job-index-failure-count"
"""The annotation of a pod that says how often its shard failed before."""
_SKIPPED = {"handed over": "handed_over", "not due": "not_due"}
"""How the termination message of a Job begins that ran no pass, and what `skipped` is then."""


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
    """``handed_over`` to a ClearML Agent, or ``not_due``: then the Job ran no pass."""

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state in {"running", "waiting", "suspended"}


def pass_result(job: Document, pods: list[Document], events: list[Document]) -> PassResult:
    """What is known of a pass: by its Job, the pods of this Job, and the Job's events `FailedCreate`."""
    condition = ending(job) or {}
    failure = condition if condition.get("type") == "Failed" else {}
    shards = _shards(job)
    newest = _newest(pods)
    ends = [pod_end(pod) for pod in newest]
    cause = _cause(job, ends) if condition else None
    before = [pod for pod in by_age(pods) if pod not in newest]
    if not condition and shards is None:  # the Job will try again
        before += [pod for pod in newest if has_ended(pod, _container(job))]
    telling = [end for end in ends if condition or shards is not None]
    status = job.get("status") or {}
    return PassResult(
        job=job["metadata"]["name"],
        started=status.get("startTime"),
        finished=status.get("completionTime") or failure.get("lastTransitionTime"),
        manual=_is_manual(job),
        state=_state(job, condition, newest),
        reason=str(failure.get("reason") or ""),
        exit_code=_exit_code(ends, shards or 1) if condition else None,
        summary=_summary(telling, divided=shards is not None),
        said=_text(telling),
        shards=[_of_shard(end) for end in ends] if shards else None,
        message=str(failure.get("message") or ""),
        cause=cause.word if cause else "",
        explanation=cause.text if cause else "",
        tries=_tries(job, newest),
        max_tries=_max_tries(job),
        tries_before=[_as_try(pod_end(pod)) for pod in before],
        pod=newest[-1]["metadata"]["name"] if newest else "",
        obstacles=[] if condition else _obstacles(job, newest, events),
        skipped=_skipped(_text(telling)),
    )


def _newest(pods: list[Document]) -> list[Document]:
    """The newest pod of each shard, in the order of the shards."""
    newest = {shard_of(pod): pod for pod in by_age(pods)}
    return [newest[shard] for shard in sorted(newest)]


def _state(job: Document, condition: Document, newest: list[Document]) -> str:
    if condition:
        return str(condition["type"]).lower()
    if job["spec"].get("suspend"):
        return "suspended"
    return "running" if any("running" in state_of(pod, _container(job)) for pod in newest) else "waiting"


def _container(job: Document) -> str:
    name: str = container_of(job["spec"]["template"])["name"]
    return name


def _cause(job: Document, ends: list[PodEnd]) -> Cause | None:
    """What ended the pass from outside. A try that was killed does not count once a later one did the work."""
    return job_cause(job) or next((end.cause for end in ends if end.cause), None)


def _obstacles(job: Document, newest: list[Document], events: list[Document]) -> list[str]:
    """Why the Job has no pod that works."""
    name, container = job["metadata"]["name"], _container(job)
    if not newest:
        return [entry.text for entry in obstacles.of_job(job, name, events)]
    starting = [pod for pod in newest if not {"running", "terminated"} & set(state_of(pod, container))]
    found = [entry for pod in starting for entry in obstacles.of_pod(pod, name)]
    ending_now = [pod for pod in newest if not has_ended(pod, container) and "running" in state_of(pod, container)]
    leaving = [cause.text for pod in ending_now if (cause := cause_of(pod, container))]
    return [entry.text for entry in obstacles.unique(found)] + [f"its pod is being {text}" for text in leaving]


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


def _skipped(said: str) -> str:
    return next((word for start, word in _SKIPPED.items() if said.startswith(start)), "")


def _shards(job: Document) -> int | None:
    """In how many pods the pass runs; None where it is not divided."""
    parts: int = job["spec"].get("completions") or 1
    return parts if job["spec"].get("completionMode") == "Indexed" and parts > 1 else None


def _exit_code(ends: list[PodEnd], parts: int) -> int | None:
    """The highest exit code, once every part of the pass has one."""
    codes = [end.exit_code for end in ends if end.exit_code is not None]
    return max(codes) if len(codes) >= parts else None


def _sum(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The summaries of a pass's shards in one: counts added up, the longest time, all errors."""
    errors = dict.fromkeys(str(one["error"]) for one in summaries if one.get("error"))
    counts = {name: sum(int(one.get(name) or 0) for one in summaries) for name in _counts(summaries[0])}
    return {
        **{name: _any(summaries, name) for name in ("dry_run", "left_at_least")},
        "exit_code": max(int(one.get("exit_code") or 0) for one in summaries),
        "error": "; ".join(errors) or None,
        "seconds": max(float(one.get("seconds") or 0) for one in summaries),
        **counts,
    }


def _any(summaries: list[dict[str, Any]], name: str) -> bool:
    return any(one.get(name) for one in summaries)


def _counts(summary: dict[str, Any]) -> list[str]:
    return [name for name, value in summary.items() if type(value) is int and name not in {"exit_code", "shard", "shards"}]
