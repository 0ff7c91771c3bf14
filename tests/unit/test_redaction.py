"""No secret of a record, of an exception or of the job itself reaches anybody who reads what the job says."""

import base64
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from cleanup_job import redaction
from cleanup_job.cli.main import main
from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.outcome import LeftOut, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.redaction import MASK, cleaned, hide_all, hide_login, redacted
from cleanup_job.report import document, html, json_lines, k8s_event, markdown, table, termination_message
from cleanup_job.report.formatting import plain
from cleanup_job.settings.model import shown
from tests.unit.report import unpacked

SECRET = "hunter2SIGNATURE"


@pytest.fixture(autouse=True)
def _own_secrets_of_each_test_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_own", {})
    redaction._redacted_short.cache_clear()
    yield
    redaction._redacted_short.cache_clear()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"https://b.s3.amazonaws.com/k?X-Amz-Signature={SECRET}&X-Amz-Date=1", "https://b.s3.amazonaws.com/k"),
        (f"https://acct.blob.core.windows.net/c/k?sv=1&sig={SECRET}%3D", "https://acct.blob.core.windows.net/c/k"),
        (f"http://user:{SECRET}@intranet/share/x", "http://intranet/share/x"),
        (f"HTTPS://USER:{SECRET}@HOST:8443/Share?SIG=x", "HTTPS://HOST:8443/Share"),
        (f"https://{SECRET}@github.com/a/b.git@main#egg=x", "https://github.com/a/b.git@main"),
        (f"s3://bucket/a b/c?{SECRET}", "s3://bucket/a b/c"),
        (f"gs://bucket/key;sig={SECRET};x=1", "gs://bucket/key"),
        (f"azure://a.blob.core.windows.net/c/k#access_token={SECRET}", "azure://a.blob.core.windows.net/c/k"),
        (f"file:///mnt/share/x?token={SECRET}", "file:///mnt/share/x"),
        (f"//user:{SECRET}@host/x", "//host/x"),
        (f"user:{SECRET}@host:/x", "host:/x"),
        (f"http://user:one {SECRET}@host/x", "http://host/x"),
        (f"http://user:one/{SECRET}@host/x", "http://host/x"),
        (f"http://user:one@{SECRET}@host/x", "http://host/x"),
        (f"http://user%3A{SECRET}%40host/x", "http://host/x"),
        (f"http%3A%2F%2Fhost%2Fx%3Fsig%3D{SECRET}", "http://host/x"),
        (f"http%253A%252F%252Fhost%252Fx%253Fsig%253D{SECRET}", "http://host/x"),
        (f"http://proxy/http://user:{SECRET}@host/x", "http://proxy/http://host/x"),
        (f"http:\\/\\/user:{SECRET}@host\\/x", "http:\\/\\/host\\/x"),
        (f"a http://x/y?sig={SECRET}, b s3://z/w?sig={SECRET} c", "a http://x/y b s3://z/w c"),
        (f"no answer from 'http://h/a b?sig={SECRET}': gone", "no answer from 'http://h/a b': gone"),
        (f"http://user:{SECRET}", f"http://user:{MASK}"),
        (f"k?X-Amz-Credential=AKIA&X-Amz-Signature={SECRET}", "k"),
        (f"Authorization: Bearer {SECRET}", f"Authorization: {MASK}"),
        (f"sent Bearer {SECRET} to it", f"sent Bearer {MASK} to it"),
        (f"sig={SECRET}&x=1", f"sig={MASK}&x=1"),
        (f"AccountName=a;AccountKey={SECRET}==;E=1", f"AccountName=a;AccountKey={MASK};E=1"),
        (f"{{'secret_key': '{SECRET}', 'x': 1}}", f"{{'secret_key': '{MASK}', 'x': 1}}"),
        (f'{{"token": "{SECRET}"}}', f'{{"token": "{MASK}"}}'),
        (f"eyJhbGciOi.eyJleHAi.{SECRET}", MASK),
        ("AKIAIOSFODNN7EXAMPLE", MASK),
    ],
)
def test_urls_are_cut_to_their_path_and_secrets_masked(text: str, safe: str) -> None:
    assert redacted(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "http://files.example:8081/lab/exp 1.0123456789abcdef0123456789abcdef/artifacts/data",
        "CLEARML_API_HOST=http://clearml:8008: no answer from http://[::1]:8008/x, ask admin@example.com",
        "s3://bucket/stores/n%C3%A4me proj/exp %231 a+b/models/w@2.pt",
        "file://C:/Users/x, C:\\data\\x, \\\\nas\\share",
        "CLEARML_API_ACCESS_KEY, CLEARML_API_SECRET_KEY not set: set the address of your ClearML Server and its credentials",
        "CLEARML_API_SECRET_KEY: set but empty. Give a value, or unset it to use the default.",
        "vision=90, playground/*=7; did you mean CLEANUP_KEEP_TAGS? Basic facts: 100% of it",
        "Check CLEARML_API_SECRET_KEY: the web server makes keys under Settings",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redacted(text) == text


# -- whatever a URL looks like, and wherever it stands
SECRETS = st.text("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=12, max_size=40).map(
    lambda s: f"Zq9{s}"
)
SCHEMES = st.sampled_from(["http", "https", "HTTPS", "s3", "gs", "azure", "file", "ftp", "git+https", "abfss"])
HOSTS = st.sampled_from(["host", "host:8081", "files.example", "[::1]:80", "10.0.0.1"])
PATHS = st.sampled_from(["", "/", "/a/b", "/lab/exp #1.x/w.pt", "/a b/c d", "/ä/ö", "/a@b/c", "/a%20b", "/x'y", "//a//b"])
SHAPES = st.sampled_from(
    [
        "{scheme}://user:{secret}@{host}{path}",
        "{scheme}://{secret}@{host}{path}",
        "{scheme}://user:p/{secret}@{host}{path}",
        "{scheme}://user:p {secret}@{host}{path}",
        "{scheme}://user:{secret}",
        "{scheme}://{host}{path}?sig={secret}",
        "{scheme}://{host}{path}?{secret}",
        "{scheme}://{host}{path}?a=1&X-Amz-Signature={secret}&b=2",
        "{scheme}://{host}{path}#{secret}",
        "{scheme}://{host}{path};token={secret}",
        "{scheme}://{host}{path}&sig={secret}",
        "{scheme}://{host}{path}?next=http://user:{secret}@{host}",
        "{scheme}://{host}{path}/{scheme}://user:{secret}@{host}",
        "//user:{secret}@{host}{path}",
        "key?X-Amz-Credential=a&X-Amz-Signature={secret}",
        "x-amz-security-token: {secret}",
        "Authorization: Basic {secret}==",
        "Bearer {secret}",
        "password='{secret}'",
        '"secret": "{secret}"',
    ]
)
AROUND = st.sampled_from(
    [
        "{}",
        "could not read {}: HTTP 403",
        "'{}' is bad",
        '"{}"',
        "({})",
        "<{}>",
        "a,{}",
        "{}\nmore",
        "two: {}, http://h/x",
        "x={}",
    ]
)


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, str]:
    """A text with a secret in it, and the secret."""
    secret = draw(SECRETS)
    inner = draw(SHAPES).format(scheme=draw(SCHEMES), host=draw(HOSTS), path=draw(PATHS), secret=secret)
    for _ in range(draw(st.integers(0, 2)) if "\n" not in inner and " " not in inner else 0):
        inner = quote(inner, safe="")
    return draw(AROUND).format(inner), secret


@given(texts())
def test_no_secret_survives_and_nothing_is_cut_twice(case: tuple[str, str]) -> None:
    text, secret = case
    safe = redacted(text)
    assert secret not in safe
    assert secret[:8] not in safe
    assert redacted(safe) == safe


@given(st.text(st.sampled_from("aZ0:/@?#=;&%2F \n'\"[]\\.,-<>_|+") | st.sampled_from("täsigtoken"), max_size=60))
@example("://:@%")
@example("http://[:")
def test_any_text_at_all_comes_through_and_is_settled_at_once(text: str) -> None:
    safe = redacted(text)
    assert redacted(safe) == safe
    assert json.loads(json_lines.dumps({text: [text, 1, None]})) == cleaned({text: [text, 1, None]})


def renderings(text: str) -> Iterator[str]:
    """Everything that a pass shows, of a task and a server that have this text wherever there can be one."""
    now = datetime.now(UTC)
    outcome = TaskOutcome(
        TaskId("a" * 32), text, text, "p" * 32, Verdict.FAILED, Reason.FILE_ERROR, text, rule=text, user=text,
        protected=(text,), external=(text,), external_count=1, unknown_stores=((text, 1),),
    )  # fmt: skip
    gone = TaskOutcome(TaskId("b" * 32), text, text, "q" * 32, Verdict.DELETED, protected=(text,), external=(text,), rule=text)
    report = Report("1", False, now, now, text, "http://web", error=text, finished=now, exit_code=4)
    report.warn(text)
    report.emptied.append(text)
    report.settings.append(("CLEANUP_PROJECTS", text, text))
    report.users = {text: text}
    report.left_out.append(LeftOut(1, text, text))
    report.stopped_by = StopReason.DEADLINE
    for one in (outcome, gone):
        report.add(one)
        yield json_lines.dumps(json_lines.task(one, report))
    found = document.as_document(report)
    console = Console(record=True, width=2000, file=io.StringIO())
    table.render(report, console)
    yield console.export_text()
    page = html.render(found, [outcome, gone])
    yield page
    yield unpacked.packed_text(page)
    yield markdown.render(found)
    yield json_lines.dumps(found, indent=2)
    yield json_lines.dumps(json_lines.pass_finished(report))
    yield termination_message.of_report(report)
    yield k8s_event.of_report(report, "pod").message
    yield k8s_event.of_error(text, "pod").message
    yield json_lines.dumps(json_lines.warning(text))
    yield json_lines.dumps(json_lines.parameters([("CLEANUP_TASK_REQUIREMENT", shown("task_requirement", text), text)]))
    yield plain(text)


@given(texts())
def test_no_rendering_of_a_report_shows_a_secret(case: tuple[str, str]) -> None:
    text, secret = case
    for rendered in renderings(text):
        assert secret not in rendered


def test_a_text_that_is_cut_short_does_not_lose_what_makes_a_secret_known() -> None:
    report = next(iter([Report("1", False, datetime.now(UTC), datetime.now(UTC), "http://h", "")]))
    for room in range(4_000, 4_200):
        report.error = "x" * room + f" http://user:{SECRET}@host/x"
        assert SECRET[:4] not in termination_message.of_report(report)
        assert SECRET[:4] not in k8s_event.of_error("y" * (room - 3_200) + f" http://user:{SECRET}@host/x", "pod").message


# -- the job's own
OWN = "Own+Secret/with=odd chars"


@pytest.mark.parametrize("form", [OWN, quote(OWN, safe=""), quote(OWN), f"x{OWN}y", f"http://h/{quote(OWN)}/x"])
def test_the_jobs_own_secrets_show_nowhere_in_no_form(form: str) -> None:
    hide_login("the-access-key", OWN)
    for rendered in renderings(f"an exception with {form} in it"):
        assert form not in rendered
        assert "Own+Secret" not in rendered
        assert "Own%2BSecret" not in rendered


def test_the_header_of_basic_authentication_is_known_too() -> None:
    hide_login("the-access-key", "the-secret")
    assert redacted("sent dGhlLWFjY2Vzcy1rZXk6dGhlLXNlY3JldA== there") == f"sent {MASK} there"


def test_a_secret_that_was_shown_before_it_was_known_is_masked_from_then_on() -> None:
    text, line = f"with {SECRET} in it", {SECRET: [SECRET]}
    assert SECRET in redacted(text)
    assert SECRET in json_lines.dumps(line)
    hide_all({"CLEARML_API_SECRET_KEY": SECRET})
    assert redacted(text) == f"with {MASK} in it"
    assert json.loads(json_lines.dumps(line)) == {MASK: [MASK]}


def test_the_keys_of_stores_are_the_jobs_own() -> None:
    hide_all({"AWS_SECRET_ACCESS_KEY": "aws-secret-1", "PATH": "/usr/bin:/bin", "AWS_REGION": "eu-central-1"})
    hide_all(
        {"aws.s3": {"key": "conf-key-1", "region": "eu-west-1", "credentials": [{"bucket": "bucket-1", "secret": "conf-2"}]}}
    )
    text = "aws-secret-1 /usr/bin:/bin eu-central-1 conf-key-1 eu-west-1 bucket-1 conf-2"
    assert redacted(text) == f"{MASK} /usr/bin:/bin eu-central-1 {MASK} eu-west-1 bucket-1 {MASK}"


def test_a_short_word_that_is_a_key_does_not_mask_half_of_all_text() -> None:
    hide_login("test", "any")
    assert redacted("test any text") == "test any text"


# -- ways out that are not a report's
def test_a_traceback_and_what_libraries_log_are_sieved_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    main(["version"])
    error = ZeroDivisionError(f"http://user:{SECRET}@host/x?sig={SECRET}")
    sys.excepthook(type(error), error, None)
    threading.excepthook(SimpleNamespace(exc_type=type(error), exc_value=error, exc_traceback=None))
    assert logging.lastResort is not None
    record = logging.LogRecord("urllib3", logging.WARNING, "x", 1, "retrying /k?sig=%s", (SECRET,), None)
    assert SECRET not in logging.lastResort.format(record)
    shown_there = capsys.readouterr().err
    assert shown_there.count("ZeroDivisionError: http://host/x") == 2
    assert SECRET not in shown_there


def test_words_that_are_no_flags_and_errors_are_printed_without_secrets(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main(["run", f"http://user:{SECRET}@host"])
    assert main(["settings", "--config-file", str(tmp_path), "--report", f"s3://b/k?sig={SECRET}"]) == 2
    out, err = capsys.readouterr()
    assert SECRET not in out + err


def test_the_password_of_an_address_is_masked_everywhere_and_the_user_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_own", {})
    redaction.hide_password("https://cleanup:pass%2Fword-1@host/path")
    redaction.hide_password("https://host/path")
    redaction.hide_password(None)
    header = base64.b64encode(b"cleanup:pass/word-1").decode()
    assert redacted(f"cleanup pass/word-1 pass%2Fword-1 {header}") == f"cleanup {MASK} {MASK} {MASK}"
