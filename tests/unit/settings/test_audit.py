"""Where an audit log may be: never where a pass or a sweep deletes."""

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.settings.sources import load
from tests.unit.settings.test_model import SERVER

TASK = "a" * 32


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("/audit", "/audit"),
        ("/mnt/share/audit/", "/mnt/share/audit"),
        ("s3://bucket", "s3://bucket"),
        ("s3://host:9000/bucket/audit/", "s3://host:9000/bucket/audit"),
        ("azure://account.blob.core.windows.net/container/x", "azure://account.blob.core.windows.net/container/x"),
    ],
)
def test_a_folder_or_a_bucket(value: str, place: str) -> None:
    assert load({}, SERVER | {"CLEANUP_AUDIT": value})[0].audit.audit == place


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("audit", "absolute path of a folder"),
        ("/", "absolute path of a folder"),
        ("/mnt/../audit", "absolute path of a folder"),
        ("https://files/audit", "absolute path of a folder"),
        (f"/mnt/share/lab/exp.{TASK}", "in the folder of a task"),
        (f"/mnt/share/lab/exp.{TASK}/artifacts/audit", "in the folder of a task"),
        (f"/mnt/share/reports/{TASK}/audit", "in the folder of a task"),
        (f"s3://bucket/reports/{TASK}", "in the folder of a task"),
        (f"s3://bucket/lab/exp.{TASK}/metrics", "in the folder of a task"),
        ("s3://user:secret@host/bucket", "without user, query or fragment"),
        ("s3://bucket/x?versionId=1", "without user, query or fragment"),
    ],
)
def test_other_places_are_refused(value: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=hint) as error:
        load({}, SERVER | {"CLEANUP_AUDIT": value})
    assert str(error.value).startswith("CLEANUP_AUDIT=")
    assert "secret@" not in str(error.value)
