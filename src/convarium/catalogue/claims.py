"""Published claims about a system: the text of the tables, with figure, unit and direction where it holds them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# A text up to its source in brackets, and the separator after it; or what is left without a source.
SOURCED_CLAIM_PATTERN = re.compile(r"(.*?)\s*\[([^\]]*)\](?:[;,]\s*)?|(.+)$", re.DOTALL)
SIZE_PATTERN = re.compile(r"([\d.]+)M\b")
ACCURACY_PATTERN = re.compile(r"(IN top-[15]|MNIST)?\s*([\d.]+)")
ACCURACY_UNITS = {
    "IN top-1": "% top-1 on ImageNet",
    "IN top-5": "% top-5 on ImageNet",
    "MNIST": "% on MNIST",
    None: "% on ImageNet",
}
Direction = Literal["higher", "lower", "equal"]


@dataclass(frozen=True)
class Claim:
    """A published figure.

    Attributes:
        text: as in the table.
        source: A or V, agrees with the paper's abstract; R, as the review states it; M, not checked; or "check".
        metric: what the figure measures; None where the claim is known in words only.
        figure: in `unit`.
        direction: which side of the figure is better; "equal" for a count, which is neither.
    """

    text: str
    source: str
    metric: str | None = None
    figure: float | None = None
    unit: str | None = None
    direction: Direction | None = None


def parse_headline_claims(headline: str) -> tuple[Claim, ...]:
    """Return the claims in the headline of a method: "40x [M]; 9x [A]" is two claims."""
    claims = []
    for match in SOURCED_CLAIM_PATTERN.finditer(headline):
        sourced_text, source, unsourced_text = match.groups(default="")
        text = (sourced_text or unsourced_text).strip()
        if text:
            claims.append(Claim(text, source))
    return tuple(claims)


def parse_network_claims(table_line: Mapping[str, str]) -> tuple[Claim, ...]:
    """Return the review's claims about a network: its parameters and its accuracy, where the table has them."""
    claims = []
    size_text, accuracy_text = table_line["review_params"], table_line["review_acc"]
    size_match = SIZE_PATTERN.match(size_text)
    if size_match:
        parameters = round(float(size_match[1]) * 1e6)
        claims.append(Claim(f"{size_text} parameters", "R", "parameters", parameters, "parameters", "equal"))
    accuracy_match = ACCURACY_PATTERN.match(accuracy_text)
    if accuracy_match:
        unit = ACCURACY_UNITS[accuracy_match[1]]
        claims.append(Claim(accuracy_text, "R", "accuracy", float(accuracy_match[2]), unit, "higher"))
    return tuple(claims)


def build_check_claim(check: Mapping[str, Any]) -> Claim:
    """Return the claim that a check (a `config.schema.ClaimConfig` as a dict) is about."""
    figure, unit = check["published"], check["unit"]
    return Claim(f"{figure:g} {unit}", "check", check["metric"], figure, unit, check["direction"])
