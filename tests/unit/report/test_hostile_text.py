"""Names come from anyone who can write to the server: in every form of the report they are only text."""

import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.redaction import redacted
from cleanup_job.report import document, formatting, html, json_lines, markdown, table, termination_message
from tests.unit.report import unpacked

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
WRITABLE = st.characters(exclude_categories=())  # lone surrogates too: JSON from a server can hold them
TEXT = st.text(WRITABLE, max_size=60) | st.text(st.sampled_from("|`*_[]()<>#\\&;:!-+1. \n/a\"'$@~"), max_size=40)
SCRIPT = "</script><script>alert(1)</script>"


def report(name: str, **more: str) -> Report:
    made = Report("1.0", False, MOMENT, MOMENT, "http://api:8008", finished=MOMENT, **more)
    outcome = TaskOutcome(TaskId(name), name, name, "p", Verdict.KEPT, Reason.UNKNOWN_STORE, name, unknown_stores=((name, 1),))
    made.add(outcome)
    made.add(
        TaskOutcome(TaskId("t" * 32), "n", "p", "q", Verdict.DELETED, protected=(name,), external=(name,), external_count=1)
    )
    notice = TaskOutcome(TaskId("u" * 32), name, name, "q", Verdict.NOTICED, policy=name, stage=Stage.SLIM, due=MOMENT)
    made.add(notice)
    made.warn(name)
    return made


class Elements(HTMLParser):
    """The elements of a page with their attributes, without its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, sorted(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]


@given(TEXT)
@example(SCRIPT)
@example("\ud800")
def test_a_page_has_the_same_elements_whatever_the_names_are(name: str) -> None:
    page = html.render(document.as_document(report("x" + name)))
    page.encode()
    assert Elements(page).found == Elements(html.render(document.as_document(report("x")))).found
    assert unpacked.tasks(page)[0]["name"] == formatting.plain("x" + name)


@pytest.mark.parametrize("web", ["javascript:alert(1)//", "data:text/html,", "//evil.example", 'https://web/"><script>'])
def test_a_page_links_to_http_only(web: str) -> None:
    addresses = Elements(html.render(document.as_document(report("t", web=web)))).addresses
    assert not [address for address in addresses if not address.startswith(("https://", "data:,")) or '"' in address]


@given(TEXT)
@example("| a | b |\n|---|---|")
@example("1) x")
@example("<img src=x onerror=alert(1)>")
@example("[x](javascript:alert(1))")
def test_markdown_has_the_same_structure_whatever_the_names_are(name: str) -> None:
    def structure(name: str) -> list[str]:
        tokens = MarkdownIt("commonmark").enable("table").parse(markdown.render(document.as_document(report(name))))
        kinds = [kind for token in tokens for kind in (token.type, *(child.type for child in token.children or ()))]
        return [kind for kind in kinds if kind not in ("text", "text_special")]

    # A name that is only white space has no text of its own to compare.
    assert structure(f"{name.lstrip()}x") == structure("x")


@given(TEXT)
@example("[bold red]x[/] \\")
@example("\x1b[2J\x1b]8;;http://evil\x07")
def test_a_terminal_gets_no_control_characters_and_no_markup(name: str) -> None:
    stream = io.StringIO()
    table.render(report(name), Console(file=stream, width=400, no_color=True))
    text = stream.getvalue()
    text.encode()
    assert not [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    assert " ".join(formatting.plain(name).split()) in " ".join(text.split())


@given(TEXT)
@example("a\u2028b\x85c\ud800")
@example("?=")  # cut as if it were the query of a URL, which may hold a secret
def test_a_log_line_is_one_line_of_utf_8_that_gives_the_name_back(name: str) -> None:
    made = report(name)
    line = json_lines.dumps(json_lines.task(made.reasons[Reason.UNKNOWN_STORE].examples[0], made))
    assert len(line.splitlines()) == 1
    assert json.loads(line.encode())["name"] == redacted(name)


@given(st.text(WRITABLE, max_size=20), st.integers(0, 6000), st.integers(0, 300))
@example("\ud800", 6000, 1)
@example("é", 6000, 300)
def test_the_termination_message_is_whole_json_that_kubernetes_keeps(piece: str, length: int, stores: int) -> None:
    made = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT, error=piece * length, exit_code=4)
    made.unknown_stores.update({f"s3://{piece * 40}{n}": n for n in range(stores)})
    text = termination_message.of_report(made)
    assert len(text.encode()) <= termination_message.MOST_BYTES
    assert len(text.splitlines()) == 1
    assert json.loads(text)["exit_code"] == 4
