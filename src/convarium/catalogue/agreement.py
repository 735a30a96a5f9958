"""How the network that runs here compares with what is printed of it: the verdict on a row, in figures and words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from convarium.catalogue.rows import CatalogueRow

PRINTED_COUNT_PATTERN = re.compile(r"([\d,]+(?:\.\d+)?)([KMG]?)")
UNIT_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
RELATIVE_TOLERANCE = 0.05


@dataclass(frozen=True)
class Agreement:
    """One printed figure against the count here.

    Attributes:
        of: who prints it.
        off: how much more the count is, as a share of what is printed.
        agrees: equal within the last digit that is printed, or within 5 %.
    """

    what: Literal["parameters", "MACs"]
    of: Literal["review", "paper"]
    printed: str
    off: float
    agrees: bool

    def __str__(self) -> str:
        """Say it in a few words: "parameters +1.6 % to the review's"."""
        off = f"{100 * self.off:+.1f}".replace("-0.0", "+0.0")
        return f"{self.what} {off} % to the {self.of}'s"


def compare_printed_counts(row: "CatalogueRow") -> tuple[Agreement, ...]:
    """Hold a network's count against every figure that is printed of it."""
    return tuple(_iterate_agreements(row)) if row.network and row.config else ()


def describe_agreement(row: "CatalogueRow") -> str:
    """Say whether a row of the architectures agrees or why it isn't built, and what the review has wrong about it."""
    return "; ".join([*_describe_standing(row), *(f"review's slip: {slip}" for slip in row.slips)])


def _describe_standing(row: "CatalogueRow") -> Iterator[str]:
    if row.run_text is None:
        why = f": {row.reason}" if row.reason else ""
        yield f"{'left out' if row.left_out else 'not built'}{why}"
        return
    found = compare_printed_counts(row)
    apart = [one for one in found if not one.agrees]
    if apart:
        yield f"differs: {', '.join(map(str, apart))}"
    elif found:
        yield f"agrees ({', '.join(map(str, found))})"
    else:
        yield "no count is printed" if row.network else "built"
    if row.paper.reading == "own":
        yield "own reading"


def _iterate_agreements(row: "CatalogueRow") -> Iterator[Agreement]:
    review = next((claim.text for claim in row.claims if claim.metric == "parameters"), "")
    if row.parameters is not None:
        yield from _compare_count("parameters", "review", review, row.parameters)
        yield from _compare_count("parameters", "paper", row.paper.parameters, row.parameters)
    if row.macs is not None:
        yield from _compare_count("MACs", "paper", row.paper.macs, row.macs)


def _compare_count(
    quantity: Literal["parameters", "MACs"], printed_by: Literal["review", "paper"], printed: str, count: int
) -> Iterator[Agreement]:
    if match := PRINTED_COUNT_PATTERN.match(printed):
        digits, unit = match[1].replace(",", ""), UNIT_FACTORS[match[2]]
        figure = float(digits) * unit
        last = unit / 10 ** len(digits.partition(".")[2])
        apart = abs(count - figure)
        yield Agreement(
            quantity, printed_by, match[0], count / figure - 1, apart <= max(last, RELATIVE_TOLERANCE * figure)
        )
