"""LeNet-5 of 1998 and as it is taught, AlexNet of 2012, ZFNet."""

from typing import Any

import pytest
import torch
from torch import nn

from architectures.copied_weights import measure_difference
from architectures.descriptions import (
    can_memorise,
    count_parameters_and_macs,
    count_row,
    describe_own,
    find_parameters_without_gradient,
    uses_counts_of_rows,
)
from convarium.architectures import factory
from convarium.architectures.basic import lenet_1998
from convarium.architectures.dry_run import dry_run_architecture
from convarium.errors import UserError

DIGIT: dict[str, Any] = {"channels": 1, "side": 32, "classes": 10}


@uses_counts_of_rows
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("lenet5_original", (60_000, 325_680)),
        ("lenet5_modern", (61_706, 416_520)),
        ("alexnet_original", (60_965_224, 724_406_816)),
        ("zfnet", (62_357_608, 1_168_032_896)),
    ],
)
def test_sizes_are_those_of_the_papers(row: str, expected: tuple[int, int]) -> None:
    found = count_row(row)
    assert (found.parameters, found.macs) == expected


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (describe_own("lenet5_1998", channels=1, side=28, classes=10), (60_000, 325_680)),
        (describe_own("lenet5_1998", **DIGIT, kwargs={"head": "linear"}), (60_850, 326_520)),
    ],
    ids=["1998 at 28", "1998 linear"],
)
def test_a_variant_has_its_own_size(described: dict[str, Any], expected: tuple[int, int]) -> None:
    assert count_parameters_and_macs(described) == expected


def test_lenet_s_layers_have_the_paper_s_parameters() -> None:
    network = factory.build_architecture(describe_own("lenet5_1998", **DIGIT), "meta")
    counts = {name: sum(p.numel() for p in layer.parameters()) for name, layer in network.named_children()}
    assert {name: count for name, count in counts.items() if count} == {
        "c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164,
    }  # fmt: skip


def test_each_map_of_c3_sees_the_maps_that_the_table_names() -> None:
    torch.manual_seed(0)
    convolution = lenet_1998.PartialConvolution()
    images = torch.randn(1, 6, 5, 5)
    seen = torch.autograd.functional.jacobian(lambda x: convolution(x)[0, :, 0, 0], images)[:, 0].abs().sum((2, 3)) > 0
    assert seen.sum() == 60
    assert [row.nonzero().flatten().tolist() for row in seen[[0, 4, 9, 12, 14, 15]]] == [
        [0, 1, 2], [0, 4, 5], [0, 3, 4, 5], [0, 1, 3, 4], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5],
    ]  # fmt: skip


def test_the_nearest_code_has_the_largest_output() -> None:
    codes = torch.tensor(lenet_1998._build_class_codes(10))
    head = lenet_1998.RadialBasis(10)
    assert codes.shape == (10, 84)
    assert torch.equal(codes.abs(), torch.ones(10, 84))
    assert torch.equal(head(codes).argmax(1), torch.arange(10))
    assert torch.equal(head(codes).diag(), torch.zeros(10))
    assert torch.equal(head(codes), -torch.cdist(codes, codes).square().round())
    assert len({tuple(code) for code in lenet_1998._build_class_codes(100)}) == 100


def test_the_squash_is_the_identity_at_one() -> None:
    ends = torch.tensor([-1.0, 0.0, 1.0])
    torch.testing.assert_close(lenet_1998.Squash()(ends), ends, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "described",
    [
        describe_own("lenet5_1998", 1, 12, 10),
        describe_own("lenet5_1998", 2, 29, 12, kwargs={"head": "linear"}),
        describe_own("lenet5_modern", 1, 12, 10, activation="maxout", pooling="trainable"),
        describe_own("lenet5_modern", 3, 40, 10, activation="prelu", pooling="stochastic"),
        describe_own("alexnet_2012", 1, 63, 10, activation="swish", norm="batch", pooling="average"),
        describe_own("zfnet", 1, 53, 10, dropout=0.0),
    ],
    ids=lambda described: f"{described['name']} {described['img_size']}",
)
def test_every_parameter_gets_a_gradient_at_small_sizes(described: dict[str, Any]) -> None:
    assert find_parameters_without_gradient(described) == []


@pytest.mark.parametrize(
    ("name", "least"), [("lenet5_1998", 12), ("lenet5_modern", 12), ("alexnet_2012", 63), ("zfnet", 53)]
)
def test_smaller_images_are_refused_with_the_smallest_size(name: str, least: int) -> None:
    assert dry_run_architecture(describe_own(name, 1, least, 10))
    with pytest.raises(UserError, match=f"{name} needs images of at least {least} pixels a side"):
        factory.build_architecture(describe_own(name, 1, least - 1, 10), "meta")


@pytest.mark.parametrize("name", ["lenet5_1998", "lenet5_modern"])
def test_eight_images_are_memorised(name: str) -> None:
    assert can_memorise(describe_own(name, 1, 28, 10), lr=0.01)


def test_alexnet_begins_as_its_paper_says() -> None:
    torch.manual_seed(0)
    network = factory.build_architecture(describe_own("alexnet_2012", 3, 63, 10))
    biases = {
        name: float(module.bias.detach().mean())
        for name, module in network.named_children()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None
    }
    assert biases == {"conv1": 0, "conv2": 1, "conv3": 0, "conv4": 1, "conv5": 1, "fc1": 1, "fc2": 1, "fc3": 0}
    assert float(network.get_parameter("fc2.weight").detach().std()) == pytest.approx(0.01, rel=0.01)


def test_zfnet_is_pytorchcv_s_where_pooling_and_normalisation_are_set_alike() -> None:
    witness = pytest.importorskip("pytorchcv.models.zfnet").zfnet(num_classes=10)
    ours = factory.build_architecture(describe_own("zfnet", classes=10))
    for number in (1, 2):
        stage = witness.features.get_submodule(f"stage{number}")
        stage.unit1.use_lrn = False
        stage.get_submodule(f"pool{number}").__init__(3, 2, 1)
        setattr(ours, f"norm{number}", nn.Identity())
    assert measure_difference(ours, witness, torch.randn(1, 3, 224, 224)) < 1e-5


def test_local_response_normalisation_is_the_paper_s_formula() -> None:
    torch.manual_seed(0)
    layer = factory.build_architecture(describe_own("alexnet_2012", 1, 63, 10), "meta").get_submodule("norm1")
    images = 30 * torch.randn(1, 9, 2, 2).relu()
    sums = sum(functional_shift(images.square(), by) for by in range(-2, 3))
    torch.testing.assert_close(layer(images), images / (2 + 1e-4 * sums) ** 0.75)


def functional_shift(images: torch.Tensor, by: int) -> torch.Tensor:
    """Move the channels by some places, zeros behind them."""
    moved = images.roll(by, 1)
    moved[:, :by] = 0 if by > 0 else moved[:, :by]
    if by < 0:
        moved[:, by:] = 0
    return moved
