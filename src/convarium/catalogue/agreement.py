"""Comparison of a network's counts with the figures that the review and its paper print, in figures and words."""

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
    """One printed figure compared with the count here.

    Attributes:
        quantity: what is counted.
        printed_by: who prints the figure.
        printed: the figure's text, such as "25.6M".
        relative_difference: count / figure - 1.
        agrees: whether they are equal within the last printed digit or within RELATIVE_TOLERANCE.
    """

    quantity: Literal["parameters", "MACs"]
    printed_by: Literal["review", "paper"]
    printed: str
    relative_difference: float
    agrees: bool

    def __str__(self) -> str:
        """Return the difference in words: "parameters +1.6 % to the review's"."""
        percent = f"{100 * self.relative_difference:+.1f}".replace("-0.0", "+0.0")
        return f"{self.quantity} {percent} % to the {self.printed_by}'s"


def compare_printed_counts(row: "CatalogueRow") -> tuple[Agreement, ...]:
    """Compare a network's counts with every printed figure; empty for a building block and for what is not built."""
    if not row.network or not row.config:
        return ()
    return tuple(_iterate_agreements(row))


def describe_agreement(row: "CatalogueRow") -> str:
    """Return in words whether an architecture agrees or why it isn't built, and what the review has wrong about it."""
    parts = [_describe_standing(row)]
    if row.run_text is not None and row.paper.reading == "own":
        parts.append("own reading")
    parts += [f"review's slip: {slip}" for slip in row.slips]
    return "; ".join(parts)


def _describe_standing(row: "CatalogueRow") -> str:
    if row.run_text is None:
        standing = "left out" if row.left_out else "not built"
        return f"{standing}: {row.reason}" if row.reason else standing
    agreements = compare_printed_counts(row)
    if not agreements:
        return "no count is printed" if row.network else "built"
    differing = [agreement for agreement in agreements if not agreement.agrees]
    if differing:
        return f"differs: {', '.join(map(str, differing))}"
    return f"agrees ({', '.join(map(str, agreements))})"


def _iterate_agreements(row: "CatalogueRow") -> Iterator[Agreement]:
    if row.parameters is not None:
        review_texts = [claim.text for claim in row.claims if claim.metric == "parameters"]
        if review_texts:
            yield from _compare_count("parameters", "review", review_texts[0], row.parameters)
        yield from _compare_count("parameters", "paper", row.paper.parameters, row.parameters)
    if row.macs is not None:
        yield from _compare_count("MACs", "paper", row.paper.macs, row.macs)


def _compare_count(
    quantity: Literal["parameters", "MACs"], printed_by: Literal["review", "paper"], printed: str, count: int
) -> Iterator[Agreement]:
    """Yield the agreement of a count with a printed figure, nothing where the text holds no figure."""
    match = PRINTED_COUNT_PATTERN.match(printed)
    if match is None:
        return
    digits = match[1].replace(",", "")
    unit = UNIT_FACTORS[match[2]]
    figure = float(digits) * unit
    decimals = len(digits.partition(".")[2])
    last_digit = unit / 10**decimals
    tolerance = max(last_digit, RELATIVE_TOLERANCE * figure)
    yield Agreement(quantity, printed_by, match[0], count / figure - 1, abs(count - figure) <= tolerance)
