"""The HTML report in a real browser, opened as a file: what people see, click and type."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from cleanup_job.planning.outcome import ProjectSum, Report
from cleanup_job.report import html
from cleanup_job.report.document import as_document
from cleanup_job.report.task_rows import MOST, TaskRow
from tests.browser.report_page import HOSTILE, MOMENT, count, names, opened, width, written


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More tasks than a page has; each tenth one is kept."""
    report = Report("1.0", False, MOMENT, MOMENT, "http://api:8008", "", MOMENT)
    report.projects["p"] = ProjectSum("project", tasks=MOST + 5)

    def rows() -> Iterator[TaskRow]:
        for n in range(MOST + 5):
            kept = n % 10 == 0
            yield TaskRow(
                f"{n * 7919:032x}", f"run {n}", f"project {n % 100}", f"p{n % 100}", f"u{n % 7}", "completed",
                "kept" if kept else "deleted", "changed" if kept else None, "", "", 0, n % 50, space(n), 0,
                MOMENT - timedelta(days=n % 900),
            )  # fmt: skip

    path = tmp_path_factory.mktemp("huge") / "report.html"
    with path.open("w", encoding="utf-8") as stream:
        html.write(as_document(report), rows(), stream)
    return path


def space(n: int) -> int:
    """Bytes of a task of the huge page."""
    return n * 7919 % 1_000_003 if n % 10 else 0


def projects(page: webdriver.Chrome) -> list[str]:
    """The names of the projects in sight, each with its number of deleted tasks."""
    rows = page.find_elements(By.CSS_SELECTOR, "#projects tbody tr")
    cells = [row.find_elements(By.CSS_SELECTOR, ".name, td:nth-of-type(1)") for row in rows if row.is_displayed()]
    return [f"{name.text} {number.text}" for name, number in cells]


def test_the_page_says_first_how_much_was_freed_and_which_settings_counted(page: webdriver.Chrome) -> None:
    cards = [card.text.replace("\n", " ") for card in page.find_elements(By.CSS_SELECTOR, ".card")]
    assert cards == [
        "at least 10.7 KiB freed", "209 tasks deleted", "0 models", "10,336 files", "3 kept", "2 failed", "1 skipped",
    ]  # fmt: skip
    settings = page.find_element(By.CSS_SELECTOR, ".settings").text
    assert "CLEANUP_FORCE_DELETE\ntrue environment" in settings


def test_a_colour_means_that_the_number_is_not_0(page: webdriver.Chrome) -> None:
    coloured = page.execute_script(
        "const grey = getComputedStyle(document.querySelector('.card')).borderBottomColor;"
        "return [...document.querySelectorAll('.card')].filter(card => getComputedStyle(card).borderTopColor !== grey)"
        ".map(card => card.querySelector('span').textContent)"
    )
    assert coloured == ["freed", "tasks deleted", "kept", "failed", "skipped"]
    red = page.find_elements(By.CSS_SELECTOR, "td.failed")
    assert [cell.text for cell in red] == ["1", "1"]


def test_typing_in_the_search_field_leaves_the_tasks_that_match(page: webdriver.Chrome) -> None:
    assert count(page) == "215 of 215 listed tasks"
    search = page.find_element(By.ID, "search")
    search.send_keys("bert DISK")
    assert names(page) == ["train bert"]
    assert count(page) == "1 of 215 listed tasks"
    search.send_keys(" no such task")
    assert names(page) == []
    assert count(page) == "No task matches."
    search.clear()
    search.send_keys("ada export")
    assert sorted(names(page)) == ["export bert", "export resnet"]


def test_result_reason_and_search_narrow_together(page: webdriver.Chrome) -> None:
    Select(page.find_element(By.ID, "verdict")).select_by_value("kept")
    assert set(names(page)) == {"export resnet", "export bert", HOSTILE}
    Select(page.find_element(By.ID, "reason")).select_by_value("changed")
    assert set(names(page)) == {"export resnet", HOSTILE}
    page.find_element(By.ID, "search").send_keys("resnet")
    assert names(page) == ["export resnet"]


def test_stages_and_policies_have_a_table_columns_and_filters(
    page: webdriver.Chrome, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    assert not page.find_element(By.ID, "stage").is_displayed(), "without policies there is nothing to choose"
    opened(browser, written(tmp_path, dry_run=True, policies=True))
    rows = page.find_elements(By.CSS_SELECTOR, "#stages tbody tr")
    assert [row.text for row in rows] == [
        "archive playground 1 0 0 5 B 0 0", "slim playground 2 0 0 10 B 0 0", f"delete {HOSTILE} 0 0 0 15 B 0 3 2026-03-08",
    ]  # fmt: skip
    Select(page.find_element(By.ID, "stage")).select_by_value("slim")
    assert names(page) == ["would_slim 0", "would_slim 1"]
    Select(page.find_element(By.ID, "stage")).select_by_value("")
    Select(page.find_element(By.ID, "policy")).select_by_index(2)
    assert len(names(page)) == 3
    cells = page.execute_script(
        "return [...document.querySelector('#tasks .space .row').children].map(cell => cell.textContent).slice(-3)"
    )
    assert cells == ["from 2026-03-08 on", "notice", HOSTILE]
    assert page.execute_script("return window.hit") is None


def test_projects_are_folded_with_their_sums_and_sort_below_their_parents(page: webdriver.Chrome) -> None:
    assert projects(page) == ["vision 200", "language 9", f"{HOSTILE} 0", "examples 0"]
    toggle = page.find_element(By.CSS_SELECTOR, "#projects .toggle")
    assert (toggle.accessible_name, toggle.get_attribute("aria-expanded")) == ("Sub-projects of vision", "false")
    toggle.send_keys(Keys.ENTER)
    assert projects(page)[:3] == ["vision 200", "night 80", "language 9"]
    heads = page.find_elements(By.CSS_SELECTOR, "#projects thead button")
    heads[1].send_keys(Keys.ENTER)
    heads[1].send_keys(Keys.ENTER)
    assert projects(page)[-3:] == ["language 9", "vision 200", "night 80"]
    assert page.find_elements(By.CSS_SELECTOR, "#projects thead th")[1].get_attribute("aria-sort") == "ascending"
    heads[0].click()
    assert projects(page)[1:] == ["examples 0", "language 9", "vision 200", "night 80"]
    page.find_element(By.ID, "unfold").click()
    assert len(projects(page)) == 4


@pytest.mark.parametrize(("unit", "share"), [("tasks", 200 / 9), ("bytes", 2000 / 9000)])
def test_bars_are_as_long_as_their_numbers_of_tasks_or_bytes(page: webdriver.Chrome, unit: str, share: float) -> None:
    page.find_element(By.ID, f"bars-{unit}").click()
    bars = [bar.rect["width"] for bar in page.find_elements(By.CSS_SELECTOR, "#projects rect.deleted") if bar.is_displayed()]
    assert bars[0] / bars[1] == pytest.approx(share, rel=0.02)
    assert {bar.get_attribute("class") for bar in page.find_elements(By.CSS_SELECTOR, ".bar") if bar.is_displayed()} == {
        f"bar {unit}"
    }


def test_ages_are_counted_by_the_time_of_the_pass(page: webdriver.Chrome) -> None:
    rows = [row.text.replace("\n", " ") for row in page.find_elements(By.CSS_SELECTOR, "#ages tbody tr")]
    assert rows == [
        "1 month to 2 months 49 tasks at least 9.2 KiB",
        "2 months to 3 months 60 tasks at least 600 B",
        "3 months to 6 months 100 tasks at least 1000 B",
        "6 months to 1 year 0 tasks 0 B",
        "1 year to 2 years 6 tasks 0 B",
    ]
    by_tasks = page.execute_script(
        "return [...document.querySelectorAll('#ages .bar.tasks')].map(bar => [...bar.children].map(part => part.classList[0]))"
    )
    assert by_tasks == [["deleted"], ["deleted"], ["deleted"], [], ["kept", "failed", "other"]]


def test_200_000_tasks_are_searched_and_sorted_with_few_elements(browser: webdriver.Chrome, huge: Path) -> None:
    page = opened(browser, huge)

    def elements() -> int:
        return len(page.find_elements(By.CSS_SELECTOR, "#tasks [role=row]"))

    assert count(page) == f"200,000 of 200,000 listed tasks (of {MOST + 5:,} tasks of this pass)"
    assert page.find_element(By.ID, "tasks").get_attribute("aria-rowcount") == "200001"
    assert names(page)[:8] == [f"run {n}" for n in sorted(range(MOST), key=space, reverse=True)[:8]]
    assert elements() < 80
    head = page.find_element(By.CSS_SELECTOR, "#tasks .heads button")
    head.click()
    assert names(page)[:4] == ["run 0", "run 1", "run 2", "run 3"]
    head.click()
    assert names(page)[:2] == ["run 199999", "run 199998"]
    page.execute_script("const area = document.querySelector('.scroller'); area.scrollTop = area.scrollHeight / 2")
    WebDriverWait(page, 20).until(lambda found: "run 100000" in names(found))
    assert elements() < 80
    search = page.find_element(By.ID, "search")
    search.send_keys("run 19994 u3")
    expected = [n for n in range(MOST) if "19994" in str(n) and n % 7 == 3]
    assert names(page) == [f"run {n}" for n in reversed(expected)]
    search.clear()
    search.send_keys(f"{123_456 * 7919:032x}")
    assert names(page) == ["run 123456"]


def test_names_are_text_even_where_they_look_like_a_script(page: webdriver.Chrome) -> None:
    page.find_element(By.ID, "search").send_keys("onerror")
    Select(page.find_element(By.ID, "verdict")).select_by_value("kept")
    assert names(page) == [HOSTILE]
    page.find_element(By.CSS_SELECTOR, "#tasks .space .row .project").click()
    assert HOSTILE in page.find_element(By.ID, "chosen").text
    assert page.execute_script("return window.hit") is None
    assert page.execute_script("return document.scripts.length") == 3
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
    page.find_element(By.CSS_SELECTOR, "#tasks .heads button").click()
    page.find_element(By.CSS_SELECTOR, "#tasks .space .row .owner").click()
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.current_url]
    assert page.get_log("browser") == []


@pytest.mark.parametrize("pixels", [320, 360, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(page: webdriver.Chrome, pixels: int) -> None:
    width(page, pixels)
    page.find_element(By.ID, "unfold").click()
    assert page.execute_script("return document.documentElement.scrollWidth") <= pixels
    for name in ("search", "tasks", "ages", "projects"):
        box = page.find_element(By.ID, name).rect
        assert 0 <= box["x"] < box["x"] + box["width"] <= pixels, name
    cut = page.execute_script(
        "return [...document.querySelectorAll('.panel, .card, #tasks .heads')]"
        ".filter(node => node.scrollWidth > node.clientWidth).map(node => node.textContent)"
    )
    assert cut == []
