"""What is claimed of a system: the words of the tables, with figure, unit and direction where they can be told."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
        text: as the table has it.
        source: [A], [V] agrees with the paper's abstract, [R] as the review states it, [M] not checked.
        metric: what it is of; None where only words are known.
        figure: in `unit`.
        direction: which side of it is better; "equal": neither, it is a count.
    """

    text: str
    source: str
    metric: str | None = None
    figure: float | None = None
    unit: str | None = None
    direction: Direction | None = None


def parse_headline_claims(headline: str) -> tuple[Claim, ...]:
    """Return what a table of methods claims: "40x [M]; 9x [A]" is two claims."""
    found = (match.groups(default="") for match in SOURCED_CLAIM_PATTERN.finditer(headline))
    return tuple(Claim((text or rest).strip(), source) for text, source, rest in found if (text or rest).strip())


def parse_network_claims(table_line: Mapping[str, str]) -> tuple[Claim, ...]:
    """Return what the review claims of a network: its parameters and its accuracy."""
    return (*_parse_size_claim(table_line["review_params"]), *_parse_accuracy_claim(table_line["review_acc"]))


def build_check_claim(check: Mapping[str, Any]) -> Claim:
    """Return the claim that a check (`config.schema.ClaimConfig`) is about."""
    text = f"{check['published']:g} {check['unit']}"
    return Claim(text, "check", check["metric"], check["published"], check["unit"], check["direction"])


def _parse_size_claim(text: str) -> Iterator[Claim]:
    if match := SIZE_PATTERN.match(text):
        yield Claim(f"{text} parameters", "R", "parameters", round(float(match[1]) * 1e6), "parameters", "equal")


def _parse_accuracy_claim(text: str) -> Iterator[Claim]:
    if match := ACCURACY_PATTERN.match(text):
        yield Claim(text, "R", "accuracy", float(match[2]), ACCURACY_UNITS[match[1]], "higher")
