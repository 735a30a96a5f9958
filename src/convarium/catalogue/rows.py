"""Rows of the catalogue, read from the tables of this package, and the overrides or the command that run each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from convarium.catalogue import code_sources
from convarium.catalogue.claims import Claim, parse_headline_claims, parse_network_claims
from convarium.catalogue.papers import Paper, SideTables, read_catalogue_tsv, read_catalogue_yaml, read_side_tables

CATALOGUE_KINDS = ("architectures", "compression", "search")
# Section of the review in which each of its tables stands.
TABLE_SECTIONS = {"T2": "2.3", "T3": "3.1", "T4": "3.2", "T5": "3.3", "T6": "3.4", "T7": "3.5", "T8": "3.6"}
NO_AGREEMENT_TEXT = "n/a"
UNKNOWN_PAPER = Paper()


@dataclass(frozen=True)
class CatalogueRow:
    """A system of the review. Its id is unique in its kind only: Dropout and DropConnect stand in two tables.

    Attributes:
        id: name in the catalogue, and of the row's check (`sweeps/checks/ID.yaml`).
        kind: the table that it stands in, one of CATALOGUE_KINDS.
        section: of the review, in the table's words ("4.1.1", "2.3/T2").
        family: within the table.
        name: for readers.
        source: the publication that the review cites.
        year: of that publication.
        published: the claim of its authors or of the review, in the table's words.
        claims: the same, figure by figure.
        config: the overrides that run it; None where it is not built, or a `command` runs it.
        command: the command that runs it where overrides can't.
        parameters: exact number of a network's parameters; None where it is not known or there is no network.
        macs: of one image of `input`.
        input: side of a square image in pixels, or "512x1024"; None where it is not known.
        network: whether it is a network, not a building block; `parameters` and `macs` are counted.
        agrees: how the network compares with the review, in the table's words.
        paper: figures of its paper.
        slips: what the review has wrong about it.
        left_out: whether it won't be built.
        reason: why it is not built; empty where it is, or no reason is given.
        code: whose code builds it (own, timm, torchvision); empty where it is not built, or not an architecture.
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
        """Overrides or command that a user types to run it; None where it is not built."""
        return self.config or self.command

    @property
    def licence(self) -> str:
        """Licence of the code that builds it; empty where `code` is."""
        return code_sources.SOURCE_LICENCES.get(self.code, "")


def read_catalogue_rows() -> tuple[CatalogueRow, ...]:
    """Return all rows, in the order of the tables."""
    overrides_by_row = read_catalogue_yaml("built.yaml")
    commands_by_row = read_catalogue_yaml("commands.yaml")
    side_tables = read_side_tables()
    rows: list[CatalogueRow] = []
    for kind in CATALOGUE_KINDS:
        rows += _read_table_rows(kind, overrides_by_row, commands_by_row, side_tables)
    return tuple(rows)


def is_in_section(row: CatalogueRow, section: str) -> bool:
    """Return whether a row belongs to a section of the review or to one of its subsections."""
    main_section = get_main_section(row)
    return main_section == section or main_section.startswith(f"{section}.")


def get_main_section(row: CatalogueRow) -> str:
    """Return the first section that a row's text names: "2.3" of "2.3/T2", and the one of the table T3 of "T3, 4.1"."""
    first_word = row.section.split("/")[0].split(" ")[0]
    reference = first_word.split("-")[0].rstrip(",")
    return TABLE_SECTIONS.get(reference, reference)


def _read_table_rows(
    kind: str, overrides_by_row: Mapping[str, str], commands_by_row: Mapping[str, str], side_tables: SideTables
) -> Iterator[CatalogueRow]:
    for table_line in read_catalogue_tsv(f"{kind}.tsv"):
        published, claims = _read_claims(table_line)
        row = CatalogueRow(
            id=table_line["id"],
            kind=kind,
            section=table_line["section"],
            family=table_line["subfamily"],
            name=table_line["name"],
            year=table_line["year"],
            source=table_line["cite"],
            published=published,
            claims=claims,
            config=overrides_by_row.get(table_line["id"]),
            command=commands_by_row.get(table_line["id"]),
        )
        if kind == "architectures":
            row = _add_architecture_fields(row, table_line, side_tables)
        yield row


def _read_claims(table_line: Mapping[str, str]) -> tuple[str, tuple[Claim, ...]]:
    """Return what is claimed of a line's system, in the table's words and figure by figure."""
    if "headline" in table_line:
        return table_line["headline"], parse_headline_claims(table_line["headline"])
    size, accuracy = table_line["review_params"], table_line["review_acc"]
    texts = [f"{size} parameters"] if size else []
    if accuracy:
        texts.append(accuracy)
    return ", ".join(texts), parse_network_claims(table_line)


def _add_architecture_fields(row: CatalogueRow, table_line: Mapping[str, str], side_tables: SideTables) -> CatalogueRow:
    """Add an architecture's fields; without overrides in built.yaml, a library's classifier is built by its name."""
    is_network = table_line["family"] != "building_block"
    is_classifier = is_network and table_line["family"] != "object_detection"
    config = row.config
    if not config and is_classifier:
        config = code_sources.derive_library_overrides(table_line["library"], table_line["library_name"])
    is_built = bool(config or row.command)
    return replace(
        row,
        config=config,
        parameters=_parse_count(table_line["params"]),
        macs=_parse_count(table_line["macs"]),
        input=_parse_input_size(table_line["input"]),
        network=is_network,
        agrees="" if table_line["agrees"] == NO_AGREEMENT_TEXT else table_line["agrees"],
        paper=side_tables.papers.get(row.id, UNKNOWN_PAPER),
        slips=side_tables.slips.get(row.id, ()),
        left_out=row.id in side_tables.left_out,
        reason="" if is_built else side_tables.find_reason(row.id, get_main_section(row)),
        code=code_sources.find_code_source(config) if config else "",
    )


def _parse_count(text: str) -> int | None:
    return int(text) if text else None


def _parse_input_size(text: str) -> int | str | None:
    if text.isdigit():
        return int(text)
    return text or None
