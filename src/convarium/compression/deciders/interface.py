"""The view of a network that a decider gets, and the decision that it returns."""

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
    """The network and the sites that a method works on, as they are before the phase.

    Attributes:
        sites: resolved on the network as it is, in its order.
        weights: dense values of each site, detached, shaped as the site, by the site's name.
        representations: the representation of each site that has one; a tied site is in it under each of its names.
        step: the method's knobs.
        progress: share of the method's rounds that will be done after this one, in (0, 1].
        generator: the decider's own random stream.
        network: in train mode; deciders read it and never change it.
        header: of the network's file: architecture, surgery, input, classes.
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
    """Changes of a network, applied in the order edits, values, representations.

    Attributes:
        representations: replace parameters of the edited network, by name.
        edits: records that `convarium.edits` applies to its structure; represented tensors keep their representation.
        values: replace tensors of the edited network, by name.
        external_bytes: the network in another coder's format; its bytes are counted in place of our file's.
    """

    representations: Mapping[str, Representation] = field(default_factory=dict)
    edits: Sequence[Json] = ()
    values: Mapping[str, Tensor] = field(default_factory=dict)
    external_bytes: bytes | None = None


Decider = Callable[[NetworkView], Decision | Mapping[str, Representation]]
