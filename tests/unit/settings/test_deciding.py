"""Which settings a plan holds for."""

from pathlib import Path

from cleanup_job.settings.deciding import decides, deciding, differences, notable
from cleanup_job.settings.model import TABLE, Settings
from cleanup_job.settings.scopes import Edit
from cleanup_job.settings.sources import load

KEYS = {"CLEARML_API_HOST": "http://api", "CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "hidden-secret"}
HOW = {
    "max_tasks",
    "refuse_above",
    "refuse_above_percent",
    "refuse_above_bytes",
    "deadline_seconds",
    "max_tasks_per_second",
    "stores_verify_certificate",
    "dry_run",
}
"""Settings that are the operator's over deletion, and decide only how much of it is done, or whether at all."""
NOT_ABOUT_DELETION = {Edit.NEVER, Edit.FREE, Edit.LISTED}


def read(**values: str) -> Settings:
    return load({}, KEYS | values)[0]


def test_all_that_an_edit_could_make_stricter_is_among_them_or_is_about_how_much() -> None:
    about_deletion = {
        name for name, entry in TABLE.items() if entry.edit not in NOT_ABOUT_DELETION and entry.group != "service_task"
    }
    assert about_deletion - HOW <= {name for name, entry in TABLE.items() if decides(entry)}


def test_how_a_pass_works_is_not_among_them() -> None:
    found = {name for name, entry in TABLE.items() if decides(entry)}
    assert not found & (HOW | {"workers", "batch_size", "page_size", "log_format", "report", "lease", "attempts"})
    assert {"include_pipeline_steps", "mounted_folders", "files_url_prefixes", "files_host", "keep_model_tags"} <= found


def test_values_are_texts_without_secrets() -> None:
    values = deciding(read(CLEANUP_KEEP_TAGS="a, b", CLEANUP_FORCE_DELETE="yes"))
    assert (values["CLEANUP_KEEP_TAGS"], values["CLEANUP_FORCE_DELETE"]) == ("a, b", "true")
    assert values["CLEANUP_PROJECTS"] == ""
    assert "hidden-secret" not in str(values)


def test_each_difference_has_both_values() -> None:
    planned = deciding(read(CLEANUP_KEEP_TAGS="gold")) | {"CLEANUP_OF_LATER": "1"}
    del planned["CLEANUP_USERS"]
    assert differences(planned, read(CLEANUP_DELETE_THRESHOLD_DAYS="7")) == [
        "CLEANUP_DELETE_THRESHOLD_DAYS ('30' in the plan, '7' here)",
        "CLEANUP_KEEP_TAGS ('gold' in the plan, not set here)",
        "CLEANUP_USERS (unknown in the plan, not set here)",
        "CLEANUP_OF_LATER ('1' in the plan, not a setting here)",
    ]
    assert not differences(deciding(read()), read(CLEANUP_WORKERS="9", CLEANUP_DRY_RUN="true"))


def test_policies_count_by_what_is_in_their_file_and_not_by_its_place(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.yaml", "same.yaml", "other.yaml"))
    one.write_text("policies: [{name: a}]")
    same.write_text("policies: [{name: a}]")
    other.write_text("policies: [{name: b}]")
    planned = deciding(read(CLEANUP_POLICIES=str(one)))
    digest = planned["CLEANUP_POLICIES"]
    assert len(bytes.fromhex(digest)) == 16
    assert not differences(planned, read(CLEANUP_POLICIES=str(same)))
    without = read()
    assert "CLEANUP_POLICIES" not in deciding(without)
    assert differences(planned, without) == [f"CLEANUP_POLICIES ('{digest}' in the plan, not set here)"]
    assert differences(deciding(without), read(CLEANUP_POLICIES=str(one))) == [
        f"CLEANUP_POLICIES (not set in the plan, '{digest}' here)"
    ]
    assert len(differences(planned, read(CLEANUP_POLICIES=str(other)))) == 1
    assert notable(planned) == {"CLEANUP_POLICIES": digest}


def test_what_is_not_the_default_is_notable() -> None:
    values = deciding(read(CLEANUP_FORCE_DELETE="true", CLEANUP_DELETE_THRESHOLD_DAYS="30"))
    assert notable(values) == {"CLEANUP_FORCE_DELETE": "true"}
    assert notable({"CLEANUP_OF_LATER": "1"}) == {"CLEANUP_OF_LATER": "1"}
