"""What a term is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.datasets.splits import Splits


@dataclass(frozen=True)
class TermContext:
    """What a term sees before training begins.

    Attributes:
        knobs: the term's own settings.
        references: files of the networks it refers to (`_references_` of its YAML), by the knobs' names.
        splits: train (in the order that a batch's indices mean) and validation.
        num_classes: how many the network tells apart.
        is_augmented: whether batches show other pixels than the training images'.
    """

    knobs: Mapping[str, Any]
    references: Mapping[str, Path]
    splits: Splits
    num_classes: int
    is_augmented: bool
