"""Each file with policies in the documentation loads, and editors find no mistake in it."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from cleanup_job.planning.lifecycle.policy import Kind
from cleanup_job.settings.policy_document import FIELDS
from cleanup_job.settings.policy_file import read
from tests.chart.charts import ENOUGH, render
from tests.guides.blocks import ROOT, Block, blocks_of

PAGE = ROOT / "docs" / "policies.md"
SCHEMA = json.loads((ROOT / "docs" / "policies.schema.json").read_text(encoding="utf-8"))
BLOCKS = [
    block
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for block in blocks_of(page)
    if block.language == "yaml" and "policies:\n" in block.text
]
OF_THE_CHART = "# my-values.yaml\n"


def test_there_are_some() -> None:
    assert len(BLOCKS) > 9


@pytest.mark.parametrize("block", [one for one in BLOCKS if not one.text.startswith(OF_THE_CHART)], ids=str)
def test_a_file_loads_and_fits_its_schema(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(block.text, encoding="utf-8")
    assert read(file).policies
    assert not [error.message for error in Draft7Validator(SCHEMA).iter_errors(yaml.safe_load(block.text))]


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.text.startswith(OF_THE_CHART)], ids=str)
def test_values_of_the_chart_render(block: Block) -> None:
    assert render(ENOUGH, yaml.safe_load(block.text))


def test_the_page_names_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for keys in FIELDS.values():
        for key in keys:
            assert f"`{key}" in text or f"{key}:" in text, key
    for kind in Kind:
        assert f"`{kind}`" in text, kind


def test_the_mistakes_on_the_page_are_those_that_are_told(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text("policies:\n- name: p\n  archive:\n    after: 14\n")
    with pytest.raises(ValueError, match="is not a duration") as error:
        read(file)
    assert str(error.value) in PAGE.read_text(encoding="utf-8")
    file.write_text("policies:\n- name: p\n  archive:\n    after: 14d\n  match:\n    projects:\n")
    with pytest.raises(ValueError, match="there is no value") as error:
        read(file)
    assert str(error.value) in PAGE.read_text(encoding="utf-8")
