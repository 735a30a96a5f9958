"""Side tables of the architectures: the papers' figures, the review's slips, and why a row is not built."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal


@dataclass(frozen=True)
class Paper:
    """Figures of a network's paper, as printed there; empty where not known.

    Attributes:
        macs: of one image; half of the paper's FLOPs where it counts two for each multiply-accumulate.
        note: how the paper counts, or at which image size.
        reading: "own" where no independent witness confirms our parameters to the digit.
    """

    parameters: str = ""
    macs: str = ""
    accuracy: str = ""
    note: str = ""
    reading: Literal["", "own"] = ""

    def __str__(self) -> str:
        """Return the figures in one line; "not known" without any."""
        figures = []
        if self.parameters:
            figures.append(f"{self.parameters} parameters")
        if self.macs:
            figures.append(f"{self.macs} MACs")
        if self.accuracy:
            figures.append(self.accuracy)
        text = ", ".join(figures) or "not known"
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class SideTables:
    """The side tables, by the id of a row.

    Attributes:
        slips: what the review has wrong about the row.
        left_out: why the row is not built and won't be.
        not_built: why the row is not built yet.
        sections: why no row of a section is built yet, by section of the review.
    """

    papers: Mapping[str, Paper]
    slips: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]
    not_built: Mapping[str, str]
    sections: Mapping[str, str] = field(default_factory=dict)

    def find_reason(self, row: str, section: str) -> str:
        """Return why a row (its id) is not built; empty where the tables give no reason."""
        row_reason = self.left_out.get(row) or self.not_built.get(row)
        return row_reason or self.sections.get(section, "")


def read_side_tables() -> SideTables:
    """Read the side tables: papers.yaml, slips.tsv and reasons.yaml."""
    papers = {row_id: Paper(**figures) for row_id, figures in read_catalogue_yaml("papers.yaml").items()}
    slips: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for line in read_catalogue_tsv("slips.tsv"):
        slips[line["id"]] += (line["slip"],)
    reasons = read_catalogue_yaml("reasons.yaml")
    return SideTables(papers, slips, **reasons)


def read_catalogue_yaml(name: str) -> dict[str, Any]:
    """Read a YAML mapping of this package."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is several times as fast, where PyYAML has it
    mapping: dict[str, Any] = yaml.load(_read_text(name), loader)
    return mapping


def read_catalogue_tsv(name: str) -> list[dict[str, str]]:
    """Read a tab-separated table of this package as one dict for each line, by the names of the columns."""
    lines = _read_text(name).splitlines()
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))  # cells hold quotation marks as text


def _read_text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
