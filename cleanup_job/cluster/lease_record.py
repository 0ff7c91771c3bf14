"""What a Lease says, and what one that wants it reads and writes there. Pure: no I/O."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

SHARD = "clearml-cleanup/shard-"
"""Begins the annotations of a pass in several pods: `clearml-cleanup/shard-2` has the pod of shard 2, and its last renewal."""


@dataclass(frozen=True)
class LeaseRecord:
    """A Lease as the server has it; a `holder` of "" means that it is free."""

    holder: str
    acquired: datetime | None
    renewed: datetime | None
    duration: float
    """Seconds for which it is held after a renewal."""
    transitions: int = 0
    shards: Mapping[str, str] = field(default_factory=dict)
    """Of a pass in several pods, each one's `Holder.identity` and the time of its last renewal, by the number of its shard."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """As it was read, without `shards`. Its `resourceVersion` makes a write fail if another client was faster."""

    @property
    def claim(self) -> "Claim | None":
        """That of its holder; None if it is free."""
        if not self.holder:
            return None
        mark = (self.acquired, self.transitions, tuple(sorted(self.shards.items())))
        # Without a time it was written by hand, to keep passes from running.
        return Claim(self.holder, self.renewed, self.duration if self.renewed else 0, mark)


@dataclass(frozen=True)
class Claim:
    """Of who holds a Lease or a part of it; the same for as long as it is not renewed, by whichever clock."""

    holder: str
    renewed: datetime | None
    duration: float
    """Seconds without a renewal after which it counts no longer; 0 if it never expires."""
    mark: object

    def seems_alive(self, now: datetime) -> bool:
        """Whether the holder is in time, if its clock and this one agree: for what people read, and for how long to wait."""
        if not self.duration or not self.renewed:
            return not self.duration
        return abs((now - self.renewed).total_seconds()) <= self.duration


@dataclass(frozen=True)
class Part:
    """One pod's part of a pass in several pods."""

    of: str
    """The whole pass: the same for all of its pods, and for those of no other pass."""
    shard: int


@dataclass(frozen=True)
class Holder:
    """One that wants a Lease: a pass alone, or a pod that shares a pass, and its Lease, with others."""

    identity: str
    """Another one for each process. Without spaces."""
    part: Part | None = None

    @property
    def name(self) -> str:
        """What the Lease names as its holder."""
        return self.part.of if self.part else self.identity

    def holds(self, lease: LeaseRecord) -> bool:
        """Whether it holds the Lease, or its part of it."""
        return lease.holder == self.name and (self.part is None or self._in_part(lease) == self.identity)

    def rival(self, lease: LeaseRecord) -> Claim | None:
        """Who has to let go of the Lease, or to die, before this one may have it; None if it may."""
        if lease.holder == self.identity:
            return None
        if self.part is None or lease.holder != self.name:
            return lease.claim
        other = self._in_part(lease)
        if other in {"", self.identity}:
            return None
        entry = lease.shards[str(self.part.shard)]
        return Claim(other, _time(entry.partition(" ")[2]), lease.duration, entry)

    def _in_part(self, lease: LeaseRecord) -> str:
        return lease.shards.get(str(self.part.shard), "").partition(" ")[0] if self.part else ""

    def taken(self, lease: LeaseRecord, now: datetime, duration: float) -> LeaseRecord:
        """The Lease once this one has taken or renewed it."""
        joins = lease.holder == self.name
        shards = dict(lease.shards) if joins and self.part else {}
        if self.part:
            shards[str(self.part.shard)] = f"{self.identity} {_text(now)}"
        return replace(
            lease,
            holder=self.name,
            acquired=lease.acquired if joins else now,
            renewed=now,
            duration=duration,
            transitions=lease.transitions if joins else lease.transitions + 1,
            shards=shards,
        )

    def released(self, lease: LeaseRecord) -> LeaseRecord:
        """The Lease once this one, which holds it, has let go of it: the last pod of a pass frees it."""
        others = {shard: entry for shard, entry in lease.shards.items() if self.part and shard != str(self.part.shard)}
        return replace(lease, holder=lease.holder if others else "", shards=others)


def as_record(body: Mapping[str, Any]) -> LeaseRecord:
    """The record in a Lease's document."""
    spec, metadata = body.get("spec") or {}, body.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    return LeaseRecord(
        spec.get("holderIdentity") or "",
        _time(spec.get("acquireTime")),
        _time(spec.get("renewTime")),
        spec.get("leaseDurationSeconds") or 0,
        spec.get("leaseTransitions") or 0,
        {name.removeprefix(SHARD): text for name, text in annotations.items() if name.startswith(SHARD)},
        {**metadata, "annotations": {name: text for name, text in annotations.items() if not name.startswith(SHARD)}},
    )


def as_body(lease: LeaseRecord) -> dict[str, Any]:
    """A Lease's document for a record."""
    annotations = {SHARD + shard: entry for shard, entry in lease.shards.items()}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**lease.metadata, "annotations": {**(lease.metadata.get("annotations") or {}), **annotations}},
        "spec": {
            "holderIdentity": lease.holder or None,
            "acquireTime": _text(lease.acquired),
            "renewTime": _text(lease.renewed),
            "leaseDurationSeconds": max(1, math.ceil(lease.duration)),
            "leaseTransitions": lease.transitions,
        },
    }


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:  # an annotation, which people can edit
        return None
    return found if found is None or found.tzinfo else None


def _text(time: datetime | None) -> str | None:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if time else None
