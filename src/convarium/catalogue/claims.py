"""What is claimed of a system: the words of the tables, with figure, unit and direction where they can be told."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

SOURCED = re.compile(r"(.*?)\s*\[([^\]]*)\](?:[;,]\s*)?|(.+)$", re.DOTALL)
SIZE = re.compile(r"([\d.]+)M\b")
ACCURACY = re.compile(r"(IN top-[15]|MNIST)?\s*([\d.]+)")
UNITS = {
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


def of_headline(headline: str) -> tuple[Claim, ...]:
    """Return what a table of methods claims: "40x [M]; 9x [A]" is two claims."""
    found = (match.groups(default="") for match in SOURCED.finditer(headline))
    return tuple(Claim((text or rest).strip(), source) for text, source, rest in found if (text or rest).strip())


def of_network(line: Mapping[str, str]) -> tuple[Claim, ...]:
    """Return what the review claims of a network: its parameters and its accuracy."""
    return (*_size(line["review_params"]), *_accuracy(line["review_acc"]))


def of_check(check: Mapping[str, Any]) -> Claim:
    """Return the claim that a check (`config.schema.Check`) is about."""
    text = f"{check['published']:g} {check['unit']}"
    return Claim(text, "check", check["metric"], check["published"], check["unit"], check["direction"])


def _size(text: str) -> Iterator[Claim]:
    if match := SIZE.match(text):
        yield Claim(f"{text} parameters", "R", "parameters", round(float(match[1]) * 1e6), "parameters", "equal")


def _accuracy(text: str) -> Iterator[Claim]:
    if match := ACCURACY.match(text):
        yield Claim(text, "R", "accuracy", float(match[2]), UNITS[match[1]], "higher")
