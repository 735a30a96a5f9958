"""What one fit is, apart from its network, its data and its recipe."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.tasks.batch import Term


@dataclass(frozen=True)
class FitJob:
    """What must be equal for an interrupted fit to go on bit for bit.

    Attributes:
        task: the task's config; its `name` is that of a module of `tasks`.
        checkpoint: written after each epoch; training goes on from it if it exists.
        structure: JSON, kept in the checkpoint: what the network's structure was made of.
        seed: the order of the images and the random state of every step derive from it.
        terms: added to the loss.
    """

    task: Mapping[str, Any]
    checkpoint: Path
    structure: Mapping[str, Any]
    seed: int
    terms: Sequence[Term] = ()

    @property
    def structure_text(self) -> str:
        """The structure as a checkpoint keeps it: equal for equal structures."""
        return json.dumps(self.structure, sort_keys=True)
