"""The HTML report in a real browser, opened as a file: what people see, click and type."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import files
from cleanup_job.storage.destinations import FileDestination

MOMENT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
HOSTILE = '</script><script>window.hit=1</script><img src=x onerror=window.hit=1>"\' onclick=window.hit=1 x="'


@pytest.fixture
def page(browser: webdriver.Chrome, tmp_path: Path) -> webdriver.Chrome:
    """A report on two failures, three kept tasks, a public example, and names that try to break out."""
    report = Report("1.0", False, MOMENT, MOMENT, "http://api:8008", "https://web.example", MOMENT + timedelta(seconds=9))
    rows = (
        ("train resnet", "vision", Verdict.FAILED, Reason.FILE_ERROR, "disk is full"),
        ("train bert", "language", Verdict.FAILED, Reason.FILE_ERROR, "disk is full"),
        ("export resnet", "vision", Verdict.KEPT, Reason.CHANGED, ""),
        ("export bert", "language", Verdict.KEPT, Reason.NEEDS_FORCE, ""),
        (HOSTILE, HOSTILE, Verdict.KEPT, Reason.CHANGED, HOSTILE),
        ("tutorial", "examples", Verdict.NOT_OURS, Reason.PUBLIC, ""),
    )
    for n, (name, project, verdict, reason, detail) in enumerate(rows):
        report.add(TaskOutcome(TaskId(f"{n:032x}"), name, project, project, verdict, reason, detail))
    for n, project in ((200, "vision"), (9, "language")):
        for k in range(n):
            report.add(
                TaskOutcome(TaskId(f"d{k:031x}"), "gone", project, project, Verdict.DELETED, files=k, external=(HOSTILE,))
            )
    report.exit_code, report.unknown_stores["s3://bucket"], report.external = 3, 4, 1
    path = tmp_path / "report.html"
    files.write(report, FileDestination(path))
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(path.as_uri())
    return browser


def tasks(page: webdriver.Chrome) -> list[str]:
    rows = page.find_elements(By.CSS_SELECTOR, "#tasks tbody tr")
    return [row.find_element(By.TAG_NAME, "a").text for row in rows if row.is_displayed()]


def column(page: webdriver.Chrome, table: str, number: int) -> list[str]:
    cells = page.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr > :nth-child({number})")
    return [cell.text.split("\n")[0] for cell in cells]


def test_typing_in_the_search_field_leaves_the_tasks_that_match(page: webdriver.Chrome) -> None:
    assert len(tasks(page)) == 6
    search = page.find_element(By.ID, "search")
    search.send_keys("bert DISK")
    assert tasks(page) == ["train bert"]
    assert page.find_element(By.ID, "count").text == "1 of 6 listed tasks"
    search.send_keys(" no such task")
    assert tasks(page) == []
    assert page.find_element(By.ID, "count").text == "No task matches."
    search.clear()
    assert len(tasks(page)) == 6


def test_state_reason_and_search_narrow_together(page: webdriver.Chrome) -> None:
    Select(page.find_element(By.ID, "state")).select_by_value("kept")
    assert set(tasks(page)) == {"export resnet", "export bert", HOSTILE}
    Select(page.find_element(By.ID, "reason")).select_by_value("changed")
    assert set(tasks(page)) == {"export resnet", HOSTILE}
    page.find_element(By.ID, "search").send_keys("resnet")
    assert tasks(page) == ["export resnet"]


def test_a_column_s_head_sorts_by_number_or_by_name_with_the_keyboard_too(page: webdriver.Chrome) -> None:
    heads = page.find_elements(By.CSS_SELECTOR, "#projects thead button")
    heads[1].click()
    assert column(page, "projects", 2)[:2] == ["200", "9"]
    heads[1].send_keys("\ue007")
    assert column(page, "projects", 2)[-2:] == ["9", "200"]
    assert page.find_elements(By.CSS_SELECTOR, "#projects thead th")[1].get_attribute("aria-sort") == "ascending"
    heads[0].click()
    assert column(page, "projects", 1)[1:] == ["examples", "language", "vision"]


def test_bars_are_as_long_as_their_numbers(page: webdriver.Chrome) -> None:
    widths = [bar.rect["width"] for bar in page.find_elements(By.CSS_SELECTOR, "#projects rect.deleted")]
    assert widths[0] / widths[1] == pytest.approx(200 / 9, rel=0.02)


def test_names_are_text_even_where_they_look_like_a_script(page: webdriver.Chrome) -> None:
    assert HOSTILE in tasks(page)
    page.find_element(By.LINK_TEXT, HOSTILE)
    assert page.execute_script("return window.hit") is None
    assert page.execute_script("return document.scripts.length") == 2
    data = page.execute_script("return document.getElementById('data').textContent")
    assert HOSTILE in [task["name"] for reason in json.loads(data)["reasons"] for task in reason["examples"]]


def test_the_policy_stops_what_would_slip_through(page: webdriver.Chrome) -> None:
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hit = 1'; document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i);"
    )
    assert page.execute_script("return window.hit") is None
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))


def test_the_page_asks_for_nothing_and_complains_of_nothing(page: webdriver.Chrome) -> None:
    page.find_element(By.ID, "search").send_keys("bert")
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.current_url]
    assert page.get_log("browser") == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(page: webdriver.Chrome, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.find_element(By.ID, "search").is_displayed()
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_colour_schemes(page: webdriver.Chrome, scheme: str) -> None:
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
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
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert contrasts == []
