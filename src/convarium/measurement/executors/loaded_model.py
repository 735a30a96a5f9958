"""What an executor gives back for a model's file."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor


class LoadedModel(Protocol):
    """A network, ready to run on images float32 (N, C, H, W), normalised, on the CPU."""

    def compute_logits(self, images: Tensor) -> Tensor:
        """Return the logits, float32 (N, classes), on the CPU."""
        ...

    def make_forward_pass(self, images: Tensor) -> Callable[[], Any]:
        """Return one pass of these images, without arguments and with as little around it as there can be."""
        ...

    def measure_peak_bytes(self, images: Tensor) -> int | None:
        """Return bytes of the model, and the most that was held at once during a pass; None where nobody can say."""
        ...

    def count_model_bytes(self) -> int:
        """Return bytes of what the executor runs."""
        ...
