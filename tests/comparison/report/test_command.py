"""`convarium compare --html FILE --csv FILE`."""

import json
from pathlib import Path

import pytest

from convarium.cli import main


def test_files_are_written_beside_what_is_printed(stored: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compare", f"runtime.store={stored}", "--json", "--csv", "table.csv", "--where", "file_bytes<15000"])
    told = capsys.readouterr()
    assert (code, len(json.loads(told.out)["rows"])) == (0, 2)
    assert len((here / "table.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert "table.csv: " in told.err


def test_a_whole_store_knows_the_commands_from_its_plans(stored: Path, here: Path, read) -> None:
    assert main(["compare", f"runtime.store={stored}", "--html", "all.html"]) == 0
    commands = {row["label"]: row["command"] for row in read(here / "all.html")["rows"]}
    command = "convarium run compression=quantization/kmeans 'measurement.executors=[eager]' seed=0,1,2"
    assert commands["kmeans 5"] == command


@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_a_file_that_cannot_be_written_is_told_in_one_line(
    option: str, stored: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", f"runtime.store={stored}", option, "no/such/folder/file"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{option} no/such/folder/file: can't be written: No such file or directory" in error
