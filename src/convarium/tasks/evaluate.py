"""How good a classifier is on a set of images."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.datasets.splits import LabelledImages


def evaluate_network(network: nn.Module, data: LabelledImages, batch_size: int = 500) -> tuple[Tensor, float]:
    """Run the network in eval mode, in float32, without gradients.

    Returns:
        Which images are classified correctly, bool (N,) on the CPU, and the mean cross-entropy in nats.
    """
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in network.modules()}
    network.eval()
    correct, total = [], 0.0
    with torch.no_grad():
        for start in range(0, len(data), batch_size):
            part = slice(start, start + batch_size)
            labels = data.labels[part].to(device)
            logits = network(data.images[part].to(device))
            correct.append((logits.argmax(1) == labels).cpu())
            total += functional.cross_entropy(logits, labels, reduction="sum").item()
    for module, mode in modes.items():
        module.training = mode
    return torch.cat(correct), total / len(data)
