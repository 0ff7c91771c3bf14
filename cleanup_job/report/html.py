"""The report of a pass as one self-contained page: no address is loaded, and text from the server is only ever text."""

import json
from importlib import resources
from typing import Any


def render(document: dict[str, Any]) -> str:
    """The page; its data stands in it as JSON, in which `<` can't end the element."""
    page = resources.files("cleanup_job.report").joinpath("page.html").read_text(encoding="utf-8")
    data = json.dumps(document, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return page.replace("{{data}}", data)
