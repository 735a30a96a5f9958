"""The context from which a term of the loss is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.datasets.splits import Splits


@dataclass(frozen=True)
class TermContext:
    """What a term gets before training begins.

    Attributes:
        knobs: the term's own settings.
        references: files of the networks it refers to (`_references_` of its YAML), by the knobs' names.
        splits: train (which the `indices` of a batch count) and validation.
        num_classes: of the network that is trained.
        is_augmented: whether batches show other pixels than the training images'.
    """

    knobs: Mapping[str, Any]
    references: Mapping[str, Path]
    splits: Splits
    num_classes: int
    is_augmented: bool
