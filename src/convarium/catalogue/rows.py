"""The rows of the catalogue, as the tables beside this file have them, and what runs each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from convarium.catalogue import sources
from convarium.catalogue.claims import Claim, of_headline, of_network
from convarium.catalogue.papers import Beyond, Paper, beyond, read_tsv, read_yaml

KINDS = ("architectures", "compression", "search")
TABLES = {"T2": "2.3", "T3": "3.1", "T4": "3.2", "T5": "3.3", "T6": "3.4", "T7": "3.5", "T8": "3.6"}
NO_VERDICT = "n/a"
NOT_KNOWN = Paper()


@dataclass(frozen=True)
class Row:
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
    paper: Paper = NOT_KNOWN
    slips: tuple[str, ...] = ()
    left_out: bool = False
    reason: str = ""
    code: str = ""

    @property
    def runs_by(self) -> str | None:
        """What a user types to run it: overrides, or a command; None where it is not built."""
        return self.config or self.command

    @property
    def licence(self) -> str:
        """Of the code that builds it."""
        return sources.LICENCES.get(self.code, "")


def rows() -> tuple[Row, ...]:
    """Return all rows, in the order of the tables."""
    built, commands, others = read_yaml("built.yaml"), read_yaml("commands.yaml"), beyond()
    return tuple(chain.from_iterable(_rows(kind, built, commands, others) for kind in KINDS))


def within(row: Row, section: str) -> bool:
    """Whether a row belongs to a section of the review, or to one of its subsections."""
    named = main_section(row)
    return named == section or named.startswith(f"{section}.")


def main_section(row: Row) -> str:
    """Return the section that a row stands in, where the table names several, a table, or has a word beside it."""
    named = row.section.split("/")[0].split(" ")[0].split("-")[0].rstrip(",")
    return TABLES.get(named, named)


def _rows(kind: str, built: Mapping[str, str], commands: Mapping[str, str], others: Beyond) -> Iterator[Row]:
    for line in read_tsv(f"{kind}.tsv"):
        named = Row(
            id=line["id"],
            kind=kind,
            section=line["section"],
            family=line["subfamily"],
            name=line["name"],
            year=line["year"],
            source=line["cite"],
            published=_published(line),
            claims=of_headline(line["headline"]) if "headline" in line else of_network(line),
            config=built.get(line["id"]),
            command=commands.get(line["id"]),
        )
        yield _architecture(named, line, others) if kind == "architectures" else named


def _architecture(row: Row, line: Mapping[str, str], others: Beyond) -> Row:
    """Add what only the table of architectures tells; a network of a library needs no file of ours."""
    network = line["family"] != "building_block"
    by_name = network and line["family"] != "object_detection"
    config = row.config or (sources.derived(line["library"], line["library_name"]) if by_name else None)
    return replace(
        row,
        config=config,
        parameters=_whole(line["params"]),
        macs=_whole(line["macs"]),
        input=_side(line["input"]),
        network=network,
        agrees="" if line["agrees"] == NO_VERDICT else line["agrees"],
        paper=others.papers.get(row.id, NOT_KNOWN),
        slips=others.slips.get(row.id, ()),
        left_out=row.id in others.left_out,
        reason="" if config or row.command else others.reason(row.id, main_section(row)),
        code=sources.source(config) if config else "",
    )


def _published(line: Mapping[str, str]) -> str:
    if "headline" in line:
        return line["headline"]
    size = f"{line['review_params']} parameters" if line["review_params"] else ""
    return ", ".join(part for part in (size, line["review_acc"]) if part)


def _whole(text: str) -> int | None:
    return int(text) if text else None


def _side(text: str) -> int | str | None:
    return int(text) if text.isdigit() else text or None
