"""The page stands alone."""

import json
import re
from pathlib import Path

from convarium.comparison.report.html_page import SCRIPT_FILES, build_html_page, embed_json


def test_data_come_back_as_they_were_and_end_no_element() -> None:
    document = {"label": "</script><!-- & \u2028\u2029 \"quoted\" 'too' é →"}
    text = embed_json(document)
    assert json.loads(text) == document
    assert not re.search("[<>&\u2028\u2029]", text)


def test_a_slot_named_in_the_data_stays_what_it_is(report: Path) -> None:
    text = build_html_page({"label": "<!--plotly-->"})
    assert len(text) < report.stat().st_size
    assert text.count("plotly.js v") == 1


def test_nothing_is_fetched_from_anywhere(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; ")
    assert "http" not in policy[1]
    assert not re.search(r"<(script|img|iframe|link)[^>]*(src|href)=[\"'](?!data:)", text.split("<script>")[0])


def test_every_script_of_the_folder_is_in_the_page() -> None:
    import convarium.comparison.report as report

    folder = Path(report.__path__[0]) / "page"
    assert {file.name for file in folder.glob("*.js")} == set(SCRIPT_FILES)
