"""What a decider sees, and what it may decide."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Generator, Tensor, nn

from convarium.compression.sites import Site
from convarium.datasets.splits import Splits
from convarium.representations.base import Representation

Json = Mapping[str, Any]


@dataclass(frozen=True)
class NetworkView:
    """The sites a method works on, with their state before the phase.

    Attributes:
        sites: resolved on the network as it is, in its order.
        weights: dense values of each site, detached, shaped as the site.
        representations: the representation of each site that has one, by every name of it.
        step: the method's knobs.
        progress: share of the method's rounds that are done when this one is, in (0, 1].
        generator: the decider's own random stream.
        network: the network itself, in train mode; to be looked at, never changed.
        header: of the file it came from: architecture, input, classes.
        load_splits: loads the training and validation images.
        references: files of the networks the step refers to (`_references_` of its YAML), by the knobs' names.
    """

    sites: tuple[Site, ...]
    weights: Mapping[str, Tensor]
    representations: Mapping[str, Representation]
    step: Json
    progress: float
    generator: Generator
    network: nn.Module
    header: Json
    load_splits: Callable[[], Splits]
    references: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What becomes of the network, in this order.

    Attributes:
        edits: change its structure (records of `compression.edits`); what was represented keeps its form.
        values: take the place of tensors of the edited network, by name.
        representations: take the place of parameters of the edited network, by name.
        external_bytes: the network in the format of another coder, whose bytes are to count.
    """

    representations: Mapping[str, Representation] = field(default_factory=dict)
    edits: Sequence[Json] = ()
    values: Mapping[str, Tensor] = field(default_factory=dict)
    external_bytes: bytes | None = None


Decider = Callable[[NetworkView], Decision | Mapping[str, Representation]]
