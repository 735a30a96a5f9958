"""Tables that fit a narrow terminal: figures stay whole, columns without room are left out and named."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

MAX_UNBROKEN_WORD_CHARS, MIN_UNBROKEN_WORD_CHARS = (
    48,
    8,
)  # a longer word of a column that folds may be broken, a shorter one never is
PREFERRED_FOLD_CHARS = 16  # width of a column that folds, where it has so much to say


def print_fitting_table(console: Console, table: Table, rank: Sequence[str], markup: bool = True) -> None:
    """Print a table. Where it is too wide, columns go from the end of `rank`, and a line says which.

    Columns of which `rank` says nothing stay. One with `overflow="fold"` may break between words, any other never does.

    Args:
        rank: names of columns as they are told, most important first: their headings without line breaks.
    """
    gone = drop_columns(table, console.width, rank)
    console.print(table, markup=markup)
    if gone:
        console.print(Text(f"not shown at {console.width} columns: {', '.join(gone)}", style="dim"))


def drop_columns(table: Table, width: int, rank: Sequence[str]) -> list[str]:
    """Leave out columns of a table until the others fit `width`, and return their names, most important first."""
    if _measure_table_width(table, table.columns, [_measure_full_width(column) for column in table.columns]) <= width:
        return []
    places = {format_heading(column): place for place, column in enumerate(table.columns)}
    kept = [place for one, place in places.items() if one not in rank]
    longest = next(
        (
            one
            for one in range(MAX_UNBROKEN_WORD_CHARS, MIN_UNBROKEN_WORD_CHARS, -1)
            if _is_within_width(table, kept, one, width)
        ),
        MIN_UNBROKEN_WORD_CHARS,
    )
    gone: list[str] = []
    for one in (one for one in rank if one in places):
        if _is_within_width(table, [*kept, places[one]], longest, width):
            kept.append(places[one])
        else:
            gone.append(one)
    table.columns = [table.columns[place] for place in sorted(kept)]
    for place, column in enumerate(table.columns):
        column._index = place
    _distribute_width(table, longest, width)
    return gone


def format_heading(column: Column) -> str:
    """Return a column's heading in one line."""
    return " ".join(str(column.header).split()).replace("- ", "")


def _is_within_width(table: Table, column_indices: Sequence[int], max_word_chars: int, width: int) -> bool:
    columns = [table.columns[place] for place in column_indices]
    return (
        _measure_table_width(table, columns, [_measure_least_width(column, max_word_chars) for column in columns])
        <= width
    )


def _measure_table_width(table: Table, columns: Sequence[Column], widths: Sequence[int]) -> int:
    """The width of a table of such columns."""
    beside = table.padding[1] + table.padding[3]
    lines = len(columns) - 1 + 2 * table.show_edge if table.box else 0
    return sum(widths) + beside * len(columns) + lines


def _distribute_width(table: Table, max_word_chars: int, width: int) -> None:
    """Give every column what it needs, and what is left to those that fold, the widest last."""
    widths = [_measure_least_width(column, max_word_chars) for column in table.columns]
    natural = [_measure_full_width(column) for column in table.columns]
    left = width - _measure_table_width(table, table.columns, widths)
    while left > 0 and (short := [place for place in range(len(widths)) if widths[place] < natural[place]]):
        place = min(short, key=lambda place: widths[place])
        widths[place] += 1
        left -= 1
    for column, given in zip(table.columns, widths, strict=True):
        column.width = given


def _iterate_column_lines(column: Column) -> Iterator[str]:
    for cell in (column.header, *column.cells):
        text = cell.plain if isinstance(cell, Text) else str(cell)
        yield from text.splitlines() or [""]


def _measure_full_width(column: Column) -> int:
    return max(map(cell_len, _iterate_column_lines(column)))


def _measure_least_width(column: Column, max_word_chars: int) -> int:
    if column.overflow != "fold":
        return _measure_full_width(column)
    words = [word for line in _iterate_column_lines(column) for word in line.split()]
    word = max(map(cell_len, words), default=0)
    return min(max_word_chars, max(word, min(PREFERRED_FOLD_CHARS, _measure_full_width(column))))
