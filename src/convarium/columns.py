"""Tables that fit a narrow terminal: figures stay whole, columns without room are left out and named."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

LONGEST, SHORTEST = 48, 8  # a longer word of a column that folds may be broken, a shorter one never is
PLEASANT = 16  # width of a column that folds, where it has so much to say


def show(console: Console, table: Table, rank: Sequence[str], markup: bool = True) -> None:
    """Print a table. Where it is too wide, columns go from the end of `rank`, and a line says which.

    Columns of which `rank` says nothing stay. One with `overflow="fold"` may break between words, any other never does.

    Args:
        rank: names of columns as they are told, most important first: their headings without line breaks.
    """
    gone = fit(table, console.width, rank)
    console.print(table, markup=markup)
    if gone:
        console.print(Text(f"not shown at {console.width} columns: {', '.join(gone)}", style="dim"))


def fit(table: Table, width: int, rank: Sequence[str]) -> list[str]:
    """Leave out columns of a table until the others fit `width`, and return their names, most important first."""
    if _taken(table, table.columns, [_natural(column) for column in table.columns]) <= width:
        return []
    places = {name(column): place for place, column in enumerate(table.columns)}
    kept = [place for one, place in places.items() if one not in rank]
    longest = next((one for one in range(LONGEST, SHORTEST, -1) if _fits(table, kept, one, width)), SHORTEST)
    gone: list[str] = []
    for one in (one for one in rank if one in places):
        if _fits(table, [*kept, places[one]], longest, width):
            kept.append(places[one])
        else:
            gone.append(one)
    table.columns = [table.columns[place] for place in sorted(kept)]
    for place, column in enumerate(table.columns):
        column._index = place
    _divide(table, longest, width)
    return gone


def name(column: Column) -> str:
    """Return a column's heading in one line."""
    return " ".join(str(column.header).split()).replace("- ", "")


def _fits(table: Table, places: Sequence[int], longest: int, width: int) -> bool:
    columns = [table.columns[place] for place in places]
    return _taken(table, columns, [_least(column, longest) for column in columns]) <= width


def _taken(table: Table, columns: Sequence[Column], widths: Sequence[int]) -> int:
    """The width of a table of such columns."""
    beside = table.padding[1] + table.padding[3]
    lines = len(columns) - 1 + 2 * table.show_edge if table.box else 0
    return sum(widths) + beside * len(columns) + lines


def _divide(table: Table, longest: int, width: int) -> None:
    """Give every column what it needs, and what is left to those that fold, the widest last."""
    widths = [_least(column, longest) for column in table.columns]
    natural = [_natural(column) for column in table.columns]
    left = width - _taken(table, table.columns, widths)
    while left > 0 and (short := [place for place in range(len(widths)) if widths[place] < natural[place]]):
        place = min(short, key=lambda place: widths[place])
        widths[place] += 1
        left -= 1
    for column, given in zip(table.columns, widths, strict=True):
        column.width = given


def _lines(column: Column) -> Iterator[str]:
    for cell in (column.header, *column.cells):
        text = cell.plain if isinstance(cell, Text) else str(cell)
        yield from text.splitlines() or [""]


def _natural(column: Column) -> int:
    return max(map(cell_len, _lines(column)))


def _least(column: Column, longest: int) -> int:
    if column.overflow != "fold":
        return _natural(column)
    words = [word for line in _lines(column) for word in line.split()]
    word = max(map(cell_len, words), default=0)
    return min(longest, max(word, min(PLEASANT, _natural(column))))
