"""The report's page: one HTML file with its style, scripts, plotly and data inside."""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

SCRIPT_FILES = ("state.js", "table.js", "plots.js", "bytes.js", "curves.js", "details.js", "page.js")
SLOT_PATTERN = re.compile(r"<!--(\w+)-->")
SCRIPT_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def build_html_page(document: Mapping[str, Any]) -> str:
    """Return the page that shows a report's document (`report_document.build_report`).

    It fetches nothing: a content security policy in its head forbids it.
    """
    from plotly.offline import get_plotlyjs

    parts = {
        "style": _read_page_file("page.css"),
        "plotly": get_plotlyjs(),
        "data": embed_json(document),
        "scripts": "\n".join(_read_page_file(name) for name in SCRIPT_FILES),
    }
    return SLOT_PATTERN.sub(lambda slot: parts[slot[1]], _read_page_file("page.html"))


def embed_json(document: Mapping[str, Any]) -> str:
    """Return JSON that can stand in a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: SCRIPT_ESCAPES[found[0]], text)


def _read_page_file(name: str) -> str:
    return (files("convarium.comparison.report") / "page" / name).read_text(encoding="utf-8")
