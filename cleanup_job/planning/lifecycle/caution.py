"""Which of two policies is more careful with the same task. Pure: no I/O."""

from cleanup_job.planning.lifecycle.policy import Kind, LifecyclePolicy, Slim, Stage


def is_more_careful(one: LifecyclePolicy, other: LifecyclePolicy) -> bool:
    """Whether a task may be changed sooner, or lose more, by another policy than by this one.

    What they are for does not count: it is asked of a task that the other one gets since a name in this one matches nothing.
    """
    return bool(other.stages) and (
        _keeps_more(one, other)
        or any(_comes_sooner(one, other, stage) for stage in Stage)
        or other.notice < one.notice
        or (other.allow_shorter and not one.allow_shorter)
        or _ends_wishes_sooner(one, other)
        or (one.slim is not None and other.slim is not None and _removes_more(other.slim, one.slim))
    )


def _keeps_more(one: LifecyclePolicy, other: LifecyclePolicy) -> bool:
    """Which tasks are the last or the best depends on all that a policy is for, so no other policy keeps the same ones."""
    return one.keep.all or one.keep.is_ranked or not set(one.keep.tags) <= set(other.keep.tags)


def _comes_sooner(one: LifecyclePolicy, other: LifecyclePolicy, stage: Stage) -> bool:
    """Whether a stage comes sooner by the other one."""
    ours, theirs = one.after(stage), other.after(stage)
    if theirs is None:
        return False
    return ours is None or theirs < ours or (stage is Stage.DELETE and other.archived_for < one.archived_for)


def _ends_wishes_sooner(one: LifecyclePolicy, other: LifecyclePolicy) -> bool:
    return other.max_ttl is not None and (one.max_ttl is None or other.max_ttl < one.max_ttl)


def _removes_more(slim: Slim, than: Slim) -> bool:
    both = slim.remove & than.remove
    artifacts = Kind.ARTIFACTS in both and (
        not set(than.artifacts_except) <= set(slim.artifacts_except)
        or (bool(than.artifacts_only) and not (slim.artifacts_only and set(slim.artifacts_only) <= set(than.artifacts_only)))
    )
    return (
        not slim.remove <= than.remove
        or (Kind.CHECKPOINTS in both and slim.keep_last < than.keep_last)
        or (slim.also_not_archived and not than.also_not_archived)
        or artifacts
    )
