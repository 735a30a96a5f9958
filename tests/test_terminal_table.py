"""A table is whole at any width: figures are never cut, names survive, and what has no room is named."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from convarium import terminal_table

WIDTHS = [40, 47, 60, 70, 80, 100, 140, 200]
NAMES = ("magnitude 0.95 → kmeans bits=5 → huffman", "global_gradual ≤384,000 bytes")
RANK = ("bytes", "ratio", "Δ acc (pp)", "MACs")


def build_table(**options: Any) -> Table:
    table = Table(Column("network", overflow="fold"), **{"box": SIMPLE_HEAD, "show_edge": False} | options)
    for heading in ("bytes", "ratio", "Δ acc (pp)\n", "MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(NAMES[0], "1,724,376", "1.0x", "-15.70 (-21.6..-9.83)\nworse", "2.29M")
    table.add_row(NAMES[1], "28,359", "160.8x", "+0.07 (-0.08..+0.22)\nnot shown with 3 seeds", "431k")
    return table


def print_to_text(table: Table, width: int, rank: Sequence[str] = RANK) -> str:
    stream = StringIO()
    terminal_table.print_fitting_table(Console(file=stream, width=width), table, rank)
    return stream.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("options", [{}, {"box": None}, {"padding": (0, 1, 0, 0)}])
def test_figures_are_whole_names_survive_and_what_is_missing_is_said(width: int, options: dict[str, Any]) -> None:
    text = print_to_text(build_table(**options), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    body, _, note = text.partition("not shown at ")
    dropped_headings = " ".join(note.partition(": ")[2].split()).split(", ") if note else []
    for number in re.findall(r"[-+]?\d[\d.,]*[xMk]?", body):
        assert number in {
            "0.95", "5", "384,000", "1,724,376", "28,359", "1.0x", "160.8x", "2.29M", "431k", "3",
            "-15.70", "-21.6..", "-9.83", "+0.07", "-0.08..", "+0.22",
        }  # fmt: skip
    figures = {"bytes": "1,724,376", "ratio": "160.8x", "Δ acc (pp)": "(-21.6..-9.83)", "MACs": "2.29M"}
    for heading, figure in figures.items():
        assert (figure in body) == (heading not in dropped_headings)
    for word in " ".join(NAMES).split():
        assert word in body


def test_what_matters_least_goes_first_and_what_still_fits_stays() -> None:
    assert terminal_table.drop_columns(build_table(), 200, RANK) == []
    assert terminal_table.drop_columns(build_table(box=None), 66, RANK) == ["MACs"]
    assert terminal_table.drop_columns(build_table(box=None), 50, RANK) == ["Δ acc (pp)"]
    assert terminal_table.drop_columns(build_table(box=None), 40, RANK) == ["Δ acc (pp)", "MACs"]


def test_a_table_with_room_is_as_it_was() -> None:
    stream = StringIO()
    Console(file=stream, width=120).print(build_table())
    assert print_to_text(build_table(), 120) == stream.getvalue()


def test_names_of_one_long_word_are_broken_rather_than_lost() -> None:
    table = Table(Column("executor", overflow="fold"), Column("network", overflow="fold"), Column("ms"), box=None)
    table.add_row("onnxruntime_int8", "z" * 60, "12.3")
    text = print_to_text(table, 40, ("ms",))
    assert text.count("z") == 60
    assert "onnxruntime" in text
