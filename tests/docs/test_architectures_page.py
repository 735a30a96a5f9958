"""The page of all architectures is that of the catalogue: `benchmarks/architectures.py` makes it."""

import subprocess
import sys
from pathlib import Path

from convarium.catalogue.rows import read_catalogue_rows

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/results/architectures.md"


def test_it_is_what_its_command_makes_of_the_catalogue(tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    command = [sys.executable, "benchmarks/architectures.py", "--stored", "--output", str(made)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert made.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_it_has_every_row_with_the_figures_of_the_catalogue() -> None:
    lines = {line.split("`")[1]: line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"}
    architectures = [row for row in read_catalogue_rows() if row.kind == "architectures"]
    assert lines.keys() == {row.id for row in architectures}
    for row in architectures:
        assert not row.config or f"`{row.config}`" in lines[row.id]
        assert all(slip in lines[row.id] for slip in row.slips)
        if row.network and row.config:
            assert f"| {row.parameters:,}<br>{row.macs:,} @{row.input} |" in lines[row.id]
