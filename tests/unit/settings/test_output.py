"""Where reports are written: what the setting takes, and what it says to what it does not take."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.report.formats import CONTENT_TYPES, FORMATS, STREAMED
from cleanup_job.settings.output import ENDINGS, PLACEHOLDERS, expanded
from cleanup_job.settings.sources import load

SERVER = {
    "CLEARML_API_HOST": "http://clearml-apiserver:8008",
    "CLEARML_API_ACCESS_KEY": "the-key",
    "CLEARML_API_SECRET_KEY": "the-secret",
}
BUCKETS = ("s3://bucket/a/{started}.html", "s3://minio:9000/bucket/r.json", "gs://bucket/r-{shard}.md",
           "azure://account.blob.core.windows.net/container/{server}/r.csv")  # fmt: skip


def read(report: str, **environ: str) -> tuple[str, ...]:
    return load({}, SERVER | {"CLEANUP_REPORT": report} | environ)[0].output.report


def mistake(report: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as error:
        read(report, **environ)
    return str(error.value)


def test_the_settings_know_the_endings_of_all_formats_and_no_others() -> None:
    assert set(ENDINGS) == FORMATS.keys() | STREAMED.keys() == CONTENT_TYPES.keys()


@pytest.mark.parametrize("form", ["{},{}", '["{}", "{}"]'])
def test_several_files_in_folders_and_buckets_are_a_list(form: str, tmp_path: Path) -> None:
    names = (f"{tmp_path}/report-{{started}}.jsonl", BUCKETS[0])
    assert read(form.format(*names)) == names
    assert load({"report": ",".join(names)}, SERVER)[0].output.report == names


@pytest.mark.parametrize("address", BUCKETS)
def test_an_object_in_a_bucket(address: str) -> None:
    assert read(address) == (address,)


@pytest.mark.parametrize(
    ("address", "way_out"),
    [
        ("r.pdf", "ends in .json, .html, .md, .jsonl or .csv"),
        ("s3://bucket/r", "ends in .json"),
        ("{Started}.json", "{Started} is not a placeholder; use {started}, {shard} or {server}"),
        ("{}.json", "{} is not a placeholder"),
        ("{started.json", "braces are for placeholders only; use {started}"),
        ("{started}}.json", "braces are for placeholders only"),
        ("/no/such/folder/r.json", "use a folder that exists and can be written to"),
        ("{started}/r.json", "use placeholders in the name of the file only"),
        ("https://host/r.json", "use a path, or the URL of an object"),
        ("s3://bucket/r.json?x=.json", "without user, query or fragment"),
        ("s3://user@bucket/r.json", "without user, query or fragment"),
        ("s3://bucket//r.json", "no part is empty"),
        ("s3://bucket/../r.json", "no part is empty, `.` or `..`"),
        ("s3://bucket.json", "use the URL of an object"),
        ("s3:///r.json", "use the URL of an object"),
        ("s3://b-{shard}/r.json", "the bucket has no placeholder"),
    ],
)
def test_what_is_no_place_for_a_report_is_named_with_the_way_out(address: str, way_out: str) -> None:
    text = mistake(f"a.json,{address}")
    assert text.startswith(f"CLEANUP_REPORT=a.json,{address.partition('?')[0].replace('user@', '')}")
    assert way_out in text


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "r.json").mkdir()
    assert "this one is a folder" in mistake(f"{tmp_path}/r.json")


def test_a_file_is_named_once() -> None:
    assert "r.json is named twice" in mistake("r.json,a.json,r.json")


def test_pods_that_share_a_pass_do_not_share_a_file() -> None:
    shards = {"CLEANUP_SHARDS": "2", "JOB_COMPLETION_INDEX": "1"}
    assert read("r-{shard}.json", **shards) == ("r-{shard}.json",)
    text = mistake("r-{shard}.json,s3://bucket/r.json", **shards)
    assert text.startswith("CLEANUP_REPORT=s3://bucket/r.json, but CLEANUP_SHARDS=2")
    assert "Add {shard} to its name." in text
    assert read("r.json") == ("r.json",)


def test_placeholders_become_text_that_sorts_and_is_safe_in_names() -> None:
    def name(
        address: str, started: datetime, *, shard: int | None = None, host: str = "https://api.clearml.example:8008"
    ) -> str:
        return expanded(address, started=started, shard=shard, api_host=host)

    moment = datetime(2026, 3, 1, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    every = "/".join(f"{{{word}}}" for word in PLACEHOLDERS)
    assert name(every, moment, shard=12) == "20260301T020506Z/12/api.clearml.example"
    assert name("{shard}-{shard}.md", moment) == "0-0.md"
    assert name("{server}.md", moment, host="http://[::1]:8008/a/../b") == "-1.md"
    times = [datetime(2026, 9, 30, 23, 59, 59, tzinfo=UTC) + timedelta(seconds=n) for n in range(3)]
    assert sorted(name("{started}", time) for time in times) == [name("{started}", time) for time in times]
