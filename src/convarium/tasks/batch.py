"""One step's images and what the network said of them: what a term of the loss sees."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """A batch in the middle of a step.

    Attributes:
        network: in train mode, on the images' device.
        images: (N, C, H, W), normalised and augmented.
        labels: int64 (N,); of mixed images (mixup, cutmix) the share of each class, float32 (N, classes).
        indices: places of the images among all training images, int64 (N,) on the CPU.
        logits: the network's output, (N, classes), with its graph.
        loss: the task's own loss, a scalar.
    """

    network: nn.Module
    images: Tensor
    labels: Tensor
    indices: Tensor
    logits: Tensor
    loss: Tensor


Term = Callable[[Batch], Tensor]
