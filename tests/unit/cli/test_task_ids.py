"""Tasks as people name them."""

import pytest

from cleanup_job.cli.task_ids import task_ids
from cleanup_job.errors import SettingsError

ONE, OTHER, PROJECT = "1" * 32, "abcdef00" * 4, "9" * 32
PAGE = f"https://app.example/projects/{PROJECT}"


@pytest.mark.parametrize(
    "word",
    [
        ONE,
        f"{PAGE}/experiments/{ONE}",
        f"{PAGE}/experiments/{ONE}/output/execution?filter=a#b",
        f"https://app.example/projects/*/tasks/{ONE}/info-output/metrics/plots",
        f"http://host:8080/pipelines/{PROJECT}/experiments/{ONE}",
    ],
)
def test_an_id_or_the_address_of_a_page(word: str) -> None:
    assert task_ids([word]) == [ONE]


def test_several_each_once_and_in_order() -> None:
    assert task_ids([f"{OTHER.upper()}, {ONE}", ONE, f"{PAGE}/experiments/{OTHER}"]) == [OTHER, ONE]


@pytest.mark.parametrize(
    "word",
    [
        "",
        " ",
        ONE[:-1],
        f"{ONE}0",
        f"../{ONE}",
        "g" * 32,
        PAGE,
        f"{PAGE}/experiments",
        f"{PAGE}/models/{ONE}",
        f"{PAGE}/experiments/{ONE}/experiments/{OTHER}",
        f"file:///experiments/{ONE}",
        f"/experiments/{ONE}",
        f"https://[/experiments/{ONE}",
        f"{ONE},",
    ],
)
def test_what_is_neither_is_named(word: str) -> None:
    with pytest.raises(SettingsError, match=r"is not the ID of a task: use its 32 hexadecimal digits"):
        task_ids([word])
