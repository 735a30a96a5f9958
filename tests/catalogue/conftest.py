"""Commands, called in a folder of the user's own."""

from pathlib import Path

import pytest

from command_lines import Call, CliResult
from convarium.cli import main


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `convarium catalogue` with arguments; returns exit code, stdout, stderr."""

    def called(*arguments: str) -> CliResult:
        code = main(["catalogue", *arguments])
        return code, *capsys.readouterr()

    return called
