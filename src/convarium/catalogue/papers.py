"""What is known of a row of the architectures beyond the review: the paper's figures, the slips, our reasons."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal


@dataclass(frozen=True)
class Paper:
    """What a network's paper prints, as it prints it; empty: not known.

    Attributes:
        macs: multiply-accumulates of an image, half of the paper's FLOPs where these are two for each.
        note: how the paper counts, or at what size.
        reading: "own" where no independent witness confirms our parameters to the digit.
    """

    parameters: str = ""
    macs: str = ""
    accuracy: str = ""
    note: str = ""
    reading: Literal["", "own"] = ""

    def __str__(self) -> str:
        """Say it in a line; "not known" where nothing is."""
        counts = [self.parameters and f"{self.parameters} parameters", self.macs and f"{self.macs} MACs", self.accuracy]
        told = ", ".join(part for part in counts if part) or "not known"
        return f"{told} ({self.note})" if self.note else told


@dataclass(frozen=True)
class SideTables:
    """The tables beside the catalogue's, by row.

    Attributes:
        slips: what the review has wrong.
        left_out: why a row is not built and won't be.
        not_built: why it is not built yet.
        sections: the same for whole sections of the review.
    """

    papers: Mapping[str, Paper]
    slips: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]
    not_built: Mapping[str, str]
    sections: Mapping[str, str] = field(default_factory=dict)

    def find_reason(self, row: str, section: str) -> str:
        """Return why a row has no command; empty where nobody has said."""
        return self.left_out.get(row) or self.not_built.get(row) or self.sections.get(section, "")


def read_side_tables() -> SideTables:
    """Read the tables."""
    papers = {name: Paper(**found) for name, found in read_catalogue_yaml("papers.yaml").items()}
    slips: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for line in read_catalogue_tsv("slips.tsv"):
        slips[line["id"]] += (line["slip"],)
    return SideTables(papers, slips, **read_catalogue_yaml("reasons.yaml"))


def read_catalogue_yaml(name: str) -> dict[str, Any]:
    """Read a mapping that lies beside this file."""
    import yaml

    found: dict[str, Any] = yaml.load(_read_text(name), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


def read_catalogue_tsv(name: str) -> list[dict[str, str]]:
    """Read a table that lies beside this file; no cell is quoted."""
    return list(csv.DictReader(_read_text(name).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def _read_text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
