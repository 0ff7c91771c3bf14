"""Exit codes and stop reasons: the values that scripts, Kubernetes and readers of the log rely on."""

import json

import pytest

from cleanup_job.errors import CleanupError
from cleanup_job.exit_codes import ExitCode, StopReason, meaning


def test_the_codes_are_those_that_scripts_and_the_chart_know() -> None:
    assert list(map(int, ExitCode)) == [0, 1, 2, 3, 4, 5, 6, 7, 130, 143]


def test_every_code_and_every_reason_has_a_text_of_its_own() -> None:
    texts = [*(code.text for code in ExitCode), *(reason.text for reason in StopReason)]
    assert len(set(texts)) == len(texts)


def test_in_json_they_are_plain_numbers_and_words() -> None:
    assert json.dumps([ExitCode.LEASE_LOST, StopReason.MAX_TASKS]) == '[6, "max_tasks"]'


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (StopReason.SIGTERM, 143),
        (StopReason.SIGINT, 130),
        (StopReason.ABORTED, 143),
        (StopReason.LEASE, 6),
        (StopReason.OUTPUT, 1),
        (StopReason.MAX_TASKS, None),
        (StopReason.DEADLINE, None),
        (StopReason.UNREACHABLE, None),
    ],
)
def test_some_reasons_decide_over_the_exit_code(reason: StopReason, code: int | None) -> None:
    assert reason.exit_code == code


def test_a_container_may_end_with_a_code_that_is_not_ours() -> None:
    assert (meaning(137), meaning(4)) == ("unknown", ExitCode.UNREACHABLE.text)


def errors(kind: type[CleanupError] = CleanupError) -> list[type[CleanupError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in errors(child))]


@pytest.mark.parametrize("kind", errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_that_says_that_something_is_wrong(kind: type[CleanupError]) -> None:
    assert kind.exit_code in set(ExitCode) - {ExitCode.DONE}
