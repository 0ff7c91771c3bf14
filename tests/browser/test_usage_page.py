"""The page of what takes the space in a real browser: the map's rectangles, without any script."""

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from cleanup_job.report import usage_html
from cleanup_job.report.usage_document import as_document
from tests.browser.report_page import scheme
from tests.browser.test_report_access import axe, violations  # noqa: F401 -- a fixture
from tests.unit.report.example_usage import report

HOSTILE = '</style><script>window.hit=1</script><img src=x onerror=window.hit=1>"\' onclick=window.hit=1 x="'


@pytest.fixture(params=[1200, 400])
def page(browser: webdriver.Chrome, tmp_path: Path, request: pytest.FixtureRequest) -> webdriver.Chrome:
    made = report(HOSTILE)
    path = tmp_path / "usage.html"
    path.write_text(usage_html.render(as_document(made), made.web), encoding="utf-8")
    browser.set_window_size(request.param, 900)
    browser.get_log("browser")
    browser.get(path.as_uri())
    return browser


def test_the_map_shows_sizes_as_areas_within_the_page(page: webdriver.Chrome) -> None:
    whole = page.find_element(By.ID, "map").rect
    rectangles = [one.rect for one in page.find_elements(By.CSS_SELECTOR, "#map > li")]
    areas = [one["width"] * one["height"] / (whole["width"] * whole["height"]) for one in rectangles]
    known = [7 * 2**30, 2**29, 2**20 + 3]
    assert areas == pytest.approx([size / sum(known) for size in known], abs=0.01)
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    parts = page.find_elements(By.CSS_SELECTOR, "#r0 i")
    assert [part.get_attribute("class") for part in parts] == ["artifacts", "metrics"]
    assert parts[0].value_of_css_property("background-color") != "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: webdriver.Chrome, axe: str, theme: str) -> None:  # noqa: F811 -- the fixture
    scheme(page, theme)
    assert violations(page, axe) == []


def test_names_are_text_and_nothing_is_refused_or_loaded(page: webdriver.Chrome) -> None:
    assert HOSTILE in page.find_element(By.ID, "r0").get_attribute("title")
    assert page.execute_script("return window.hit") is None
    assert page.execute_script("return document.scripts.length") == 0
    assert page.get_log("browser") == []
