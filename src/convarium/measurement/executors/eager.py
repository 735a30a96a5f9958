"""PyTorch as it is."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def eager(network: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """Return a call that runs `images` through the network once, operator by operator, without gradients."""
    network.eval()

    @torch.inference_mode()
    def run() -> Tensor:
        output: Tensor = network(images)
        return output

    return run
