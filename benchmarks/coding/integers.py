"""Whole numbers of really trained networks: LeNet-300-100, pruned step by step by global magnitude with retraining."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional

from convarium.datasets.splits import LabelledImages, Splits
from convarium.seeds import derive_seed

WIDTHS = (784, 300, 100, 10)
SPARSITIES = (0.9, 0.92, 0.95, 0.97, 0.98, 0.987)
SHARED_UP_TO, CLUSTERS = 0.97, 64
LEVELS = (1, 3, 7, 15)
BATCH, LR, SCALE_LR = 128, 1e-3, 5e-5


@dataclass(frozen=True)
class Row:
    """Whole numbers of the three layers, 0 where pruned.

    Attributes:
        kind: "k-means" (signed ranks of the shared values), "grid" or "trained".
        size: how many shared values a layer has, or the largest whole number.
        pruned: share of weights that are 0.
        layers: int32 (outputs, inputs).
        accuracy: share of validation images classified correctly.
    """

    kind: str
    size: int
    pruned: float
    layers: tuple[NDArray[np.int32], ...]
    accuracy: float


class Network:
    """LeNet-300-100 as plain tensors."""

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> None:
        self.weights = [weight.detach().clone() for weight in weights]
        self.biases = [bias.detach().clone() for bias in biases]

    def parameters(self) -> list[Tensor]:
        """Return all tensors, ready to be trained."""
        return [tensor.requires_grad_() for tensor in (*self.weights, *self.biases)]

    def logits(self, images: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Run the network with these weights."""
        values = images.flatten(1)
        for index, (weight, bias) in enumerate(zip(weights, self.biases, strict=True)):
            values = functional.linear(functional.relu(values) if index else values, weight, bias)
        return values

    def accuracy(self, data: LabelledImages) -> float:
        """Return the share of images that are classified correctly."""
        with torch.no_grad():
            return (self.logits(data.images[:], self.weights).argmax(1) == data.labels).float().mean().item()


Form = tuple[str, int, list[Tensor], Network]


def rows(splits: Splits, seed: int, dense_epochs: int, epochs: int) -> Iterator[Row]:
    """Train, prune further and further, and yield what each pruned network becomes."""
    assert splits.train is not None
    assert splits.validation is not None
    torch.manual_seed(derive_seed(seed, "init"))
    layers = [nn.Linear(*widths) for widths in pairwise(WIDTHS)]
    network = Network([layer.weight for layer in layers], [layer.bias for layer in layers])
    groups = [{"params": network.parameters(), "lr": LR}]
    train(network, groups, splits.train, dense_epochs, seed, lambda: network.weights)
    for pruned in (0.8, *SPARSITIES):
        network = retrained(network, pruned, splits.train, epochs, seed)
        for kind, size, levels, seen in forms(network, splits.train, pruned, epochs, seed):
            signed = tuple(level.numpy().astype(np.int32) for level in levels)
            yield Row(kind, size, pruned, signed, seen.accuracy(splits.validation))


def train(
    network: Network, groups: Any, data: LabelledImages, epochs: int, seed: int, weights: Callable[[], Sequence[Tensor]]
) -> None:
    """Adam, the learning rate falls along half a cosine."""
    optimizer, steps = torch.optim.Adam(groups), len(data) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    generator = torch.Generator().manual_seed(derive_seed(seed, "order"))
    for _ in range(epochs):
        for batch in torch.randperm(len(data), generator=generator)[: steps * BATCH].reshape(steps, BATCH):
            loss = functional.cross_entropy(network.logits(data.images[batch], weights()), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def retrained(network: Network, pruned: float, data: LabelledImages, epochs: int, seed: int) -> Network:
    """Prune the smallest weights of all layers together, and train what is left."""
    sizes = torch.cat([weight.detach().abs().flatten() for weight in network.weights])
    least = sizes.topk(round(len(sizes) * (1 - pruned))).values[-1]
    masks = [weight.detach().abs() >= least for weight in network.weights]
    groups = [{"params": network.parameters(), "lr": LR}]
    train(network, groups, data, epochs, seed, lambda: _masked(network, masks))
    return Network(_masked(network, masks), network.biases)


def _masked(network: Network, masks: Sequence[Tensor]) -> list[Tensor]:
    return [weight * mask for weight, mask in zip(network.weights, masks, strict=True)]


def forms(network: Network, data: LabelledImages, pruned: float, epochs: int, seed: int) -> Iterator[Form]:
    """Yield kind, size, whole numbers and network of every form of a pruned network."""
    if SPARSITIES[0] <= pruned <= SHARED_UP_TO:
        shared = [share(weight) for weight in network.weights]
        seen = Network([values for _, values in shared], network.biases)
        yield "k-means", CLUSTERS, [ranks for ranks, _ in shared], seen
    for largest in LEVELS if pruned >= SPARSITIES[0] else ():
        scales = [best_scale(weight, largest) for weight in network.weights]
        levels = [grid(*layer, largest) for layer in zip(network.weights, scales, strict=True)]
        values = [level * scale for level, scale in zip(levels, scales, strict=True)]
        yield "grid", largest, levels, Network(values, network.biases)
        yield "trained", largest, *straight_through(network, scales, largest, data, epochs, seed)


def grid(weight: Tensor, scale: Tensor, largest: int) -> Tensor:
    """Round to whole numbers; what is not pruned does not become 0."""
    levels = (weight / scale).round().clamp(-largest, largest)
    return torch.where((levels == 0) & (weight != 0), weight.sign(), levels)


def best_scale(weight: Tensor, largest: int) -> Tensor:
    """Return the scale of the least squared error among 80."""
    kept = weight[weight != 0]
    scales = kept.abs().mean() * torch.linspace(0.05, 2, 80)
    errors = [(grid(kept, scale, largest) * scale - kept).square().sum() for scale in scales]
    return scales[int(torch.stack(errors).argmin())]


def share(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return signed ranks (-1, -2, ... for negative shared values from 0 down, 1, 2, ... for the rest) and values."""
    kept = weight[weight != 0].double().numpy().reshape(-1, 1)
    start = np.linspace(kept.min(), kept.max(), min(CLUSTERS, len(np.unique(kept)))).reshape(-1, 1)
    found = KMeans(len(start), init=start, n_init=1, max_iter=100).fit(kept)
    centres = np.sort(found.cluster_centers_[:, 0])
    ids = np.argsort(np.argsort(found.cluster_centers_[:, 0]))[found.labels_] - (centres < 0).sum()
    ranks, values = torch.zeros_like(weight), weight.clone()
    ranks[weight != 0] = torch.from_numpy(ids + (ids >= 0)).float()
    values[weight != 0] = torch.from_numpy(found.cluster_centers_[found.labels_, 0]).float()
    return ranks, values


def straight_through(
    pruned: Network, scales: Sequence[Tensor], largest: int, data: LabelledImages, epochs: int, seed: int
) -> tuple[list[Tensor], Network]:
    """Train weights, biases and scales of a grid; return its whole numbers and the network."""
    network, masks = Network(pruned.weights, pruned.biases), [weight != 0 for weight in pruned.weights]
    logs = [scale.log().requires_grad_() for scale in scales]

    def levels() -> list[Tensor]:
        with torch.no_grad():
            kept = zip(_masked(network, masks), logs, strict=True)
            return [grid(weight, log.exp(), largest) for weight, log in kept]

    def values() -> list[Tensor]:
        seen = []
        for weight, log, level in zip(_masked(network, masks), logs, levels(), strict=True):
            inside = (weight / log.exp()).clamp(-largest, largest)
            seen.append(log.exp() * (inside + (level - inside).detach()))
        return seen

    groups = [{"params": network.parameters(), "lr": LR / 2}, {"params": logs, "lr": SCALE_LR}]
    train(network, groups, data, epochs, seed, values)
    return levels(), Network(values(), network.biases)


def save(path: Path, made: Sequence[Row]) -> None:
    """Keep rows in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = json.dumps([[row.kind, row.size, row.pruned, row.accuracy] for row in made])
    layers = {f"{index}.{place}": layer for index, row in enumerate(made) for place, layer in enumerate(row.layers)}
    np.savez_compressed(path, about=about, **layers)  # type: ignore[arg-type]


def load(path: Path) -> list[Row]:
    """Read what `save` wrote."""
    with np.load(path) as held:
        rows = enumerate(json.loads(str(held["about"])))
        return [
            Row(kind, size, pruned, tuple(held[f"{index}.{place}"] for place in range(len(WIDTHS) - 1)), accuracy)
            for index, (kind, size, pruned, accuracy) in rows
        ]
