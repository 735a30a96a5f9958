"""The report's page: one HTML file that contains its style, scripts, plotly and data."""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

SCRIPT_FILES = ("state.js", "table.js", "plots.js", "bytes.js", "curves.js", "answers.js", "details.js", "page.js")
SLOT_PATTERN = re.compile(r"<!--(\w+)-->")
# U+2028 and U+2029 end a line in older JavaScript, but not in JSON.
SCRIPT_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def build_html_page(document: Mapping[str, Any]) -> str:
    """Return the page that shows a report's document (`report_document.build_report`).

    The page fetches nothing: a content security policy in its head forbids it.
    """
    from plotly.offline import get_plotlyjs

    parts = {
        "style": _read_page_file("page.css"),
        "plotly": get_plotlyjs(),
        "data": embed_json(document),
        "scripts": "\n".join(_read_page_file(name) for name in SCRIPT_FILES),
    }
    # One pass over the template: a slot's text that occurs in the data or the scripts is not replaced.
    return SLOT_PATTERN.sub(lambda slot: parts[slot[1]], _read_page_file("page.html"))


def embed_json(document: Mapping[str, Any]) -> str:
    """Return JSON that is safe in a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda character: SCRIPT_ESCAPES[character[0]], text)


def _read_page_file(name: str) -> str:
    return (files("convarium.comparison.report") / "page" / name).read_text(encoding="utf-8")
