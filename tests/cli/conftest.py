"""A folder of the user's own to call commands in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.cli import main

Called = tuple[int, str, str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Call convarium with arguments; returns exit code, stdout, stderr."""

    def called(*arguments: str) -> Called:
        code = main(arguments)
        return code, *capsys.readouterr()

    return called


@pytest.fixture
def write(here: Path) -> Callable[[str, str], Path]:
    """Write a file below the current folder."""

    def written(name: str, text: str) -> Path:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return written
