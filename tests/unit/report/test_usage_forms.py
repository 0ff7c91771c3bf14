"""What takes the space as people and programs see it: names are only text, and a terminal needs no more than 80 columns."""

import io
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from cleanup_job.planning.usage import Space, Usage
from cleanup_job.redaction import redacted
from cleanup_job.report import json_file, usage_html, usage_map, usage_table
from cleanup_job.report.usage_document import UsageReport, as_document
from tests.unit.report.example_usage import MOMENT, report

WRITABLE = st.characters(exclude_categories=())
TEXT = st.text(WRITABLE, max_size=60) | st.text(st.sampled_from("|`*_[]()<>#\\&;:!-+1. \n/a\"'$@~{}"), max_size=40)
SCRIPT = "</style><script>alert(1)</script>"


class Page(HTMLParser):
    """The elements of a page with their attributes, the addresses in it, and its style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.addresses: list[str] = []
        self.style = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, sorted(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "style":
            self.style += data


def html(made: UsageReport) -> str:
    return usage_html.render(as_document(made), made.web)


def text(made: UsageReport, width: int = 80) -> str:
    stream = io.StringIO()
    usage_table.render(as_document(made), Console(file=stream, width=width, no_color=True))
    return stream.getvalue()


@settings(max_examples=30)
@given(TEXT)
@example(SCRIPT)
@example("\ud800")
@example("#r0{left:0}")
def test_a_page_has_the_same_elements_and_style_whatever_the_names_are(name: str) -> None:
    page = html(report("x" + name))
    page.encode()
    usual = Page(html(report("x")))
    # Rectangles of the same size are in the order of their names.
    assert (Page(page).found, sorted(Page(page).style)) == (usual.found, sorted(usual.style))


@pytest.mark.parametrize("web", ["javascript:alert(1)//", "data:text/html,", "//evil.example", 'https://web/"><script>'])
def test_a_page_links_to_http_only(web: str) -> None:
    addresses = Page(html(report(web=web))).addresses
    assert not [address for address in addresses if not address.startswith(("https://", "data:,")) or '"' in address]


@settings(max_examples=30)
@given(TEXT)
@example("[bold red]x[/] \\")
@example("\x1b[2J\x1b]8;;http://evil\x07")
@example("名" * 60)
def test_a_terminal_gets_80_columns_without_control_characters(name: str) -> None:
    shown = text(report(name.replace("/", "")))
    shown.encode()
    assert not [c for c in shown if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    lines = [line for line in shown.splitlines() if not line.startswith("listed ")]  # an address, which people copy
    assert max(Console(width=200).measure(line).maximum for line in lines) <= 80


@given(TEXT)
def test_json_gives_names_back(name: str) -> None:
    found = json.loads(json_file.render(as_document(report(name))).encode())
    assert found["largest"][0]["name"] == redacted(name)


def test_the_sum_is_last_and_says_what_is_not_known() -> None:
    assert text(report()).splitlines()[-1] == "4 tasks and 102 files on api.example, at least 7.5 GiB."
    assert "Name the fileserver's volume or a bucket" in text(report(listed=False))
    assert "Name the fileserver's volume" not in text(report())


def test_hidden_projects_are_shown_with_the_one_that_they_are_in() -> None:
    rows = [line.split() for line in text(report("lab")).splitlines()]
    assert ["lab/a", "3", "93", "at", "least", "7.0", "GiB", "██████████"] in rows
    (shown, *_) = usage_map.rectangles(as_document(report("lab"))["projects"], "bytes")
    assert (shown.name, shown.size) == ("lab/a", "at least 7.0 GiB")
    assert shown.about == "artifacts 6.0 GiB, debug samples and plots 1.0 GiB"


def test_drafts_alone_free_nothing_here_and_with_force_delete_what_was_archived_for_long_enough() -> None:
    frees = {(row["force_delete"], row["days"]): (row["tasks"], row["bytes"]) for row in as_document(report())["frees"]}
    assert frees[False, 90] == (0, 0)
    assert frees[True, 0] == (2, 6 * 2**30 + 2**29)
    assert frees[True, 30] == (3, 6 * 2**30 + 2**29)


def test_the_map_has_a_rectangle_for_each_project_and_one_for_all_others() -> None:
    usage = Usage(MOMENT)
    for number in range(usage_map.PROJECTS + 5):
        usage.projects[f"p{number}", next(iter(report().usage.by_kind()))] = Space(files=1, bytes=100 + number)
    made = UsageReport("1.0", "api.example", MOMENT, force_delete=True, threshold_days=30, usage=usage)
    page = html(made)
    assert len(re.findall(r'<li id="r\d+"', page)) == usage_map.PROJECTS + 1
    assert "5 other projects" in page


def test_an_empty_server_has_a_page_and_a_sum() -> None:
    empty = UsageReport("1.0", "api.example", MOMENT, force_delete=False, threshold_days=30)
    assert "There are no files." in html(empty)
    assert text(empty).splitlines()[-1] == "0 tasks and 0 files on api.example, 0 B."
