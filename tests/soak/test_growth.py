"""The soak's judges, without a cluster: they find nothing wrong with a pass, and see what would be."""

from datetime import UTC, datetime
from random import Random

import pytest

from clearml_sandbox.server import Sandbox
from tests import harness
from tests.property.oracle import After, File
from tests.soak.growth import KEEP_TAG, Growth, orphans

SCENES = 60


@pytest.fixture(scope="module")
def cleaned() -> Growth:
    """A world after a pass."""
    with Sandbox() as sandbox:
        growth = Growth(sandbox, Random(4))
        for _ in range(SCENES):
            growth.add()
        before = growth.after()
        harness.clean(sandbox, now=datetime.now(UTC), filters={"keep_tags": (KEEP_TAG,)})  # the soak's worlds are of today
        assert len(before.tasks) - len(growth.after().tasks) > 20
        assert growth.must_stay.tasks
        assert growth.must_stay.models
        return growth


def test_after_a_pass_nothing_is_wrong(cleaned: Growth) -> None:
    assert cleaned.wrong_at_the_end() == []


def test_the_world_is_that_of_the_seed(cleaned: Growth) -> None:
    with Sandbox() as sandbox:
        again = Growth(sandbox, Random(4))
        for _ in range(SCENES):
            again.add()
        assert again.must_stay == cleaned.must_stay


def test_what_had_to_be_kept_and_is_gone_is_seen(cleaned: Growth) -> None:
    there, stay = cleaned.after(), cleaned.must_stay
    task, model, file = min(stay.tasks), min(stay.models), min(stay.files)
    left = After(
        {key: value for key, value in there.tasks.items() if key != task},
        {key: value for key, value in there.models.items() if key != model},
        there.files - {File("files", file)},
    )
    assert [line.split()[0] for line in stay.missing(left)] == ["task", "model", "file"]
    assert all(one in line for one, line in zip((task, model, file), stay.missing(left), strict=True))
    assert stay.missing(there) == []


def test_an_orphan_is_seen() -> None:
    with Sandbox() as sandbox:
        growth = Growth(sandbox, Random(1))
        growth.add()
        with sandbox.store.lock:
            sandbox.store.files.put(f"lab/gone.{'0' * 32}/artifacts/data/data.bin", 1)
        assert len(orphans(growth.after(), sandbox.files_url)) == 1
        assert any("orphan" in line for line in growth.wrong_at_the_end())


def test_what_is_left_although_it_could_go_is_seen() -> None:
    with Sandbox() as sandbox:
        growth = Growth(sandbox, Random(4))
        for _ in range(SCENES):
            growth.add()
        assert any("nothing speaks against its deletion" in line for line in growth.wrong_at_the_end())
