"""A cluster that answers from a table, and remembers what it was asked."""

from collections.abc import Callable, Iterator
from typing import Any

from cleanup_job.cluster.connection import CallError

Answer = Any


class FakeCluster:
    """Takes the place of `Cluster`: each method has an answer, an error, or a function that gives one."""

    namespace = "ml"

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def call(self, api: str, method: str, *arguments: Any, **options: Any) -> Any:
        assert api in {"CoreV1Api", "BatchV1Api", "CoordinationV1Api"}
        self.asked.append((method, arguments, options))
        answer = self.answers[method]
        if isinstance(answer, Callable):
            answer = answer(*arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def lines(self, api: str, method: str, *arguments: Any, **options: Any) -> Iterator[str]:
        for item in self.call(api, method, *arguments, **options):
            if isinstance(item, Exception):
                raise item
            yield item


def refused(what: str) -> CallError:
    return CallError(403, f"cannot {what}")
