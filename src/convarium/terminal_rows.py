"""Print the rows of a table whose columns have their widths: rich takes a millisecond for a row, this a tenth of it."""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Column, Table
from rich.text import Text

from convarium.ascii_fallback import ASCII_REPLACEMENTS

Line = list[Segment]
NARROW_TEXT = re.compile(f"[ -~Δ{''.join(ASCII_REPLACEMENTS)}]*")


def print_table_rows(console: Console, table: Table) -> None:
    """Print a table as rich does, its text taken as it is: no markup is read in a cell.

    Args:
        table: every column has a width, with which the table fits the console; no footer, no leading, and either no
            box or one without edges whose dividers are spaces.
    """
    console.print(_copy_without_rows(table), markup=False)
    console.print(Segments(_render_rows(console, table)), end="", crop=False)


def _copy_without_rows(table: Table) -> Table:
    head = Table(
        title=table.title,
        title_justify=table.title_justify,
        title_style=table.title_style,
        box=table.box,
        show_edge=False,
        padding=table.padding,
        pad_edge=table.pad_edge,
    )
    for column in table.columns:
        head.add_column(
            column.header, justify=column.justify, overflow=column.overflow, no_wrap=column.no_wrap, width=column.width
        )
    return head


def _render_rows(console: Console, table: Table) -> Iterator[Segment]:
    columns = list(zip(table.columns, _list_paddings(table), strict=True))
    cells_by_row = zip(*(column.cells for column in table.columns), strict=True)
    for index, (row, cells) in enumerate(zip(table.rows, cells_by_row, strict=True)):
        cell_lines = [_render_cell(console, cell, column) for cell, column in zip(cells, table.columns, strict=True)]
        style = console.get_style(row.style or "")
        for line in _join_cells(cell_lines, columns):
            yield from Segment.apply_style(line, style)
            yield Segment.line()
        if row.end_section and table.box and index + 1 < len(table.rows):
            yield Segment(" " * sum(left + (column.width or 0) + right for column, (left, right) in columns) + "\n")


def _join_cells(
    cell_lines: Sequence[Sequence[Line]], columns: Sequence[tuple[Column, tuple[int, int]]]
) -> Iterator[Line]:
    """Yield the lines of a row; a cell of fewer lines than others is blank below."""
    for index in range(max(map(len, cell_lines))):
        joined: Line = []
        for lines, (column, (left, right)) in zip(cell_lines, columns, strict=True):
            blank = [Segment(" " * (column.width or 0))]
            joined += [Segment(" " * left), *(lines[index] if index < len(lines) else blank), Segment(" " * right)]
        yield joined


def _list_paddings(table: Table) -> Iterator[tuple[int, int]]:
    """Yield how many spaces stand on the left, a box's divider included, and on the right of each column's cells."""
    last = len(table.columns) - 1
    for index in range(len(table.columns)):
        left = table.padding[3] if index > 0 or table.pad_edge else 0
        left += 1 if table.box and index > 0 else 0
        right = table.padding[1] if index < last or table.pad_edge else 0
        yield left, right


def _render_cell(console: Console, cell: object, column: Column) -> list[Line]:
    """Return the lines of a cell, each as wide as its column."""
    text = cell if isinstance(cell, Text) else None
    width = column.width or 0
    plain_lines = (text.plain if text else str(cell)).split("\n")
    if max(map(count_cells, plain_lines)) > width:
        wrapped = (text or Text(str(cell))).wrap(console, width, overflow=column.overflow)
        return [_render_text_line(console, line, column) for line in wrapped]
    if text and (text.spans or text.style):
        return [_render_text_line(console, line, column) for line in text.split("\n", allow_blank=True)]
    return [[Segment(_pad(line, column))] for line in plain_lines]


def _render_text_line(console: Console, line: Text, column: Column) -> Line:
    spaces = max(0, (column.width or 0) - line.cell_len)
    (line.pad_left if column.justify == "right" else line.pad_right)(spaces)
    return list(line.render(console, end=""))


def _pad(line: str, column: Column) -> str:
    spaces = " " * ((column.width or 0) - count_cells(line))
    return spaces + line if column.justify == "right" else line + spaces


def count_cells(text: str) -> int:
    """Return the width of a text in a terminal; rich looks at each letter of it, which most texts don't need."""
    return len(text) if NARROW_TEXT.fullmatch(text) else cell_len(text)
