"""Tables of the catalogue for a terminal: architectures with counts, other systems with the result of their check."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Json = dict[str, Any]
ARCHITECTURE_COLUMNS = ("section", "row", "runs by", "review", "paper", "ours", "verdict", "code, licence")
COLUMN_RANK = ("runs by", "ours", "verdict", "system", "published", "review", "paper", "section", "code, licence")
OTHER_COLUMNS = ("section", "row", "system", "runs by", "published", "ours")


def build_catalogue_tables(rows: Sequence[Json]) -> Iterator["Table"]:
    """Yield a table of the architectures among the rows, and one of the others; none without rows."""
    architectures = [row for row in rows if row["kind"] == "architectures"]
    others = [row for row in rows if row["kind"] != "architectures"]
    if architectures:
        yield _build_table(ARCHITECTURE_COLUMNS, [_format_architecture_row(row) for row in architectures])
    if others:
        yield _build_table(OTHER_COLUMNS, [_format_other_row(row) for row in others])


def _build_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in head), box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    return table


def _format_architecture_row(row: Json) -> Sequence[str]:
    code = f"{row['code']}, {row['licence']}" if row["code"] else "-"
    verdicts = [row["verdict"]] if row["verdict"] else []
    if row["check"]:
        verdicts.append(format_check_result(row))
    runs_by = row["config"] or row["command"] or "-"
    return (
        row["section"].split(" ")[0],
        row["id"],
        runs_by,
        row["published"] or "-",
        format_paper_figures(row),
        format_own_counts(row),
        "; ".join(verdicts),
        code,
    )


def _format_other_row(row: Json) -> Sequence[str]:
    system = f"{row['name']} ({row['year']})" if row["year"] else row["name"]
    return (
        row["section"],
        row["id"],
        system,
        row["config"] or row["command"] or row["status"],
        row["published"],
        format_check_result(row),
    )


def format_paper_figures(row: Json) -> str:
    """Return the counts that a network's paper prints, in a line; "-" for a block."""
    from convarium.catalogue.papers import Paper

    return str(Paper(**row["paper"])) if row["network"] else "-"


def format_own_counts(row: Json) -> str:
    """Return our counts of parameters and MACs, and their input; "-" where no network is built."""
    if not row["network"] or not row["config"] or row["macs"] is None:
        return "-"
    return f"{row['parameters']:,} parameters, {row['macs']:,} MACs at {row['input']}"


def format_check_result(row: Json) -> str:
    """Return the result of a row's check in a line."""
    if not row["check"]:
        return "no check"
    if row["ours"] is None:
        return "not measured"
    check_result = row["ours"]
    verdict = "holds" if check_result["holds"] else f"FAILS: {'; '.join(check_result['missed'])}"
    figure = f"{check_result['figure']:.4g} {row['claims'][0]['unit']}"
    if check_result["signatures"]:
        figure += f" [{', '.join(check_result['signatures'])}]"
    return f"{figure}: {verdict}"
