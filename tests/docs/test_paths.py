"""What the pages name lies there: a test that was moved is named by where it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/mistakes.md", "docs/architecture.md", "docs/how-to/method.md", "CONTRIBUTING.md", "README.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = set(re.findall(r"`(tests/[\w/]+(?:\.py|/))`", (ROOT / page).read_text(encoding="utf-8")))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
