"""What a decider sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Generator, Tensor

from convarium.compression.representations.base import Representation
from convarium.compression.sites import Site


@dataclass(frozen=True)
class View:
    """The sites a method works on, with their state before the phase.

    Attributes:
        sites: resolved on the bare network, in its order.
        weights: dense values of each site, detached, shaped as the site.
        represented: the representation of each site that has one.
        step: the method's knobs.
        progress: share of the method's rounds that are done when this one is, in (0, 1].
        generator: the decider's own random stream.
        references: files of the networks the step refers to (`_references_` of its YAML), by the knobs' names in order.
    """

    sites: tuple[Site, ...]
    weights: Mapping[str, Tensor]
    represented: Mapping[str, Representation]
    step: Mapping[str, Any]
    progress: float
    generator: Generator
    references: tuple[Path, ...] = ()
