"""Identities that only the right wiring satisfies; those of single layers are with the layers."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from architectures.descriptions import describe_own
from convarium.architectures import factory
from convarium.architectures.blocks.layers import LayerChoice
from convarium.architectures.cross_layer import pyramidnet, resnet_cifar, resnext_cifar, wide_resnet
from convarium.architectures.depthwise.shufflenet_v1 import ShuffleUnit

LAYERS = LayerChoice()
Sizes = tuple[int, int, int]


def pyramidal(inputs: int, outputs: int, stride: int) -> nn.Module:
    inner, shortcut = (
        pyramidnet.build_basic_branch(LAYERS, inputs, outputs, stride),
        pyramidnet.Shortcut(LAYERS, inputs, outputs, stride),
    )
    return pyramidnet.Residual(lambda *_: inner, lambda *_: shortcut, inputs, outputs, stride)


BLOCKS: dict[str, tuple[Any, str]] = {
    "resnet": (lambda *sizes: resnet_cifar.BasicBlock(LAYERS, *sizes), "bn2"),
    "wide": (lambda *sizes: wide_resnet.PreactivationBlock(LAYERS, *sizes), "conv2"),
    "resnext": (lambda *sizes: resnext_cifar.ResNeXtBlock(8, LAYERS, *sizes), "bn3"),
    "pyramidal": (pyramidal, "inner.6"),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_residual_block_whose_last_scale_is_zero_is_the_identity(kind: str) -> None:
    made, last = BLOCKS[kind]
    block = made(256, 256, 1)
    nn.init.zeros_(block.get_parameter(f"{last}.weight"))
    x = torch.randn(2, 256, 6, 6).relu()
    assert torch.equal(block(x), x)


def test_a_residual_block_whose_last_scale_is_zero_changes_the_shape_alone() -> None:
    x = torch.randn(2, 4, 6, 6).relu()
    zeros = torch.zeros(2, 2, 3, 3)
    block = BLOCKS["resnet"][0](4, 8, 2)
    nn.init.zeros_(block.get_parameter("bn2.weight"))
    assert torch.equal(block(x), torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1))
    block = pyramidal(4, 8, 2)
    nn.init.zeros_(block.get_parameter("inner.6.weight"))
    assert torch.equal(block(x), torch.cat([nn.functional.avg_pool2d(x, 2), zeros, zeros], 1))


def test_a_resnet_whose_last_scales_are_zero_is_its_stem() -> None:
    network = factory.build_architecture(describe_own("resnet20", side=32, classes=10)).eval()
    for name, module in network.named_modules():
        if name.endswith("bn2"):
            nn.init.zeros_(module.get_parameter("weight"))
    with torch.no_grad():
        images = torch.randn(2, 3, 32, 32)
        stem = network.relu(network.bn1(network.conv1(images)))[:, :, ::4, ::4].mean((2, 3))
        tail = list(network.children())[-1]
        torch.testing.assert_close(network(images), tail(nn.functional.pad(stem, (24, 24))))


def seen(block: nn.Module, x: Tensor, token: tuple[int, int]) -> list[list[int]]:
    """Rows and columns whose tokens an output token depends on, in NHWC."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(block(x)[0, token[0], token[1]].square().sum(), x)
    rows, columns = (gradient[0].abs().sum(2) > 0).nonzero().T
    return [rows.unique().tolist(), columns.unique().tolist()]


@pytest.mark.parametrize(("block", "borders"), [(0, (0, 7, 14)), (1, (0, 3, 10, 14))])
def test_a_token_of_swin_sees_its_window_and_then_its_shifted_window(block: int, borders: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    described = {**describe_own("swin_tiny_patch4_window7_224", side=56, classes=10), "source": "timm"}
    layer = factory.build_architecture(described).eval().get_submodule(f"layers.0.blocks.{block}")
    x = torch.randn(1, 14, 14, 96)
    windows = [list(range(*ends)) for ends in pairwise(borders)]
    for row in windows:
        for column in windows:
            assert seen(layer, x, (row[-1], column[0])) == [row, column]


@pytest.mark.parametrize("order", ["released", "paper"])
def test_groups_meet_by_shufflenet_s_shuffle_alone(order: str) -> None:
    torch.manual_seed(0)
    unit = ShuffleUnit(36, 36, 1, (3, 3), order, LAYERS).eval()
    assert meeting(unit) == 9
    unit.shuffle = nn.Identity()
    assert meeting(unit) == 3


def meeting(unit: nn.Module) -> int:
    """How many of the nine pairs of a group of outputs and a group of inputs depend on each other."""
    x = torch.randn(1, 36, 5, 5)
    found = torch.autograd.functional.jacobian(lambda x: unit(x)[0, :, 2, 2], x)[:, 0].abs().sum((2, 3))
    return int(found.reshape(3, 12, 3, 12).sum((1, 3)).count_nonzero())
