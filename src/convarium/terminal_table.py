"""Print tables that fit a narrow terminal: figures stay whole, columns without room are left out and named."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from convarium.terminal_rows import count_cells, print_table_rows

# In a column that folds, a longer word than the first may be broken; one that is no longer than the second never is.
MAX_UNBROKEN_WORD_CHARS, MIN_UNBROKEN_WORD_CHARS = 48, 8
PREFERRED_FOLD_CHARS = 16  # the least width of a column that folds, unless its text is shorter


def print_fitting_table(console: Console, table: Table, rank: Sequence[str]) -> None:
    """Print a table, without markup. If it is too wide, leave out columns from the end of `rank`, and name them below.

    Columns that are not in `rank` are never left out. One with `overflow="fold"` may break its lines between words.

    Args:
        rank: headings of columns without line breaks (`format_heading`), the most important first.
    """
    dropped_headings = drop_columns(table, console.width, rank)
    if has_room(table, console.width):
        for column in table.columns:
            column.width = column.width or _measure_full_width(column)
        print_table_rows(console, table)
    else:
        console.print(table, markup=False)  # rich cuts what can't be left out
    if dropped_headings:
        note = f"not shown at {console.width} columns: {', '.join(dropped_headings)}"
        console.print(Text(note, style="dim"))


def drop_columns(table: Table, width: int, rank: Sequence[str]) -> list[str]:
    """Leave out columns of a table until the others fit `width`, and return their headings, most important first."""
    if has_room(table, width):
        return []
    index_by_heading = {format_heading(column): index for index, column in enumerate(table.columns)}
    kept_indices = [index for heading, index in index_by_heading.items() if heading not in rank]
    max_word_chars = _select_max_word_chars(table, kept_indices, width)
    dropped_headings: list[str] = []
    for heading in rank:
        if heading not in index_by_heading:
            continue
        index = index_by_heading[heading]
        if _is_within_width(table, [*kept_indices, index], max_word_chars, width):
            kept_indices.append(index)
        else:
            dropped_headings.append(heading)
    table.columns = [table.columns[index] for index in sorted(kept_indices)]
    # rich measures the padding of a column by this index.
    for index, column in enumerate(table.columns):
        column._index = index
    _distribute_width(table, max_word_chars, width)
    return dropped_headings


def has_room(table: Table, width: int) -> bool:
    """Whether a table, its columns as wide as they are set or else as their longest line, fits `width`."""
    widths = [column.width or _measure_full_width(column) for column in table.columns]
    return _measure_table_width(table, table.columns, widths) <= width


def format_heading(column: Column) -> str:
    """Return a column's heading in one line."""
    return " ".join(str(column.header).split()).replace("- ", "")


def _select_max_word_chars(table: Table, column_indices: Sequence[int], width: int) -> int:
    """Return how long an unbroken word may be so that these columns fit `width`, as long as possible."""
    for max_word_chars in range(MAX_UNBROKEN_WORD_CHARS, MIN_UNBROKEN_WORD_CHARS, -1):
        if _is_within_width(table, column_indices, max_word_chars, width):
            return max_word_chars
    return MIN_UNBROKEN_WORD_CHARS


def _is_within_width(table: Table, column_indices: Sequence[int], max_word_chars: int, width: int) -> bool:
    columns = [table.columns[index] for index in column_indices]
    least_widths = [_measure_least_width(column, max_word_chars) for column in columns]
    return _measure_table_width(table, columns, least_widths) <= width


def _measure_table_width(table: Table, columns: Sequence[Column], widths: Sequence[int]) -> int:
    """Return the width of a table of such columns, with padding and lines."""
    padding = table.padding[1] + table.padding[3]
    line_count = len(columns) - 1 + 2 * table.show_edge if table.box else 0
    return sum(widths) + padding * len(columns) + line_count


def _distribute_width(table: Table, max_word_chars: int, width: int) -> None:
    """Give every column its least width, and what is left to those that fold, always to the narrowest of them."""
    widths = [_measure_least_width(column, max_word_chars) for column in table.columns]
    full_widths = [_measure_full_width(column) for column in table.columns]
    spare_width = width - _measure_table_width(table, table.columns, widths)
    while spare_width > 0:
        growing = [index for index in range(len(widths)) if widths[index] < full_widths[index]]
        if not growing:
            break
        narrowest = min(growing, key=lambda index: widths[index])
        widths[narrowest] += 1
        spare_width -= 1
    for column, column_width in zip(table.columns, widths, strict=True):
        column.width = column_width


def _iterate_column_lines(column: Column) -> Iterator[str]:
    for cell in (column.header, *column.cells):
        text = cell.plain if isinstance(cell, Text) else str(cell)
        yield from text.splitlines() or [""]


def _measure_full_width(column: Column) -> int:
    return max(map(count_cells, _iterate_column_lines(column)))


def _measure_least_width(column: Column, max_word_chars: int) -> int:
    if column.overflow != "fold":
        return _measure_full_width(column)
    words = [word for line in _iterate_column_lines(column) for word in line.split()]
    longest_word = max(map(count_cells, words), default=0)
    preferred_width = min(PREFERRED_FOLD_CHARS, _measure_full_width(column))
    return min(max_word_chars, max(longest_word, preferred_width))
