"""Bulk calls that fail are divided until the cause is alone: one bad task fails by itself.

A server that is down fails every call in the same way. So a call that fails as a whole is followed by a probe, a call that has
nothing to do with any task, with all tries: if the probe succeeds, the cause is in what was asked for. Finding one culprit
among n ids takes about 2 log2 n calls. This module itself does no I/O.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cleanup_job.errors import AnswerError, DownError, ForeignAnswerError, UnreachableError

Id = TypeVar("Id", bound=Hashable)
Answer = TypeVar("Answer")
Asked = TypeVar("Asked")
IN_A_ROW = 5
"""After so many calls for single ids have failed in a row, the rest is tried as a whole: does any of it succeed?"""
IN_A_LONG_ROW = 10
"""The same where no more ids than this are left: so few may all be bad, such as those left over from the night before."""
BESIDE_EACH_OTHER = 50
"""The same where other ids of the same call succeeded: bad ones are often adjacent, such as the tasks of one experiment."""


@dataclass
class _Division(Generic[Id, Answer]):
    """One bulk call that is being divided."""

    name: str
    pending: list[Sequence[Id]]
    """Parts that have not been asked for yet."""
    failed: dict[Id, Exception]
    answers: list[Answer] = field(default_factory=list)

    def halve(self, ids: Sequence[Id]) -> None:
        """Ask for both halves, the first one first."""
        self.pending += [ids[len(ids) // 2 :], ids[: len(ids) // 2]]

    def fail_the_rest(self, error: Exception) -> None:
        """Ask for nothing more: the server refuses all of it."""
        self.failed |= {one: error for some in self.pending for one in some}
        self.pending = []


class Splitting(Generic[Asked]):
    """Makes bulk calls, and remembers for a whole pass which ids make them fail. Safe to use from many threads."""

    def __init__(self, all_tries: Asked, few_tries: Asked, probe: Callable[[], object]) -> None:
        """Nothing is sent yet.

        Args:
            all_tries: The server, asked with all tries.
            few_tries: The same server, asked with few.
            probe: Makes a call that has nothing to do with any task; raises if the server gives no usable answer.
        """
        self._all_tries = all_tries
        self._few_tries = few_tries
        self._probe = probe
        self._culprits: dict[str, dict[Hashable, Exception]] = defaultdict(dict)
        self._in_a_row: dict[str, int] = defaultdict(int)
        self._waited: set[str] = set()
        """Calls for which a single id has been tried with all tries: a transient failure would have passed meanwhile."""

    def each(
        self, name: str, ids: Sequence[Id], ask: Callable[[Asked, Sequence[Id]], Answer]
    ) -> tuple[list[Answer], dict[Id, Exception]]:
        """The answers to a call for all of these ids except the culprits, and for each culprit its error.

        Args:
            name: The call, or calls, that ``ask`` makes.
            ids: What to ask for. Without any, nothing is sent.
            ask: Asks for some of them. It may be called several times for the same ids, so everything it does before it raises
                must be harmless.

        Raises:
            DownError: the server gives no usable answer to anything, or not for single ids in a row.
        """
        known = self._culprits[name]
        whole = [one for one in ids if one not in known]
        division: _Division[Id, Answer] = _Division(
            name, [whole] if whole else [], {one: known[one] for one in ids if one in known}
        )
        while division.pending:
            some = division.pending.pop()
            try:
                division.answers.append(self._ask(name, some, ask, first=some is whole))
            except DownError:
                raise
            except (AnswerError, UnreachableError) as error:
                if len(some) > 1:
                    division.halve(some)
                else:
                    division.failed[some[0]] = known[some[0]] = error
                    self._look_at_the_rest(division, error, ask)
            else:
                self._in_a_row[name] = 0
        return division.answers, division.failed

    def _ask(self, name: str, some: Sequence[Id], ask: Callable[[Asked, Sequence[Id]], Answer], *, first: bool) -> Answer:
        try:
            return ask(self._few_tries, some)
        except DownError:
            raise
        except (AnswerError, UnreachableError) as error:
            if _is_refusal(error) or (len(some) > 1 and not first):
                raise
        self.see_that_it_answers()  # which may have taken a while
        if len(some) > 1 or name in self._waited:
            return ask(self._few_tries, some)
        self._waited.add(name)
        return ask(self._all_tries, some)

    def see_that_it_answers(self) -> None:
        """Send a probe.

        Raises:
            DownError: the server does not answer it.
        """
        try:
            self._probe()
        except (AnswerError, UnreachableError) as error:
            raise DownError(str(error)) from error

    def _look_at_the_rest(
        self,
        division: _Division[Id, Answer],
        error: AnswerError | UnreachableError,
        ask: Callable[[Asked, Sequence[Id]], Answer],
    ) -> None:
        """Count the failure of a single id. After many in a row, ask for everything that is left, each part as a whole.

        Raises:
            DownError: none of it is answered.
        """
        if isinstance(error, AnswerError) and error.says_missing:  # the server is well, and says so
            return
        self._in_a_row[division.name] += 1
        if self._in_a_row[division.name] < _most_in_a_row(division):
            return
        left: list[Sequence[Id]] = []
        answers: list[Answer] = []
        for some in division.pending:
            try:
                answers.append(ask(self._few_tries, some))
            except DownError:
                raise
            except (AnswerError, UnreachableError):
                left.append(some)
        division.pending = left
        division.answers += answers
        if answers:
            self._in_a_row[division.name] = 0
        elif _is_refusal(error):
            division.fail_the_rest(error)
        else:
            raise DownError(str(error)) from error


def _most_in_a_row(division: _Division[Id, Answer]) -> int:
    """How many single ids may fail in a row before the rest is looked at."""
    if division.answers:
        return BESIDE_EACH_OTHER
    return IN_A_ROW if sum(map(len, division.pending)) > IN_A_LONG_ROW else IN_A_LONG_ROW


def _is_refusal(error: Exception) -> bool:
    """Whether the server has understood the call and refuses it, so that asking again is useless."""
    return isinstance(error, AnswerError) and bool(error.status) and not isinstance(error, ForeignAnswerError)
