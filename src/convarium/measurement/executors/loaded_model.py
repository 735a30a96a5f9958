"""The interface of a model that an executor has loaded."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor


class LoadedModel(Protocol):
    """A network, ready to run on images float32 (N, C, H, W), normalised, on the CPU."""

    def compute_logits(self, images: Tensor) -> Tensor:
        """Return the logits, float32 (N, classes), on the CPU."""
        ...

    def make_forward_pass(self, images: Tensor) -> Callable[[], Any]:
        """Return a forward pass of these images: a function without arguments that does as little else as possible."""
        ...

    def measure_peak_bytes(self, images: Tensor) -> int | None:
        """Return bytes of the model plus the peak that a pass allocates; None where it can't be measured."""
        ...

    def count_model_bytes(self) -> int:
        """Return bytes of what the executor runs."""
        ...
