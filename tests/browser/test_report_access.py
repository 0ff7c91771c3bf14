"""The HTML report for everyone: with a keyboard, a screen reader, without scripts, in the dark, and on paper."""

import base64
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from cleanup_job.planning.outcome import REASON_TEXTS, Reason
from tests.browser.report_page import focused, names, opened, press, scheme, width, written

AXE = Path(__file__).resolve().parents[2] / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def axe() -> str:
    """The rules of WCAG, and others that axe calls best practice, as a script."""
    if not AXE.exists():
        text = "axe-core is not installed: run `make test T=tests/browser`"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return AXE.read_text(encoding="utf-8")


def violations(page: webdriver.Chrome, axe: str) -> list[Any]:
    """What breaks a rule, each with the elements that do."""
    page.execute_script(axe)  # the driver's scripts run whatever the page's policy says
    found: list[Any] = page.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(result => done(result.violations.map("
        "rule => [rule.id, rule.help, ...rule.nodes.slice(0, 3).map(node => node.html.slice(0, 200) + node.failureSummary)])))"
    )
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("pixels", [360, 768, 1280])
def test_axe_finds_nothing(page: webdriver.Chrome, axe: str, pixels: int, theme: str) -> None:
    width(page, pixels)
    scheme(page, theme)
    assert violations(page, axe) == []
    page.find_element(By.ID, "unfold").click()
    page.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    page.find_element(By.CSS_SELECTOR, "#tasks .space .row .result").click()
    assert violations(page, axe) == []


def test_axe_sees_what_is_wrong(page: webdriver.Chrome, axe: str) -> None:
    page.execute_script(
        "const field = document.getElementById('search');"
        "field.removeAttribute('placeholder'); field.parentNode.firstElementChild.remove()"
    )
    assert [rule for rule, *_ in violations(page, axe)] == ["label"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_a_dry_run(browser: webdriver.Chrome, tmp_path: Path, axe: str, theme: str) -> None:
    page = opened(browser, written(tmp_path, dry_run=True, policies=True))
    scheme(page, theme)
    page.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert violations(page, axe) == []


def test_the_keyboard_alone_reaches_everything_in_order(page: webdriver.Chrome) -> None:
    press(page, Keys.TAB)
    assert focused(page) == "bars-tasks"
    press(page, Keys.ARROW_RIGHT)
    assert page.find_element(By.ID, "bars-bytes").is_selected()
    seen = []
    for _ in range(60):
        press(page, Keys.TAB)
        seen.append(focused(page))
        if seen[-1].startswith("gone"):
            break
    heads = ["task", "project", "owner", "result", "age", "freed", "files", "reason"]
    assert seen[:2] == ["unfold", "Projects"]
    assert "Sub-projects of vision" in seen
    at = seen.index("search")
    assert seen[at : at + 11] == ["search", "verdict", "reason", *heads]
    assert len(seen) == at + 12  # then one row of the table, and nothing else in it
    press(page, Keys.TAB)
    assert not page.execute_script("return document.activeElement.closest('#tasks')")


def test_a_screen_reader_says_what_each_control_is_for(page: webdriver.Chrome) -> None:
    named = {
        name: page.find_element(By.ID, name).accessible_name for name in ("search", "verdict", "reason", "bars-bytes", "tasks")
    }
    assert named == {"search": "Search", "verdict": "Result", "reason": "Reason", "bars-bytes": "bytes", "tasks": "All tasks"}
    assert [region.accessible_name for region in page.find_elements(By.TAG_NAME, "section")] == [
        "Notes", "What was deleted", "What was kept, and why", "Settings that counted",
        "Ages of the tasks at the time of the pass", "All tasks",
    ]  # fmt: skip
    row = page.find_element(By.CSS_SELECTOR, "#tasks .space .row")
    assert (row.aria_role, row.get_attribute("aria-rowindex")) == ("row", "2")
    freed = page.find_elements(By.CSS_SELECTOR, "#tasks .heads [role=columnheader]")[5]
    assert freed.get_attribute("aria-sort") == "descending"


def row_number(page: webdriver.Chrome) -> int:
    """Which row has the focus; the heads are row 1."""
    return int(page.execute_script("return document.activeElement.ariaRowIndex"))


def test_arrow_keys_walk_through_the_table_and_enter_shows_the_task(page: webdriver.Chrome) -> None:
    page.find_elements(By.CSS_SELECTOR, "#tasks .heads button")[0].send_keys(Keys.ENTER)
    press(page, *[Keys.TAB] * 8)
    assert row_number(page) == 2
    press(page, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert row_number(page) == 3
    press(page, Keys.PAGE_DOWN)
    assert row_number(page) > 8
    press(page, Keys.END)
    assert row_number(page) == 216
    assert names(page)[-1] == focused(page).split("examples")[0] == "tutorial"
    (row,) = page.find_elements(By.CSS_SELECTOR, "#tasks [aria-selected=true]")
    area = page.find_element(By.CSS_SELECTOR, ".scroller").rect
    assert area["y"] <= row.rect["y"] <= area["y"] + area["height"]  # what has the focus is in sight
    press(page, Keys.ENTER)
    assert focused(page) == "chosen"
    text = page.find_element(By.ID, "chosen").text
    assert REASON_TEXTS[Reason.PUBLIC] in text
    assert "2025-01-25 03:00 UTC, 400 days before" in text
    press(page, Keys.TAB)
    assert page.execute_script("return document.activeElement.href").startswith("https://web.example/projects/examples/")
    press(page, Keys.ESCAPE)
    assert row_number(page) == 216
    press(page, Keys.HOME)
    assert row_number(page) == 2


def test_scrolling_leaves_the_focus_where_it_is_and_a_search_closes_the_task(page: webdriver.Chrome) -> None:
    page.find_elements(By.CSS_SELECTOR, "#tasks .space .row .owner")[1].click()
    assert page.find_element(By.ID, "chosen").is_displayed()
    page.execute_script("const area = document.querySelector('.scroller'); area.scrollTop = area.scrollHeight")
    WebDriverWait(page, 20).until(lambda found: found.find_elements(By.CSS_SELECTOR, "#tasks [aria-rowindex='216']"))
    assert row_number(page) == 3
    page.find_element(By.ID, "search").send_keys("bert")
    assert not page.find_element(By.ID, "chosen").is_displayed()


def test_without_scripts_sums_projects_reasons_and_settings_are_there(browser: webdriver.Chrome, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(written(tmp_path).as_uri())
        assert browser.find_element(By.TAG_NAME, "h1").text.startswith("Deleted 209 tasks")
        assert "at least 10.7 KiB" in browser.find_element(By.CSS_SELECTOR, ".cards").text
        rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#projects tbody tr")]
        assert [row.split("\n")[0] for row in rows[:3]] == ["vision", "vision/", "language"]  # the parent's name is for readers
        first = browser.find_element(By.CSS_SELECTOR, ".why summary")
        first.click()
        assert "train bert" in browser.find_element(By.CSS_SELECTOR, ".why ul").text
        assert "CLEANUP_FORCE_DELETE" in browser.find_element(By.CSS_SELECTOR, ".settings").text
        assert "needs a browser that runs the page's script" in browser.find_element(By.TAG_NAME, "main").text
        assert not browser.find_element(By.ID, "all").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_on_paper_the_page_lies_on_its_side_with_legends_and_the_first_rows(page: webdriver.Chrome) -> None:
    page.execute_script(
        "addEventListener('beforeprint', () => { window.printed = [document.querySelectorAll('#tasks .space .row').length,"
        " document.getElementById('printed').textContent] })"
    )
    printed = page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    boxes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox \[([^]]+)\]", base64.b64decode(printed["data"]))}
    ((_, _, across, down),) = boxes
    assert (across, down) == (pytest.approx(842, abs=1), pytest.approx(595, abs=1))
    assert page.execute_script("return window.printed") == [215, ""]
    assert len(names(page)) < 80  # and afterwards as before
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert all(legend.is_displayed() for legend in page.find_elements(By.CSS_SELECTOR, ".legend span"))
    assert not page.find_element(By.ID, "search").is_displayed()
    width(page, 1032)  # A4 without its margins
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    lines = page.execute_script(
        "const middle = node => { const box = node.getBoundingClientRect(); return Math.round((box.top + box.bottom) / 2) };"
        "const rows = [...document.querySelectorAll('#tasks .space .row')];"
        "return rows.map(row => [middle(row), ...[...row.children].map(middle)])"
    )
    assert all(max(line) - min(line) <= 1 for line in lines)  # each task is one line, and below the one before
    assert all(above[0] < below[0] for above, below in pairwise(lines))


def test_paper_has_no_more_than_500_rows_and_says_so(browser: webdriver.Chrome, tmp_path: Path) -> None:
    page = opened(browser, written(tmp_path, deleted=900))
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert len(names(page)) == 500
    assert page.find_element(By.ID, "printed").text == "The first 500 of the 906 tasks that the file lists."
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert len(names(page)) < 80
    assert page.find_element(By.ID, "printed").text == ""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable_in_both_colour_schemes(page: webdriver.Chrome, theme: str) -> None:
    scheme(page, theme)
    # WCAG's contrast, of each kind of text against its background.
    contrasts = page.execute_script("""
      const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      const rgb = (...colours) => {
        for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
        return paint.getImageData(0, 0, 1, 1).data;
      };
      const linear = v => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
      const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
      return [...document.querySelectorAll('h1, .brand, dt, dd, .state, .card span, .note, code, th, td, td a, .tag, footer')]
        .map(node => {
          const behind = [];
          for (let at = node; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
          const back = light(rgb(...behind)), ink = light(rgb(...behind, getComputedStyle(node).color));
          return [node.tagName + '.' + node.className, (Math.max(back, ink) + .05) / (Math.min(back, ink) + .05)];
        }).filter(([, contrast]) => contrast < 4.5);
    """)
    assert contrasts == []
