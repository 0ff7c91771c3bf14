"""Each guide is played from top to bottom: values are rendered, commands run, and what is not known fails."""

from pathlib import Path

import pytest

from tests.guides.blocks import PAGES, Block, blocks_of, commands_of
from tests.guides.player import NOT_TRIED, Player

FAILS = {"alert-when-it-fails.md": {"refuseAbove=1": 2}}
"""Passes that a page has fail on purpose, by a word of their line, with their exit code."""


BEGIN_AFTER_A_PASS = {"after-a-mistake.md", "how-much-it-freed.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_works(reader: Player, page: Path) -> None:
    reader.expected = FAILS.get(page.name, {})
    if page.name in BEGIN_AFTER_A_PASS:
        reader.has_cleaned()
    reader.play(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_ends_with_a_check(page: Path) -> None:
    words = page.read_text(encoding="utf-8")
    assert any(title in words for title in ("\n## Check\n", "4. Check:", "It worked if", "clearml-cleanup trigger")), page.name


def test_what_is_not_tried_is_still_used() -> None:
    used = {
        words[0]
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "bash"
        for command in commands_of(block.text)
        for words in command.programs
    }
    assert NOT_TRIED.keys() <= used


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("", "anything"),
        ("hcl", "a = 1"),
        ("bash", "curl http://example.com"),
        ("bash", "helm upgrade clearml-cleanup ./helm/clearml-cleanup --values other.yaml"),
        ("bash", "helm install clearml-cleanup ./helm/clearml-cleanup --sett a=b"),
        ("bash", "helm install clearml-cleanup ./helm/clearml-cleanup --values my-values.yaml --set cleanup.forceDelte=true"),
        ("bash", "kubectl delete namespace clearml"),
        ("bash", "kubectl get jobs --selectr a=b"),
        ("bash", "kubectl describe cronjob --namespace clearml cleanup"),
        ("bash", "kubectl apply --filename other.yaml"),
        ("bash", "make everything"),
        ("bash", "clearml-cleanup run --force"),
        ("bash", "clearml-cleanup trigger --namespace clearml --set forceDelte=true"),
        ("bash", "clearml-cleanup run && rm -r /"),
        ("yaml", "cleanup: {forceDelete: true}"),
        ("yaml", "# my-values.yaml\ncleanup: {forceDelte: true}"),
        ("yaml", "# my-values.yaml\ncleanup: {forceDelete: yes please}"),
        ("json", "{"),
        ("python", "import nothing_of_that_name"),
    ],
)
def test_a_block_that_does_not_work_is_noticed(reader: Player, language: str, text: str) -> None:
    with pytest.raises((Exception, SystemExit)):  # each in its own way
        reader.play_block(Block("page.md", 1, language, text))
