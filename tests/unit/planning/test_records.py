"""What the server's answers mean."""

import pytest

from cleanup_job.planning.records import NotDeleted


@pytest.mark.parametrize(
    ("message", "force"),
    [
        ("Task cannot be deleted (has children, use force=True): task=x, children=1", True),
        ("Task cannot be deleted (has output models, use force=True): task=x, models=1", True),
        ("Task cannot be deleted (has output model, use force=True): task=x, model=y", True),
        ("Task cannot be deleted (due to status, use force=True): task=x, expected=created, current=completed", False),
    ],
)
def test_force_is_for_published_children_and_models_alone(message: str, force: bool) -> None:
    assert NotDeleted(400, 123, message).needs_force is force
    assert not NotDeleted(400, 101, message).needs_force
    assert NotDeleted(400, 101, "Invalid task id (or task published): company=c, id=x").needs_force
