"""Every architecture of the review: its figure, the paper's, ours, counted on the meta device, and the verdict.

    python benchmarks/architectures.py [--output docs/results/architectures.md] [--stored]

Counts each network that a command builds and writes the page. A count that the catalogue does not have yet is put into
src/convarium/catalogue/architectures.tsv; one that differs from what is there is told, and nothing is written.
`--stored` writes the page from the table alone.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from convarium.catalogue.agreement import compare_printed_counts, describe_agreement
from convarium.catalogue.network_counts import NetworkCounts, count_network
from convarium.catalogue.rows import CatalogueRow, get_main_section, read_catalogue_rows

TABLE = Path(__file__).parents[1] / "src/convarium/catalogue/architectures.tsv"
SECTIONS = {
    "1": "Early networks",
    "2.1": "Convolution",
    "2.2": "Pooling",
    "2.3": "Activations",
    "2.4": "Fully connected layer",
    "3.1": "Basic networks",
    "3.2": "Convolution splitting",
    "3.3": "Cross-layer connection",
    "3.4": "Depthwise separable convolution",
    "3.5": "Detection",
    "3.6": "Transformer encoders",
    "4.1": "Regularisers",
    "4.4": "Distilled",
    "": "Beside the review",
}
PAGE = """# Architectures of the review

Made by `.venv/bin/python benchmarks/architectures.py`: all {total} rows of the catalogue's first table. "Ours" is
counted on the meta device, with the images and classes of the paper: all parameters, and the multiply-accumulates of
convolutions and matrix products for one image (`@224`: of 224 pixels a side). "Review" is what Cong & Zhou (2022)
print, "paper" what the network's own paper prints beyond it, quoted, not read again; "not known" where nothing is at
hand. A count agrees if it is within 5 % of what is printed, or within the last printed digit. "Own reading": no
independent witness confirms the count to the digit. What the review has wrong is told as its slip (T5: its Table 5).
No accuracy is claimed of anything here.

{networks} networks are built: {agree} agree with every count that is printed of them, {differ} do not, of {silent} no
count is printed. {slips} slips of the review in {slipped} rows. {left_out} rows are left out for good, {not_built} are
not built yet.

{sections}
"""


def main() -> int:
    """Count, fill in, write the page; return 1 where a count differs from the catalogue's."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/architectures.md"))
    parser.add_argument("--stored", action="store_true")
    options = parser.parse_args()
    if not options.stored:
        found = {row.id: count_network(row) for row in chosen() if row.network and row.config}
        if lines := list(differing(found)):
            print("\n".join(lines), file=sys.stderr)
            return 1
        fill(found)
    options.output.write_text(page(chosen()), encoding="utf-8")
    return 0


def chosen() -> list[CatalogueRow]:
    """Return the rows of the architectures."""
    return [row for row in read_catalogue_rows() if row.kind == "architectures"]


def differing(found: Mapping[str, NetworkCounts]) -> Iterator[str]:
    """Say which counts are not those of the table."""
    for row in chosen():
        if one := found.get(row.id):
            for known, count in ((row.parameters, one.parameters), (row.macs, one.macs)):
                if known is not None and known != count:
                    yield f"{row.id}: {count:,} counted at {one.input_size}, {known:,} in the table"


def fill(found: Mapping[str, NetworkCounts]) -> None:
    """Put counts into the table's columns params, macs and input."""
    head, *lines = (line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines())
    places = [head.index(name) for name in ("params", "macs", "input")]
    for line in lines:
        if one := found.get(line[0]):
            for place, text in zip(places, (one.parameters, one.macs, one.input_size), strict=True):
                line[place] = str(text)
    TABLE.write_text("".join("\t".join(line) + "\n" for line in (head, *lines)), encoding="utf-8")


def page(all_rows: Sequence[CatalogueRow]) -> str:
    """Return the page as Markdown."""
    built = [row for row in all_rows if row.network and row.config]
    held = [compare_printed_counts(row) for row in built]
    agree = sum(bool(found) and all(one.agrees for one in found) for found in held)
    silent = sum(not found for found in held)
    return PAGE.format(
        total=len(all_rows),
        networks=len(built),
        agree=agree,
        differ=len(built) - agree - silent,
        silent=silent,
        slips=sum(len(row.slips) for row in all_rows),
        slipped=sum(bool(row.slips) for row in all_rows),
        left_out=sum(row.left_out for row in all_rows),
        not_built=sum(row.run_text is None and not row.left_out for row in all_rows),
        sections="\n\n".join(sections(all_rows)),
    )


def sections(all_rows: Sequence[CatalogueRow]) -> Iterator[str]:
    """Return a part a section: its networks, then its blocks."""
    by_section = sorted(all_rows, key=lambda row: [*SECTIONS].index(get_main_section(row)))
    for section, members in groupby(by_section, key=get_main_section):
        found = list(members)
        parts = [f"## {section} {SECTIONS[section]}".replace("  ", " ")]
        parts += ["\n".join(table(kind)) for kind in (networks(found), blocks(found)) if kind]
        yield "\n\n".join(parts)


def networks(found: Sequence[CatalogueRow]) -> list[Sequence[str]]:
    """Return the table of a section's networks, its head first; empty without any."""
    head = ("network", "review", "paper", "ours", "verdict", "runs by", "code, licence")
    lines = [
        (named(row), row.published or "-", str(row.paper), ours(row), describe_agreement(row), command(row), code(row))
        for row in found
        if row.network
    ]
    return [head, *lines] if lines else []


def blocks(found: Sequence[CatalogueRow]) -> list[Sequence[str]]:
    """Return the table of a section's building blocks, its head first; empty without any."""
    lines = [(named(row), describe_agreement(row), command(row), code(row)) for row in found if not row.network]
    return [("block", "verdict", "runs by", "code, licence"), *lines] if lines else []


def table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return lines of Markdown."""
    for number, cells in enumerate(lines):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
        if number == 0:
            yield "|---" * len(cells) + "|"


def named(row: CatalogueRow) -> str:
    """Return id and name."""
    return f"`{row.id}`<br>{row.name}{f', {row.year}' if row.year else ''}"


def ours(row: CatalogueRow) -> str:
    """Return our counts."""
    if not row.config or row.parameters is None or row.macs is None:
        return "-"
    return f"{row.parameters:,}<br>{row.macs:,} @{row.input}"


def command(row: CatalogueRow) -> str:
    """Return what runs a row."""
    return f"`{row.run_text}`" if row.run_text else "-"


def code(row: CatalogueRow) -> str:
    """Return whose code it is."""
    return f"{row.code}, {row.licence}" if row.code else "-"


if __name__ == "__main__":
    sys.exit(main())
