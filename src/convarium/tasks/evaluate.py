"""Evaluation of a classifier: which images it gets right, and its loss."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.datasets.splits import LabelledImages


def evaluate_network(
    network: nn.Module,
    data: LabelledImages,
    batch_size: int = 500,
    observe_batch: Callable[[Tensor, Tensor], None] | None = None,
) -> tuple[Tensor, float]:
    """Run the network in eval mode, in float32, without gradients.

    Args:
        observe_batch: gets the logits (B, classes) and the labels (B,) of each batch, in the order of the images.

    Returns:
        Which images are classified correctly, bool (N,) on the CPU, and the mean cross-entropy in nats.
    """
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    # Each module's own: a part of a network may stand in eval mode while the rest trains.
    training_modes = {module: module.training for module in network.modules()}
    network.eval()
    correct_parts, loss_sum = [], 0.0
    with torch.no_grad():
        for start in range(0, len(data), batch_size):
            batch = slice(start, start + batch_size)
            labels = data.labels[batch].to(device)
            logits = network(data.images[batch].to(device))
            correct_parts.append((logits.argmax(1) == labels).cpu())
            loss_sum += functional.cross_entropy(logits, labels, reduction="sum").item()
            if observe_batch is not None:
                observe_batch(logits, labels)
    for module, is_training in training_modes.items():
        module.training = is_training
    return torch.cat(correct_parts), loss_sum / len(data)
