"""Bulk calls that fail are divided until what makes them fail is alone: one task's trouble is its own.

A server that is down fails all calls alike. So a call that fails as a whole is followed by one that has nothing to do with any
task, with all tries: where that is answered, the trouble is in what was asked for. Finding one culprit among n takes about
2 log2 n calls. Pure: no I/O of its own.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from cleanup_job.errors import AnswerError, DownError, ForeignAnswerError, UnreachableError

Id = TypeVar("Id", bound=Hashable)
Answer = TypeVar("Answer")
Asked = TypeVar("Asked")
IN_A_ROW = 5
"""Calls for single, different tasks that fail one after the other, before the rest is asked whether any of it is answered."""
IN_A_LONG_ROW = 10
"""The same where the rest is no more than this: so few may all be bad, as those that the night before has left."""
BESIDE_EACH_OTHER = 50
"""The same where others of the same call were answered: what is bad often stands together, as the tasks of one experiment."""


class Splitting(Generic[Asked]):
    """Makes bulk calls, and remembers for a whole pass what can't be asked for. Safe to use from many threads."""

    def __init__(self, patient: Asked, hasty: Asked, answers: Callable[[], object]) -> None:
        """Nothing is asked yet.

        Args:
            patient: The server, which is asked with all tries.
            hasty: The same, asked with few.
            answers: Makes a call that has nothing to do with any task; raises where the server gives no usable answer.
        """
        self._patient = patient
        self._hasty = hasty
        self._answers = answers
        self._culprits: dict[str, dict[Hashable, Exception]] = defaultdict(dict)
        self._in_a_row: dict[str, int] = defaultdict(int)
        self._waited: set[str] = set()
        """Calls for which one task was waited for with all tries: that would have shown a failure that passes."""

    def each(
        self, name: str, ids: Sequence[Id], ask: Callable[[Asked, Sequence[Id]], Answer]
    ) -> tuple[list[Answer], dict[Id, Exception]]:
        """The answers to a call for all of these but the culprits, and for each culprit its error.

        Args:
            name: The call, or calls, that ``ask`` makes.
            ids: What to ask for; nothing is asked where there are none.
            ask: Asks for some of them. It may be called several times for the same ones, and what it did before it raised must
                do no harm.

        Raises:
            DownError: the server gives no usable answer to anything, or not for single tasks in a row.
        """
        known = self._culprits[name]
        failed: dict[Id, Exception] = {one: known[one] for one in ids if one in known}
        answers: list[Answer] = []
        whole = [one for one in ids if one not in known]
        pending: list[Sequence[Id]] = [whole] if whole else []
        while pending:
            some = pending.pop()
            try:
                answers.append(self._ask(name, some, ask, first=some is whole))
            except DownError:
                raise
            except (AnswerError, UnreachableError) as error:
                if len(some) > 1:
                    pending += [some[len(some) // 2 :], some[: len(some) // 2]]
                    continue
                failed[some[0]] = known[some[0]] = error
                pending, rest = self._those_answered(name, error, pending, ask, healthy=bool(answers))
                if rest is None:  # it is refused, whoever it is about
                    return answers, failed | {one: error for some in pending for one in some}
                answers += rest
            else:
                self._in_a_row[name] = 0
        return answers, failed

    def _ask(self, name: str, some: Sequence[Id], ask: Callable[[Asked, Sequence[Id]], Answer], *, first: bool) -> Answer:
        try:
            return ask(self._hasty, some)
        except DownError:
            raise
        except (AnswerError, UnreachableError) as error:
            if _is_refusal(error) or (len(some) > 1 and not first):
                raise
        self.see_that_it_answers()  # which may have taken a while
        if len(some) > 1 or name in self._waited:
            return ask(self._hasty, some)
        self._waited.add(name)
        return ask(self._patient, some)

    def see_that_it_answers(self) -> None:
        """See whether the server answers at all.

        Raises:
            DownError: it does not.
        """
        try:
            self._answers()
        except (AnswerError, UnreachableError) as error:
            raise DownError(str(error)) from error

    def _those_answered(
        self,
        name: str,
        error: AnswerError | UnreachableError,
        pending: list[Sequence[Id]],
        ask: Callable[[Asked, Sequence[Id]], Answer],
        *,
        healthy: bool,
    ) -> tuple[list[Sequence[Id]], list[Answer] | None]:
        """Count a failure for a single one. Where many have failed in a row, ask for what is left, each part as a whole.

        Gives what is still left then, and the answers; None where all of it is refused.

        Raises:
            DownError: nothing of it is answered.
        """
        if isinstance(error, AnswerError) and error.says_missing:  # the server is well, and says so
            return pending, []
        self._in_a_row[name] += 1
        most = IN_A_ROW if sum(map(len, pending)) > IN_A_LONG_ROW else IN_A_LONG_ROW
        if self._in_a_row[name] < (BESIDE_EACH_OTHER if healthy else most):
            return pending, []
        left: list[Sequence[Id]] = []
        answers: list[Answer] = []
        for some in pending:
            try:
                answers.append(ask(self._hasty, some))
            except DownError:
                raise
            except (AnswerError, UnreachableError):
                left.append(some)
        if answers:
            self._in_a_row[name] = 0
            return left, answers
        if _is_refusal(error):
            return left, None
        raise DownError(str(error)) from error


def _is_refusal(error: Exception) -> bool:
    """Whether the server has understood and says no: to ask it again is of no use."""
    return isinstance(error, AnswerError) and bool(error.status) and not isinstance(error, ForeignAnswerError)
