"""Each guide is played from top to bottom: values are rendered, commands run, and what is not known fails."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.guides.blocks import PAGES, ROOT, Block, blocks_of, commands_of
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


KUBECTL = {
    words[1:]
    for page in PAGES
    for block in blocks_of(page)
    if block.language == "bash"
    for command in commands_of(block.text)
    for words in command.programs
    if words[0] == "kubectl"
}


CHECKS = {
    "after-a-mistake.md": "Look at the list",
    "first-rollout.md": "It worked if",
    "how-much-it-freed.md": "compare the volume before and after",
    "upgrade.md": "\n## 3. Check\n",
}
"""How pages say that it worked whose check has no heading of its own."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_how_to_see_that_it_worked(page: Path) -> None:
    assert CHECKS.get(page.name, "\n## Check\n") in page.read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("words", sorted(KUBECTL), ids=" ".join)
def test_kubectl_itself_knows_every_verb_and_flag(words: tuple[str, ...]) -> None:
    nowhere = ["--server=http://127.0.0.1:9", "--kubeconfig=/dev/null", "--request-timeout=5s"]
    done = subprocess.run(["kubectl", *nowhere, *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607 -- the one in PATH
    known = (
        "connection refused",
        "was refused",
        "does not exist",
        "no such file or directory",
    )  # read, and then it asks for more
    assert any(text in done.stderr for text in known), done.stderr


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
