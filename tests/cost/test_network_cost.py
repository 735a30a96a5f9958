"""One cost for budgets, tables and searches: its figures are those that were counted one by one."""

from pathlib import Path

import torch
from torch import nn

from convarium.architectures import factory
from convarium.cost.network_cost import Cost, measure_file_bytes
from convarium.cvm import container

ARCHITECTURE = {
    "source": "own", "name": "lenet300_100", "in_chans": 1, "num_classes": 3, "img_size": 4, "stem": "native",
    "kwargs": {},
}  # fmt: skip


def test_the_figures_of_a_small_network() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    network[3].weight.requires_grad_(False)
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[3].weight.zero_()
        network[3].bias.fill_(1.0)
    cost = Cost(network, (1, 4, 4))
    assert cost.parameters == 18 + 4 + 24 + 3
    assert cost.trainable_parameters == 18 + 4 + 3
    assert cost.nonzeros == 18 + 2 + 3  # the norm's two biases begin as zeros
    assert cost.buffers == 2 + 2 + 1
    assert cost.macs == 18 * 4 + 24


def test_bytes_are_those_of_the_file_that_is_written(tmp_path: Path) -> None:
    network = factory.build_architecture(ARCHITECTURE)
    header = {
        "architecture": ARCHITECTURE, "task": "classification", "classes": 3,
        "input": {"shape": [1, 4, 4], "mean": [0.5], "std": [0.5]},
    }  # fmt: skip
    container.write_cvm(tmp_path / "net.cvm", network, {**header, "surgery": []}, {})
    assert measure_file_bytes(network, [], header, {}) == (tmp_path / "net.cvm").stat().st_size
