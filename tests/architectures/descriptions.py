"""Descriptions of networks of ours, as a config holds them, and what is asked of every family."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from convarium.architectures import factory
from convarium.catalogue.network_counts import NetworkCounts, count_network
from convarium.catalogue.rows import read_catalogue_rows
from convarium.cost.macs import count_macs

uses_counts_of_rows = pytest.mark.xdist_group("counts")  # each row is counted once


@cache
def count_row(row_id: str) -> NetworkCounts:
    """Count the network of a row of the catalogue; tests that do are marked `uses_counts_of_rows`."""
    (row,) = [row for row in read_catalogue_rows() if row.network and row.config and row.id == row_id]
    return count_network(row)


def describe_own(name: str, channels: int = 3, side: int = 224, classes: int = 1000, **others: Any) -> dict[str, Any]:
    """Describe a network; `others` are its layers and `kwargs`."""
    shape = {"in_chans": channels, "num_classes": classes, "img_size": side}
    return {"source": "own", "name": name, "stem": "native", "kwargs": {}, **shape, **others}


def count_parameters_and_macs(described: dict[str, Any]) -> tuple[int, int]:
    """Return parameters and MACs, counted without memory."""
    network = factory.build_architecture(described, "meta")
    side = described["img_size"]
    return sum(p.numel() for p in network.parameters()), count_macs(network, (described["in_chans"], side, side))


def can_memorise(
    described: dict[str, Any], steps: int = 50, lr: float = 1e-3, seed: int = 0, drawn_anew: bool = False
) -> bool:
    """Whether eight images are told apart after some steps of Adam on all of them; smooth ones, as images are.

    Args:
        drawn_anew: begin with weights drawn as He et al. 2015 did.
    """
    torch.manual_seed(seed)
    network = factory.build_architecture(described).train()
    if drawn_anew:
        _draw_he_weights(network)
    side, labels = described["img_size"], torch.arange(8) % described["num_classes"]
    images = functional.interpolate(torch.randn(8, described["in_chans"], 4, 4), size=(side, side), mode="bilinear")
    optimizer = torch.optim.Adam(network.parameters(), lr)
    for _ in range(steps + 1):
        logits = network(images)
        if bool((logits.argmax(1) == labels).all()):
            return True
        optimizer.zero_grad()
        functional.cross_entropy(logits, labels).backward()
        optimizer.step()
    return False


def _draw_he_weights(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def find_parameters_without_gradient(described: dict[str, Any]) -> list[str]:
    """Return the parameters that get no gradient from four images."""
    torch.manual_seed(0)
    network: nn.Module = factory.build_architecture(described).train()
    side, labels = described["img_size"], torch.arange(4) % described["num_classes"]
    output = network(torch.randn(4, described["in_chans"], side, side))
    assert output.shape == (4, described["num_classes"])
    functional.cross_entropy(output, labels).backward()
    return [name for name, parameter in network.named_parameters() if parameter.grad is None]
