"""The rows of the catalogue, as the tables beside this file have them, and what runs each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from convarium.catalogue import code_sources
from convarium.catalogue.claims import Claim, parse_headline_claims, parse_network_claims
from convarium.catalogue.papers import Paper, SideTables, read_catalogue_tsv, read_catalogue_yaml, read_side_tables

CATALOGUE_KINDS = ("architectures", "compression", "search")
TABLE_SECTIONS = {"T2": "2.3", "T3": "3.1", "T4": "3.2", "T5": "3.3", "T6": "3.4", "T7": "3.5", "T8": "3.6"}
NO_AGREEMENT_TEXT = "n/a"
UNKNOWN_PAPER = Paper()


@dataclass(frozen=True)
class CatalogueRow:
    """A system of the review. Its id is unique in its kind: Dropout and DropConnect stand in two tables.

    Attributes:
        id: its name in the catalogue, and of its check (`sweeps/checks/ID.yaml`).
        kind: the table that it stands in.
        section: of the review, as the table has it ("4.1.1").
        published: what its authors, or the review, claim, in the table's words.
        claims: the same, figure by figure.
        config: the overrides that run it; None where it is not built, or a `command` runs it.
        command: that runs it, where no overrides do.
        parameters: of a network, all of them, exactly; None where that is not known or makes no sense.
        macs: of one image of `input` pixels a side ("512x1024": of another shape).
        network: whether it is a network, no building block; its `parameters` and `macs` are counted.
        agrees: how the network compares with the review, in the table's words.
        paper: what its paper prints.
        slips: what the review has wrong about it.
        left_out: whether it is not built for good.
        reason: why it is not built; empty where nobody has said.
        code: whose code it is (own, timm, torchvision); empty where it is not built, or no architecture.
    """

    id: str
    kind: str
    section: str
    family: str
    name: str
    source: str
    year: str
    published: str
    claims: tuple[Claim, ...]
    config: str | None
    command: str | None = None
    parameters: int | None = None
    macs: int | None = None
    input: int | str | None = None
    network: bool = False
    agrees: str = ""
    paper: Paper = UNKNOWN_PAPER
    slips: tuple[str, ...] = ()
    left_out: bool = False
    reason: str = ""
    code: str = ""

    @property
    def run_text(self) -> str | None:
        """What a user types to run it: overrides, or a command; None where it is not built."""
        return self.config or self.command

    @property
    def licence(self) -> str:
        """Of the code that builds it."""
        return code_sources.SOURCE_LICENCES.get(self.code, "")


def read_catalogue_rows() -> tuple[CatalogueRow, ...]:
    """Return all rows, in the order of the tables."""
    built, commands, others = (
        read_catalogue_yaml("built.yaml"),
        read_catalogue_yaml("commands.yaml"),
        read_side_tables(),
    )
    return tuple(chain.from_iterable(_read_table_rows(kind, built, commands, others) for kind in CATALOGUE_KINDS))


def is_in_section(row: CatalogueRow, section: str) -> bool:
    """Whether a row belongs to a section of the review, or to one of its subsections."""
    named = get_main_section(row)
    return named == section or named.startswith(f"{section}.")


def get_main_section(row: CatalogueRow) -> str:
    """Return the section that a row stands in, where the table names several, a table, or has a word beside it."""
    named = row.section.split("/")[0].split(" ")[0].split("-")[0].rstrip(",")
    return TABLE_SECTIONS.get(named, named)


def _read_table_rows(
    kind: str, built: Mapping[str, str], commands: Mapping[str, str], side_tables: SideTables
) -> Iterator[CatalogueRow]:
    for line in read_catalogue_tsv(f"{kind}.tsv"):
        named = CatalogueRow(
            id=line["id"],
            kind=kind,
            section=line["section"],
            family=line["subfamily"],
            name=line["name"],
            year=line["year"],
            source=line["cite"],
            published=_format_published_claim(line),
            claims=parse_headline_claims(line["headline"]) if "headline" in line else parse_network_claims(line),
            config=built.get(line["id"]),
            command=commands.get(line["id"]),
        )
        yield _add_architecture_fields(named, line, side_tables) if kind == "architectures" else named


def _add_architecture_fields(row: CatalogueRow, table_line: Mapping[str, str], side_tables: SideTables) -> CatalogueRow:
    """Add what only the table of architectures tells; a network of a library needs no file of ours."""
    network = table_line["family"] != "building_block"
    by_name = network and table_line["family"] != "object_detection"
    config = row.config or (
        code_sources.derive_library_overrides(table_line["library"], table_line["library_name"]) if by_name else None
    )
    return replace(
        row,
        config=config,
        parameters=_parse_count(table_line["params"]),
        macs=_parse_count(table_line["macs"]),
        input=_parse_input_side(table_line["input"]),
        network=network,
        agrees="" if table_line["agrees"] == NO_AGREEMENT_TEXT else table_line["agrees"],
        paper=side_tables.papers.get(row.id, UNKNOWN_PAPER),
        slips=side_tables.slips.get(row.id, ()),
        left_out=row.id in side_tables.left_out,
        reason="" if config or row.command else side_tables.find_reason(row.id, get_main_section(row)),
        code=code_sources.find_code_source(config) if config else "",
    )


def _format_published_claim(table_line: Mapping[str, str]) -> str:
    if "headline" in table_line:
        return table_line["headline"]
    size = f"{table_line['review_params']} parameters" if table_line["review_params"] else ""
    return ", ".join(part for part in (size, table_line["review_acc"]) if part)


def _parse_count(text: str) -> int | None:
    return int(text) if text else None


def _parse_input_side(text: str) -> int | str | None:
    return int(text) if text.isdigit() else text or None
