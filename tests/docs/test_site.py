"""The site builds without a warning, holds every page, and says of each option what the checker would."""

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from convarium.catalogue.rows import read_catalogue_rows
from convarium.config import search_path

ROOT = Path(__file__).parents[2]
Read = Callable[[str], str]


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
    """The built site; building it strictly fails at the first warning."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
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


def test_the_options_are_all_there_with_default_rule_and_words(read: Read) -> None:
    page = read("options.html")
    for group in search_path.list_config_groups():
        for name in search_path.list_config_names(search_path.find_builtin_folder("conf") / group):
            assert f" {name} " in page, f"{group}={name}"
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
