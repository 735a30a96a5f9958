"""The rows of the catalogue, as the tables beside this file have them, and what runs each."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain

from convarium.catalogue.claims import Claim, of_headline, of_network

KINDS = ("architectures", "compression", "search")


@dataclass(frozen=True)
class Row:
    """A system of the review.

    Attributes:
        id: its name in the catalogue, and of its check (`sweeps/checks/ID.yaml`).
        kind: the table that it stands in.
        section: of the review, as the table has it ("4.1.1").
        published: what its authors, or the review, claim, in the table's words.
        claims: the same, figure by figure.
        config: the overrides that run it; None where it is not built.
        parameters: of a network, all of them, exactly; None where that is not known or makes no sense.
        macs: of one image of `input` pixels a side.
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
    parameters: int | None = None
    macs: int | None = None
    input: int | None = None


def rows() -> tuple[Row, ...]:
    """Return all rows, in the order of the tables."""
    import yaml

    built: dict[str, str] = yaml.safe_load(_text("built.yaml"))
    return tuple(chain.from_iterable(_rows(kind, built) for kind in KINDS))


def within(row: Row, section: str) -> bool:
    """Whether a row belongs to a section of the review, or to one of its subsections."""
    named = main_section(row)
    return named == section or named.startswith(f"{section}.")


def main_section(row: Row) -> str:
    """Return the section that a row stands in, where the table names several, or has a word beside it."""
    return row.section.split("/")[0].split(" ")[0].split("-")[0].rstrip(",")


def _rows(kind: str, built: dict[str, str]) -> Iterator[Row]:
    for line in csv.DictReader(_text(f"{kind}.tsv").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        yield Row(
            id=line["id"],
            kind=kind,
            section=line["section"],
            family=line["subfamily"],
            name=line["name"],
            source=line["cite"],
            year=line["year"],
            published=_published(line),
            claims=of_headline(line["headline"]) if "headline" in line else of_network(line),
            config=built.get(line["id"]),
            parameters=_whole(line.get("params")),
            macs=_whole(line.get("macs")),
            input=_whole(line.get("input")),
        )


def _published(line: dict[str, str]) -> str:
    if "headline" in line:
        return line["headline"]
    size = f"{line['review_params']} parameters" if line["review_params"] else ""
    return ", ".join(part for part in (size, line["review_acc"]) if part)


def _whole(text: str | None) -> int | None:
    return int(text) if text else None


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
