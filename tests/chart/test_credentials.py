"""Credentials come from one place, and a release without them is not installed."""

from typing import Any

import pytest
import yaml
from helm_python.errors import HelmError

from tests.chart.charts import CHART, CONTAINER, at, one, render

REFS = [f"{CONTAINER}.env.{number}.valueFrom.secretKeyRef" for number in (0, 1)]


def refs(*values: dict[str, Any]) -> list[tuple[str, str]]:
    cronjob = one("CronJob", render(*values))
    return [(found["name"], found["key"]) for found in (at(cronjob, path) for path in REFS)]


def test_given_ones_go_into_a_secret_and_nowhere_else() -> None:
    given = {"clearml": {"accessKey": "the-access-key", "secretKey": "the-secret-key"}}
    objects = render(given)
    assert one("Secret", objects)["stringData"] == {"accessKey": "the-access-key", "secretKey": "the-secret-key"}
    assert refs(given) == [("clearml-cleanup", "accessKey"), ("clearml-cleanup", "secretKey")]
    others = [item for item in objects if item["kind"] != "Secret"]
    assert "the-access-key" not in str(others)
    assert "the-secret-key" not in str(others)


def test_a_secret_of_the_users_is_used_as_it_is() -> None:
    values = {"clearml": {"existingSecret": "mine", "existingSecretKeys": {"accessKey": "a", "secretKey": "s"}}}
    assert refs(values) == [("mine", "a"), ("mine", "s")]
    assert "Secret" not in {item["kind"] for item in render(values)}


def test_a_secret_of_the_users_is_not_overwritten_whatever_its_name() -> None:
    """Its name may be the one that the chart would have given."""
    assert "Secret" not in {item["kind"] for item in render({"clearml": {"existingSecret": "clearml-cleanup"}})}


def test_the_values_file_for_clearmls_own_chart() -> None:
    values = yaml.safe_load((CHART / "values-clearml.yaml").read_text())
    assert refs(values) == [("clearml-conf", "test_user_key"), ("clearml-conf", "test_user_secret")]


def test_none_at_all_is_an_error_with_the_line_to_add() -> None:
    with pytest.raises(HelmError, match=r"--set clearml\.accessKey=YOUR_ACCESS_KEY,clearml\.secretKey=YOUR_SECRET_KEY"):
        render()


@pytest.mark.parametrize(("given", "missing"), [("accessKey", "secretKey"), ("secretKey", "accessKey")])
def test_half_of_them_is_an_error(given: str, missing: str) -> None:
    with pytest.raises(HelmError, match=f"clearml.{missing} is missing"):
        render({"clearml": {given: "x"}})


def test_two_places_are_an_error() -> None:
    with pytest.raises(HelmError, match="both set"):
        render({"clearml": {"existingSecret": "mine", "accessKey": "a", "secretKey": "s"}})
