"""The documentation's site in a real browser: every page opens, nothing comes from another host, search and dark mode work."""

import functools
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site"
PYTHON = ROOT / ".venv" / "docs" / "bin" / "python"
REPOSITORY = "https://github.com/group/clearml-cleanup"  # of this host, the theme's own link would ask for stars
SETTING = "CLEANUP_DELETE_THRESHOLD_DAYS"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The site, built from the pages of today and served on a port of its own."""
    if not PYTHON.exists():
        text = "the site's generator is not installed: run `make site`"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    command = [PYTHON, ROOT / "docs" / "build_site.py"]
    built = subprocess.run(
        command, env={**os.environ, "REPOSITORY_URL": REPOSITORY}, capture_output=True, text=True, check=False, timeout=120
    )
    assert built.returncode == 0, built.stdout + built.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A browser that has seen nothing yet."""
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.set_window_size(1300, 900)
    yield browser
    browser.execute_script("localStorage.clear()")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def asked(page: webdriver.Chrome) -> set[str]:
    """What the browser has asked for since it was asked last."""
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith(("data:", "blob:"))}


def scheme(page: webdriver.Chrome, preferred: str) -> None:
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": preferred}]})


def brightness(page: webdriver.Chrome) -> float:
    """Of what text is on, from 0 to 1."""
    value: float = page.execute_script("""
      const paint = document.createElement('canvas').getContext('2d');
      paint.fillStyle = getComputedStyle(document.body).backgroundColor;
      paint.fillRect(0, 0, 1, 1);
      const [r, g, b] = paint.getImageData(0, 0, 1, 1).data;
      return (r + g + b) / 765;
    """)
    return value


def test_every_page_opens_with_a_heading_without_errors_and_asks_no_other_host(page: webdriver.Chrome, site: str) -> None:
    names = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    sources = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {*names} == {*sources, "404.html"}
    for name in names:
        page.get(site + name)
        heading = page.find_element(By.CSS_SELECTOR, "article h1").text
        assert heading.strip("¶ "), name
        assert page.find_elements(By.CSS_SELECTOR, ".md-tabs a, .md-nav a"), name
        assert page.get_log("browser") == [], name
        assert {url for url in asked(page) if not url.startswith(site)} == set(), name
        for width in (1300, 390):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            assert page.execute_script("return document.documentElement.scrollWidth") <= width, name
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_search_finds_a_setting(page: webdriver.Chrome, site: str) -> None:
    page.get(site)
    page.find_element(By.CSS_SELECTOR, ".md-search__button").click()
    # The search's dialog is a shadow tree of its own.
    within = "return [...document.querySelectorAll('body > *')].filter(node => node.shadowRoot).flatMap(node => "
    field = f"{within} [...node.shadowRoot.querySelectorAll('input')])[0]"
    links = f"{within} [...node.shadowRoot.querySelectorAll('a')]).map(link => link.href)"
    WebDriverWait(page, 20).until(lambda found: found.execute_script(field)).send_keys(SETTING)
    WebDriverWait(page, 20).until(lambda found: any("/settings.html" in link for link in found.execute_script(links)))
    assert page.get_log("browser") == []
    assert {url for url in asked(page) if not url.startswith(site)} == set()


def test_the_site_is_as_dark_as_the_system_until_someone_switches(page: webdriver.Chrome, site: str) -> None:
    for preferred, dark in (("light", False), ("dark", True)):
        scheme(page, preferred)
        page.get(site)
        assert (brightness(page) < 0.2) is dark
        assert (brightness(page) > 0.8) is not dark
    seen = []
    for _ in range(3):
        page.find_element(By.CSS_SELECTOR, "[data-md-component=palette] label:not([hidden])").click()
        seen.append(brightness(page) < 0.2)
    assert seen == [False, True, True]  # light, dark, and as the system
    page.find_element(By.CSS_SELECTOR, "[data-md-component=palette] label:not([hidden])").click()
    page.get(site + "install.html")
    assert brightness(page) > 0.8  # what someone chose holds on the next page too


def test_each_page_can_be_edited_in_the_repository(page: webdriver.Chrome, site: str) -> None:
    for name in ("index", "guides/upgrade", "values"):
        page.get(f"{site}{name}.html")
        link = page.find_element(By.CSS_SELECTOR, "a[rel=edit]").get_attribute("href")
        assert link == f"{REPOSITORY}/edit/main/docs/{name}.md"
        assert (ROOT / "docs" / f"{name}.md").exists()
        assert page.find_element(By.CSS_SELECTOR, "a.md-source").get_attribute("href") == REPOSITORY
