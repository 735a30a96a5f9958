"""Networks that are trained in one form and delivered in another: they condense while they are trained."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Condensing(Protocol):
    """What a network offers that loses connections by a plan of its own while it is trained.

    What it has lost is in its state dict, so that training goes on from a checkpoint as if it had never stopped.
    """

    @property
    def is_condensed(self) -> bool:
        """Whether it has lost all that its delivered form does not have."""

    def drop_due_connections(self, progress: float) -> None:
        """Drop what is due; called before each step with the share of all steps that are done, 0..1."""

    def penalty(self) -> Tensor:
        """What is added to the loss, a scalar."""

    def build_condensed(self) -> nn.Module:
        """Return the network without what was dropped, built anew; what is due at the end is dropped first."""
