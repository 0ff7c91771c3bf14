"""Builds the documentation's site with Zensical, strictly: `make site` and `make serve-docs` run this.

`build_site.py` writes build/site, `build_site.py --serve` shows it and follows changes in docs/.

The pages in docs/ are read in two places, in the repository and on the site. So they are copied first: a link out of docs/
becomes one to the repository, and docs/values.md gets the table from the chart's README.

Zensical's strict mode finds dead links and anchors in Markdown. It does not find a page that is missing from the navigation, an
entry there without a page, a missing image, or something that is loaded from another host. `problems` finds those in the HTML.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
VALUES = ROOT / "helm" / "clearml-cleanup" / "README.md"
PLACE = re.compile(r"<!-- On the site, the table is here\. -->\n.*", re.DOTALL)
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^()\s]+)\)")


def repository() -> str:
    """The repository's address: REPOSITORY_URL, or the one in pyproject.toml; empty where neither says it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = {name.lower(): url for name, url in project.get("urls", {}).items()}
    return (os.environ.get("REPOSITORY_URL") or urls.get("repository") or urls.get("source") or "").rstrip("/")


def staged(page: str, text: str, url: str) -> str:
    """The text of a page (`guides/upgrade.md`) as the site needs it."""
    if page == "values.md":
        text = PLACE.sub(lambda _: VALUES.read_text(encoding="utf-8").partition("## Values\n")[2].lstrip(), text)

    def replaced(link: re.Match[str]) -> str:
        label, target = link.groups()
        path, _, anchor = target.partition("#")
        there = normpath(f"docs/{page}/../{path}")
        if urlsplit(target).scheme or not path or there.startswith("docs/") or not (ROOT / there).exists():
            return link[0]
        if not url:  # without a repository to link to, the label alone
            return label[1:-1]
        kind = "tree" if (ROOT / there).is_dir() else "blob"
        return f"{label}({url}/{kind}/main/{there}{'#' if anchor else ''}{anchor})"

    return LINK.sub(replaced, text)


def stage() -> None:
    """Copy docs/ to where Zensical reads it; a file that has not changed is not written."""
    wanted = {}
    for path in sorted(DOCS.rglob("*")):
        name = path.relative_to(DOCS).as_posix()
        if path.suffix == ".md":
            wanted[name] = staged(name, path.read_text(encoding="utf-8"), repository()).encode()
        elif path.is_file() and path.suffix in {".svg", ".png", ".css", ".json"}:
            wanted[name] = path.read_bytes()
    for old in SOURCE.rglob("*"):
        if old.is_file() and old.relative_to(SOURCE).as_posix() not in wanted:
            old.unlink()
    for name, content in wanted.items():
        there = SOURCE / name
        if not there.exists() or there.read_bytes() != content:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(content)


class Page(HTMLParser):
    """What a built page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        """Read it."""
        super().__init__()
        self.links: list[str] = []
        self.navigation: list[str] = []
        self.loads: list[str] = []
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element's address and id."""
        found = {name: value or "" for name, value in attrs}
        self.anchors.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
            if "md-nav__link" in found.get("class", "").split():
                self.navigation.append(found["href"])
        elif tag == "link" and found.get("rel") in {"canonical", "prev", "next", "edit"}:
            self.links.append(found.get("href", ""))
        else:
            self.loads += [found[name] for name in ("href", "src", "data") if found.get(name)]


def problems(site: Path) -> Iterator[str]:
    """What is wrong with a built site."""
    pages = {path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    del pages["404.html"]  # it is shown at any address, so its own links begin at the host's root
    for name, page in pages.items():
        yield from (f"{name} loads {address} from another host" for address in page.loads if elsewhere(address))
        for address in page.links + page.loads:
            if not elsewhere(address) and (trouble := dead(site, pages, name, address)):
                yield f"{name} has a dead link to {address}: {trouble}"
    in_navigation = {"index.html", *(normpath(urlsplit(address).path) for address in pages["index.html"].navigation)}
    for name in pages.keys() - in_navigation:
        yield f"{name} is not in the navigation: add it to `nav` in mkdocs.yml"
    yield from loaded_by_styles(site)


def loaded_by_styles(site: Path) -> Iterator[str]:
    """What style sheets load from another host."""
    for path in sorted(site.rglob("*.css")):
        for address in re.findall(r"(?:url\(|@import )\s*[\"']?((?:https?:)?//[^\"')]+)", path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads {address} from another host"


def elsewhere(address: str) -> bool:
    """Whether an address leads away from the site."""
    parts = urlsplit(address)
    return parts.scheme in {"http", "https", "mailto"} or bool(parts.netloc)


def dead(site: Path, pages: dict[str, Page], name: str, address: str) -> str:
    """Why a link within the site leads nowhere; empty if it leads somewhere."""
    parts = urlsplit(address)
    if parts.scheme == "data":
        return ""
    there = normpath(f"{name}/../{unquote(parts.path)}") if parts.path else name
    if (site / there).is_dir():
        there = normpath(f"{there}/index.html")
    if not (site / there).is_file():
        return "there is no such file"
    if there in pages and unquote(parts.fragment) not in pages[there].anchors:
        return "the page has no such anchor"
    return ""


def zensical(*arguments: str) -> list[str]:
    """A command of Zensical, of the environment that runs this."""
    return [sys.executable, "-m", "zensical", *arguments, "--config-file", str(ROOT / "mkdocs.yml")]


def build() -> list[str]:
    """Build into build/site; returns what is wrong."""
    shutil.rmtree(SITE, ignore_errors=True)
    stage()
    command = zensical("build", "--strict", "--clean")
    done = subprocess.run(command, env=environment(), check=False, stderr=subprocess.PIPE, text=True)  # noqa: S603 -- ours
    if done.returncode:
        # Strict mode prints its findings and ends in a traceback that adds nothing.
        strict = "--strict flag is set" in done.stderr
        return ["Zensical found the problems above" if strict else f"Zensical failed:\n{done.stderr.strip()}"]
    return list(problems(SITE))


def serve() -> int:
    """Show the site until Ctrl-C, and follow changes."""
    stage()
    server = subprocess.Popen(zensical("serve"), env=environment())  # noqa: S603 -- ours
    try:
        while server.poll() is None:
            time.sleep(1)
            stage()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0
    return server.returncode


def environment() -> dict[str, str]:
    """With the one variable that mkdocs.yml reads."""
    return {**os.environ, "REPOSITORY_URL": repository()}


def main() -> int:
    """Build or serve; 1 if the site has a problem."""
    if "--serve" in sys.argv:
        return serve()
    found = build()
    for problem in found:
        print(f"site: {problem}")  # noqa: T201 -- a command: it prints
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
