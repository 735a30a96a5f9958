"""What all tests share."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

logging.raiseExceptions = False  # libraries keep log handlers on streams that pytest closes after a test


@pytest.fixture(autouse=True)
def import_path_of_children() -> None:
    """A command that ran in the tests' own process must not decide what the children of this one import."""
    os.environ.pop("PYTHONSAFEPATH", None)


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
