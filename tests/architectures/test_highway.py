"""Highway networks: their size, what their gates do, what they learn."""

from typing import Any

import pytest
import torch
from torch import nn

from architectures.descriptions import (
    can_memorise,
    count_row,
    describe_own,
    find_parameters_without_gradient,
    uses_counts_of_rows,
)
from convarium.architectures import factory
from convarium.architectures.cross_layer.highway import Highway
from convarium.architectures.dry_run import dry_run_architecture
from convarium.errors import UserError

DIGIT: dict[str, Any] = {"channels": 1, "side": 28, "classes": 10}
CIFAR: dict[str, Any] = {"side": 32, "classes": 10}


@uses_counts_of_rows
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("highway_mnist_fc", (284_560, 279_700)),
        ("highway_mnist_conv16", (38_986, 8_028_576)),
        ("highway_mnist_conv32", (151_690, 31_650_624)),
        ("highway_cifar19", (2_256_838, 330_826_728)),
    ],
)
def test_sizes_are_those_of_the_paper(row: str, expected: tuple[int, int]) -> None:
    found = count_row(row)
    assert (found.parameters, found.macs) == expected


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Highway(nn.Linear(5, 5), nn.Linear(5, 5)), (3, 5)),
        (Highway(nn.Conv2d(5, 5, 3, padding=1), nn.Conv2d(5, 5, 3, padding=1)), (3, 5, 6, 6)),
    ],
    ids=["linear", "convolution"],
)
def test_a_gate_carries_its_input_or_lets_the_layer_through(layer: Highway, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    nn.init.zeros_(layer.get_parameter("gate.weight"))
    for bias, expected in ((-200.0, x), (200.0, layer.transform(x)), (0.0, (x + layer.transform(x)) / 2)):
        nn.init.constant_(layer.get_parameter("gate.bias"), bias)
        torch.testing.assert_close(layer(x), expected)


def test_with_all_gates_shut_a_stage_is_the_identity() -> None:
    network = factory.build_architecture(describe_own("highway_cifar", **CIFAR, kwargs={"gate_bias": -20})).eval()
    for name, module in network.named_modules():
        if name.endswith("gate"):
            nn.init.zeros_(module.get_parameter("weight"))
    maps = torch.randn(2, 32, 8, 8)
    torch.testing.assert_close(network.get_submodule("stage1")(maps), maps, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "bias", "layers"),
    [("highway_mnist_fc", -3, 48), ("highway_mnist", -1, 8), ("highway_mnist_32", -1, 8), ("highway_cifar", -2, 14)],
)
def test_gates_begin_nearly_shut(name: str, bias: int, layers: int) -> None:
    network = factory.build_architecture(describe_own(name, 1, 28, 10))
    biases = [module.get_parameter("bias") for name, module in network.named_modules() if name.endswith("gate")]
    assert len(biases) == layers
    assert all(bool((one == bias).all()) for one in biases)


@pytest.mark.parametrize(
    "described",
    [
        describe_own("highway_mnist_fc", 1, 8, 10, activation="maxout", kwargs={"depth": 5, "width": 7}),
        describe_own("highway_mnist", 2, 8, 10, activation="maxout", norm="batch"),
        describe_own("highway_mnist_32", 1, 29, 10, activation="tanh", dropout=0.2),
        describe_own("highway_cifar", 3, 4, 10, activation="prelu", norm="group", pooling="spatial_pyramid"),
    ],
    ids=lambda described: described["name"],
)
def test_every_parameter_gets_a_gradient_at_small_sizes(described: dict[str, Any]) -> None:
    assert find_parameters_without_gradient(described) == []


@pytest.mark.parametrize(("name", "least"), [("highway_mnist", 8), ("highway_mnist_32", 8), ("highway_cifar", 4)])
def test_smaller_images_are_refused_with_the_smallest_size(name: str, least: int) -> None:
    assert dry_run_architecture(describe_own(name, 1, least, 10))
    with pytest.raises(UserError, match=f"{name} needs images of at least {least} pixels a side"):
        factory.build_architecture(describe_own(name, 1, least - 1, 10), "meta")


@pytest.mark.parametrize("side", range(8, 34))
def test_the_classifier_fits_maps_of_any_size(side: int) -> None:
    assert dry_run_architecture(describe_own("highway_mnist", 1, side, 10))


@pytest.mark.parametrize(
    ("name", "side", "lr"),
    [("highway_mnist_fc", 28, 1e-3), ("highway_mnist", 28, 1e-3), ("highway_cifar", 16, 3e-4)],
)
def test_eight_images_are_memorised(name: str, side: int, lr: float) -> None:
    assert can_memorise(describe_own(name, 1, side, 10), lr=lr)
