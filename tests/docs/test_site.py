"""What the site's build finds beyond Zensical's strict mode, and what it makes of the pages."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
URL = "https://git.example/group/clearml-cleanup"
PAGE = '<h1 id="top">A</h1><nav><a class="md-nav__link" href="{there}">B</a></nav>{more}'


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def found(builder: ModuleType, tmp_path: Path) -> Callable[..., list[str]]:
    """What is wrong with a site of two pages, each with something more in it."""

    def look(index: str = "", b: str = "", files: dict[str, str] | None = None) -> list[str]:
        (tmp_path / "in").mkdir()
        (tmp_path / "404.html").write_text('<a href="/index.html">Home</a>')
        (tmp_path / "index.html").write_text(PAGE.format(there="in/b.html", more=index))
        (tmp_path / "in" / "b.html").write_text(PAGE.format(there="../index.html", more=b))
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        return list(builder.problems(tmp_path))

    return look


def test_a_site_without_a_fault(found: Callable[..., list[str]]) -> None:
    links = (
        '<a href="#top">1</a><a href="in/b.html#top">2</a><a href="https://clear.ml">3</a><a href="mailto:a@b.example">4</a>'
    )
    assert found(links, '<img src="../x.svg"><link rel="stylesheet" href="../x.css">', {"x.svg": "", "x.css": "a {}"}) == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="no.html">x</a>', "index.html has a dead link to no.html: there is no such file"),
        ('<a href="in/b.html#no">x</a>', "index.html has a dead link to in/b.html#no: the page has no such anchor"),
        ('<a href="#no">x</a>', "index.html has a dead link to #no: the page has no such anchor"),
        ('<img src="no.png">', "index.html has a dead link to no.png: there is no such file"),
        ('<script src="https://cdn.example/a.js"></script>', "index.html loads https://cdn.example/a.js from another host"),
        ('<link rel="preconnect" href="//fonts.example">', "index.html loads //fonts.example from another host"),
    ],
)
def test_a_fault_is_named(found: Callable[..., list[str]], html: str, problem: str) -> None:
    assert found(html) == [problem]


def test_a_page_that_the_navigation_leaves_out_is_named(found: Callable[..., list[str]]) -> None:
    linked = '<a href="in/c.html">a link in the text is not enough</a>'
    assert found(linked, files={"in/c.html": "<h1>C</h1>"}) == [
        "in/c.html is not in the navigation: add it to `nav` in mkdocs.yml"
    ]


@pytest.mark.parametrize("text", ["a { src: url('https://cdn.example/a.woff2') }", '@import "//cdn.example/a.css";'])
def test_a_style_that_loads_from_elsewhere_is_named(found: Callable[..., list[str]], text: str) -> None:
    (problem,) = found(files={"a.css": text})
    assert "from another host" in problem


def test_a_link_out_of_the_pages_leads_to_the_repository(builder: ModuleType) -> None:
    text = "[a](../../Makefile#x) [b](../../tests/docs) [c](../install.md#y) [d](#z) [e](https://clear.ml) [f](../../no.md)"
    assert builder.staged("guides/upgrade.md", text, URL) == (
        f"[a]({URL}/blob/main/Makefile#x) [b]({URL}/tree/main/tests/docs) [c](../install.md#y) [d](#z) [e](https://clear.ml) "
        "[f](../../no.md)"
    )
    assert (
        builder.staged("guides/upgrade.md", "[a **b**](../../Makefile), [c](../install.md)", "")
        == "a **b**, [c](../install.md)"
    )


def test_the_page_of_the_chart_s_values_has_the_table_of_its_readme(builder: ModuleType) -> None:
    page = builder.staged("values.md", (ROOT / "docs" / "values.md").read_text(encoding="utf-8"), URL)
    table = (ROOT / "helm" / "clearml-cleanup" / "README.md").read_text(encoding="utf-8").partition("## Values\n")[2]
    assert page.startswith("# Chart values\n")
    assert page.endswith(table.lstrip())
    assert page.count("\n| ") > 100


def test_the_navigation_has_every_page_once() -> None:
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r": ([\w/.-]+\.md)$", configuration.partition("\nnav:\n")[2], re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))


def test_the_repository_s_address_is_said_once(builder: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOSITORY_URL", f"{URL}/")
    assert builder.repository() == URL
    assert builder.environment()["REPOSITORY_URL"] == URL
    assert "repo_url: !ENV [REPOSITORY_URL, " in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
