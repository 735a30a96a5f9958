"""What all tests share."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

logging.raiseExceptions = False  # libraries keep log handlers on streams that pytest closes after a test


@pytest.fixture(autouse=True)
def import_path_of_children() -> Iterator[None]:
    """A command that runs in the test's own process must not decide what the children of other tests import."""
    before = os.environ.get("PYTHONSAFEPATH")
    yield
    if before is None:
        os.environ.pop("PYTHONSAFEPATH", None)
    else:
        os.environ["PYTHONSAFEPATH"] = before


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(here: Path) -> Callable[[str, str], Path]:
    """Write a file below the current folder."""

    def written(name: str, text: str) -> Path:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return written
