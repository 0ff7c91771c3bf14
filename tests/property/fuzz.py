"""Plays random scenarios until the time is over, or so many rounds; `make fuzz SECONDS=…`, `make fuzz ROUNDS=…`.

Each round is a run of hypothesis with a seed of its own. A scenario that fails is shrunk, printed as JSON with all that is
wrong with it, and written to build/fuzz/, from where it can be played again.
"""

import argparse
import math
import re
import sys
import time
from pathlib import Path
from random import SystemRandom

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.property.judge import Judge, judge
from tests.property.scenario import Scenario
from tests.property.worlds import FEATURES, POLICIES, scenarios

ROOT = Path(__file__).parents[2]

EXAMPLES = 100
"""Scenarios of one round."""
SHRINKS = 60.0
"""Seconds that are given to making a failing scenario smaller."""


class WrongError(AssertionError):
    """A scenario that breaks a promise."""

    def __init__(self, scenario: Scenario, wrong: list[str]) -> None:
        super().__init__("\n".join(wrong))
        self.scenario = scenario
        self.wrong = wrong


def main(arguments: list[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long to go on")
    parser.add_argument("--rounds", type=int, help="play so many whole rounds instead, however long they take")
    parser.add_argument("--seed", type=int, help="the first round's seed; printed of each round")
    parser.add_argument(
        "--without", nargs="*", default=[], choices=(*FEATURES, POLICIES), help="features that scenarios have not"
    )
    parser.add_argument("--known", nargs="*", default=[], metavar="PATTERN", help="regular expressions: faults to pass over")
    parser.add_argument("--keep-going", action="store_true", help="don't stop at the first round that fails")
    parser.add_argument("--play", type=Path, help="play a written scenario, and nothing else")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "fuzz", help="where failing scenarios are written")
    options = parser.parse_args(arguments)
    with judge() as one:
        if options.play:
            return _play(one, options.play)
        return _rounds(one, options)


def _play(one: Judge, path: Path) -> int:
    wrong = one.violations(Scenario.from_json(path.read_text()))
    print("\n".join(wrong) or "nothing is wrong there")
    return bool(wrong)


def _rounds(one: Judge, options: argparse.Namespace) -> int:
    failed, rounds, played = 0, 0, 0
    until = time.monotonic() + options.seconds if options.rounds is None else math.inf
    while rounds != options.rounds and time.monotonic() < until and (not failed or options.keep_going):
        number = options.seed + rounds if options.seed is not None else SystemRandom().getrandbits(32)
        rounds += 1
        print(f"seed {number}", flush=True)
        counted = [0]
        try:
            _round(one, number, options, counted, until)
        except WrongError as error:
            failed += 1
            _tell(error, number, options)
        played += counted[0]
    print(f"fuzz: {played} scenarios in {rounds} rounds, {failed} failed")
    return bool(failed)


def _round(one: Judge, number: int, options: argparse.Namespace, counted: list[int], until: float) -> None:
    """Play until the round or the time is over.

    Raises:
        WrongError: for the smallest scenario that was found to break a promise.
    """
    known: dict[str, list[str]] = {}
    shrinks_until = [0.0]

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios(without=frozenset(options.without), policies=POLICIES not in options.without))
    def holds(scenario: Scenario) -> None:
        text = scenario.as_json()
        if text not in known:
            if time.monotonic() > (shrinks_until[0] or until):
                return  # the time is over: the rest of the round is free
            counted[0] += 1
            wrong = one.violations(scenario)
            known[text] = [line for line in wrong if not any(re.search(pattern, line) for pattern in options.known)]
        if known[text]:
            shrinks_until[0] = shrinks_until[0] or time.monotonic() + SHRINKS
            raise WrongError(scenario, known[text])

    holds()


def _tell(error: WrongError, number: int, options: argparse.Namespace) -> None:
    options.into.mkdir(parents=True, exist_ok=True)
    path = options.into / f"{number}.json"
    path.write_text(error.scenario.as_json())
    print(f"seed {number} fails:", *error.wrong, sep="\n  ")
    print(error.scenario.as_json())
    print(f"play it again: make fuzz PLAY={path}, or the whole round: make fuzz SEED={number}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
