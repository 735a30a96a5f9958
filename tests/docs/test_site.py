"""The site builds without a warning, holds every page, and says of each option what the checker would."""

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from convarium.catalogue.rows import read_catalogue_rows
from convarium.config import search_path

ROOT = Path(__file__).parents[2]
Read = Callable[[str], str]
MOST_PIXELS = 30_000  # of a page of options


class Text(HTMLParser):
    """The words of a page, tables cell by cell, separated by bars."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(" ".join(data.split()))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "tr"):
            self.words.append("|")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; building it strictly fails where there are warnings, but not with `--quiet`."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    return folder


@pytest.fixture
def read(site: Path) -> Read:
    """The words of a page."""

    def words(name: str) -> str:
        parser = Text()
        parser.feed((site / name).read_text(encoding="utf-8"))
        return re.sub(r"\s+", " ", " ".join(parser.words))

    return words


def test_every_page_is_there_and_nothing_is_fetched(site: Path) -> None:
    sources = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    wanted = {str(path.with_suffix(".html")).replace("README", "index") for path in sources}
    pages = {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert wanted | {"options.html", "catalogue.html"} <= pages.keys()
    assert not (site / "hooks").exists()
    for name, text in pages.items():
        assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=\"(?:https?:)?//", text), name


def test_the_options_are_all_there_with_default_rule_and_words(site: Path, read: Read) -> None:
    pages = {path.stem: read(f"options/{path.name}") for path in (site / "options").glob("*.html")}
    for group in search_path.list_config_groups():
        texts = [text for name, text in pages.items() if name.startswith(group)]
        for name in search_path.list_config_names(search_path.find_builtin_folder("conf") / group):
            assert any(f" {name} " in text for text in texts), f"{group}={name}"
    index = (site / "options.html").read_text(encoding="utf-8")
    assert all(f'href="options/{name}.html"' in index for name in pages)
    page = " ".join(pages.values())
    assert "weight_pruning" not in page  # a base is no option
    assert "| sparsity | 0.9 | float from 0 to 1 | share of weights removed from each site |" in page
    assert "| initialisation | linear | one of linear, density, random | of the centroids:" in page
    assert "| epochs | 8 | int of at least 1 |" in page
    assert "| temperature | 4.0 | float from 0.1 to 100 | tau |" in page
    assert "| kwargs.activation | relu | one of relu, tanh, sigmoid, gelu, silu |" in page
    assert "| name | must be given | str |" in page
    assert "sparsity is what a budget of bytes, sparsity solves for." in page


def test_the_catalogue_has_every_row_and_no_verdict_that_was_not_made(read: Read) -> None:
    page = read("catalogue.html")
    assert all(f" {row.id} " in page for row in read_catalogue_rows())
    assert "40 times fewer bytes (higher is better)" in page
    assert "VGG-16" in page
    assert "138,357,544 parameters, 15,470,264,320 MACs at 224" in page
    assert "differs: parameters +22.5 % to the review's; review's slip: 27.21M are blocks" in page
    assert "| left out: its authors published no configuration" in page
    assert "torchvision, BSD-3-Clause" in page
    assert page.count("not built") > 190
    assert "| convarium inspect SIGNATURE --deconvnet FILE.png |" in page


def test_every_page_opens_from_the_disk_without_a_script_error(site: Path, chromium: Any) -> None:
    chromium.get_log("browser")
    for path in site.rglob("*.html"):
        if path.name == "404.html":  # of a server
            continue
        chromium.get(path.as_uri())
        assert chromium.get_log("browser") == [], path
        if path.parent.name == "options":
            assert chromium.execute_script("return document.documentElement.scrollHeight") < MOST_PIXELS, path


@pytest.mark.parametrize("page", ["index.html", "how-to/keep.html"])
def test_the_search_works_from_the_disk(page: str, site: Path, chromium: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    chromium.get((site / page).as_uri())
    chromium.execute_script("document.querySelector('[data-bs-target=\"#mkdocs_search_modal\"]').click()")
    field = chromium.find_element("id", "mkdocs-search-query")
    WebDriverWait(chromium, 30).until(lambda _: field.is_displayed())

    def type_and_find(browser: Any) -> Any:
        field.clear()  # what is typed while the dialog still opens may get lost
        field.send_keys("magnitude.sparsity")
        return browser.find_elements("css selector", "#mkdocs-search-results a")

    found = WebDriverWait(chromium, 60).until(type_and_find)
    places = [link.get_attribute("href") for link in found]
    assert places[0] == f"{site.as_uri()}/options/compression.html#pruningmagnitude"
    chromium.get(places[0])
    assert "compression" in chromium.title
