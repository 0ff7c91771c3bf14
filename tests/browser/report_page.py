"""Pages of the HTML report, opened in a browser with all their tasks unpacked."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.report import html
from cleanup_job.report.document import as_document

MOMENT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
HOSTILE = '</script><script>window.hit=1</script><img src=x onerror=window.hit=1>"\' onclick=window.hit=1 x="'
ROWS = (
    ("train resnet", "vision", Verdict.FAILED, Reason.FILE_ERROR, "disk is full"),
    ("train bert", "language", Verdict.FAILED, Reason.FILE_ERROR, "disk is full"),
    ("export resnet", "vision", Verdict.KEPT, Reason.CHANGED, ""),
    ("export bert", "language", Verdict.KEPT, Reason.NEEDS_FORCE, ""),
    (HOSTILE, HOSTILE, Verdict.KEPT, Reason.CHANGED, HOSTILE),
    ("tutorial", "examples", Verdict.NOT_OURS, Reason.PUBLIC, ""),
)
"""Two failures, three kept tasks, a public example, and names that try to break out."""
DELETED = (("vision", 120), ("vision/night", 80), ("language", 9))


def outcomes(deleted: Iterable[tuple[str, int]] = DELETED) -> Iterator[TaskOutcome]:
    """The tasks of the page."""
    for n, (name, project, verdict, reason, detail) in enumerate(ROWS):
        active = MOMENT - timedelta(days=400)
        yield TaskOutcome(TaskId(f"{n:032x}"), name, project, project, verdict, reason, detail, user="u1", active=active)
    for project, number in deleted:
        for k in range(number):
            yield TaskOutcome(
                TaskId(f"d{len(project)}{k:030x}"), f"gone {k}", project, project, Verdict.DELETED, files=k,
                external=(HOSTILE,), bytes=1000 if project == "language" else 10, unsized=k % 2, user="u2", status="completed",
                active=MOMENT - timedelta(days=40 + k),
            )  # fmt: skip


def of_policies() -> Iterator[TaskOutcome]:
    """Tasks that policies would archive, slim and announce, and one that was restored."""
    some = (
        (Verdict.WOULD_ARCHIVE, Stage.ARCHIVE, None, "playground"),
        (Verdict.WOULD_SLIM, Stage.SLIM, None, "playground"),
        (Verdict.WOULD_NOTICE, Stage.DELETE, MOMENT + timedelta(days=7), HOSTILE),
    )
    for kind, (verdict, stage, due, policy) in enumerate(some):
        for n in range(kind + 1):
            ids = TaskId(f"{kind + 10:02x}{n:030x}")
            yield TaskOutcome(ids, f"{verdict} {n}", "play", "pp", verdict, policy=policy, stage=stage, due=due, bytes=5)
    yield TaskOutcome(TaskId("c" * 32), "back", "play", "pp", Verdict.KEPT, Reason.RESTORED, policy="playground")


def written(folder: Path, *, dry_run: bool = False, deleted: int = 0, policies: bool = False) -> Path:
    """The page, with as many deleted tasks."""
    rows = list(outcomes([("vision", deleted)] if deleted else DELETED)) + (list(of_policies()) if policies else [])
    report = Report("1.0", dry_run, MOMENT, MOMENT, "http://api:8008", "https://web.example", MOMENT + timedelta(seconds=9))
    for outcome in rows:
        report.add(outcome)
    report.exit_code, report.unknown_stores["s3://bucket"], report.external = 3, 4, 1
    report.users = {"u1": "Ada", "u2": HOSTILE}
    report.settings = [("CLEANUP_FORCE_DELETE", "true", "environment"), ("CLEANUP_PROJECTS", HOSTILE, "flag")]
    path = folder / "report.html"
    with path.open("w", encoding="utf-8") as stream:
        html.write(as_document(report), rows, stream)
    return path


def opened(browser: webdriver.Chrome, path: Path) -> webdriver.Chrome:
    """The page, with its tasks unpacked."""
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(path.as_uri())
    WebDriverWait(browser, 60).until(lambda found: found.find_element(By.ID, "all").is_displayed())
    return browser


def names(page: webdriver.Chrome) -> list[str]:
    """The tasks in sight, from the top."""
    rows: list[str] = page.execute_script(
        "return [...document.querySelectorAll('#tasks .space .row')].map(row => row.querySelector('.name').textContent)"
    )
    return rows


def count(page: webdriver.Chrome) -> str:
    """What the page says of how many tasks are listed."""
    return page.find_element(By.ID, "count").text


def press(page: webdriver.Chrome, *keys: str) -> None:
    """Type on whatever has the focus."""
    ActionChains(page).send_keys(*keys).perform()


def focused(page: webdriver.Chrome) -> str:
    """What the keyboard is on: its name, or its text."""
    text: str = page.execute_script(
        "const at = document.activeElement; return at.id || at.getAttribute('aria-label') || at.textContent.trim()"
    )
    return text


def width(page: webdriver.Chrome, pixels: int) -> None:
    """Lay the page out for a screen of this width."""
    size = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def scheme(page: webdriver.Chrome, name: str) -> None:
    """Ask for light or dark colours."""
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})
