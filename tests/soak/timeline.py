"""Which trouble comes when: all of it follows from the seed."""

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

WEIGHTS = {
    "kill": 1,
    "delete_pod": 1,
    "evict": 2,
    "restart_api_server": 1,
    "steal_lease": 1,
    "delete_lease": 1,
    "lease_ahead": 1,
    "drop_connections": 2,
    "cut_network": 2,
    "hang_network": 2,
    "upgrade": 3,
}
"""How often each kind comes in a round; a round has its kinds in any order."""
GAP = (10.0, 36.0)
"""Seconds between two troubles, from and to."""


@dataclass(frozen=True)
class Trouble:
    """One trouble to come."""

    at: float
    """Seconds after the start."""
    kind: str
    seed: int
    """What it decides by: how long it lasts, whom it meets."""


def timeline(seed: int, seconds: float, kinds: Collection[str] = tuple(WEIGHTS)) -> list[Trouble]:
    """The troubles of a soak of so many seconds; in ten minutes, each of the kinds comes at least once."""
    chance = Random(seed)
    found: list[Trouble] = []
    deck: list[str] = []
    at = chance.uniform(*GAP)
    while at < seconds:
        if not deck:
            deck = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]
            chance.shuffle(deck)
        trouble = Trouble(at, deck.pop(), chance.getrandbits(32))
        at += chance.uniform(*GAP)
        if trouble.kind in kinds:  # the others keep their time: a soak without them is the same one otherwise
            found.append(trouble)
    return found
