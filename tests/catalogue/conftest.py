"""Commands, called in a folder of the user's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.cli import main

CliResult = tuple[int, str, str]


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., CliResult]:
    """Call `convarium catalogue` with arguments; returns exit code, stdout, stderr."""

    def called(*arguments: str) -> CliResult:
        code = main(["catalogue", *arguments])
        return code, *capsys.readouterr()

    return called
