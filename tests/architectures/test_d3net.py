"""D3Net: its size, which pixels its dilated convolutions see, its two heads."""

from itertools import product
from typing import Any

import pytest
import torch

from architectures.descriptions import (
    can_memorise,
    count_row,
    describe_own,
    find_parameters_without_gradient,
    uses_counts_of_rows,
)
from convarium.architectures import factory
from convarium.architectures.blocks.layers import LayerChoice
from convarium.architectures.cross_layer.d3net import MultiDilated, build_d2_block
from convarium.architectures.dry_run import dry_run_architecture
from convarium.errors import UserError

Offsets = set[tuple[int, int]]
PIXELS: dict[str, Any] = {"kwargs": {"head": "pixels"}}


@uses_counts_of_rows
@pytest.mark.parametrize(
    ("name", "parameters", "multiplications"),
    [("d3net_s", 9_685_699, 98_360_688_640), ("d3net_l", 38_726_117, 374_807_199_744)],
)
def test_sizes_are_those_of_the_catalogue(name: str, parameters: int, multiplications: int) -> None:
    found = count_row(name)
    assert (found.parameters, found.macs) == (parameters, multiplications)


def test_a_slice_sees_the_pixels_that_the_dilations_say() -> None:
    torch.manual_seed(0)
    block = MultiDilated(LayerChoice(activation="softplus"), 3, 2).eval()
    x = torch.randn(1, 3, 37, 37, requires_grad=True)
    slices = block(x).split(2, dim=1)
    for number, expected in enumerate(reach(4)):
        (gradient,) = torch.autograd.grad(slices[number][0, :, 18, 18].sum(), x, retain_graph=True)
        seen = gradient.abs().sum((0, 1)).nonzero() - 18
        assert {(int(row), int(column)) for row, column in seen} == expected
    assert len(reach(4)[3]) == 31 * 31


def reach(slices: int) -> list[Offsets]:
    """Which pixels, seen from its own, each slice depends on: its part of the first convolution, then dilation 2^j."""
    ball = set(product((-1, 0, 1), repeat=2))
    found = [ball]
    for number in range(1, slices):
        through = [wider(found[earlier - 1], 2**earlier) for earlier in range(1, number + 1)]
        found.append(ball.union(*through))
    return found


def wider(offsets: Offsets, dilation: int) -> Offsets:
    """Add the taps of a 3x3 convolution."""
    taps = [(dilation * row, dilation * column) for row, column in product((-1, 0, 1), repeat=2)]
    return {(row + down, column + right) for row, column in offsets for down, right in taps}


def test_a_block_has_a_bottleneck_only_where_its_input_is_wider() -> None:
    layers = LayerChoice()
    assert len(build_d2_block(layers, 144, 36, 28)) + 1 == len(build_d2_block(layers, 145, 36, 28))


@pytest.mark.parametrize(("head", "shape"), [("images", (2, 5)), ("pixels", (2, 5, 29, 40))])
def test_a_head_answers_for_images_or_for_pixels(head: str, shape: tuple[int, ...]) -> None:
    network = factory.build_architecture(describe_own("d3net_s", 1, 29, 5, kwargs={"head": head}), "meta")
    assert network(torch.empty(2, 1, 29, 40, device="meta")).shape == shape


def test_a_class_for_every_pixel_is_no_classifier() -> None:
    with pytest.raises(UserError, match=r"is not a classifier: its output isn't \(images, classes\)"):
        dry_run_architecture(describe_own("d3net_s", 3, 32, 10, **PIXELS))


def test_smaller_images_are_refused_with_the_smallest_size() -> None:
    assert dry_run_architecture(describe_own("d3net_s", 1, 29, 10))
    with pytest.raises(UserError, match="d3net_s needs images of at least 29 pixels a side"):
        factory.build_architecture(describe_own("d3net_s", 1, 28, 10), "meta")


def test_every_parameter_gets_a_gradient_and_eight_images_are_memorised() -> None:
    assert find_parameters_without_gradient(describe_own("d3net_s", 1, 29, 10, activation="prelu")) == []
    assert can_memorise(describe_own("d3net_s", 1, 32, 8))
