"""NiN, GoogLeNet, BN-Inception, Inception-ResNet-v1, Darknet-19."""

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
from convarium.architectures.dry_run import dry_run_architecture
from convarium.errors import UserError

CIFAR: dict[str, Any] = {"side": 32, "classes": 10}
SLIM: dict[str, Any] = {"norm": "batch", "kwargs": {"kernel": 3, "last_pool": 2}}


@uses_counts_of_rows
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("nin_cifar10", (966_986, 222_486_528)),
        ("nin_imagenet", (7_595_176, 969_460_864)),
        ("googlenet_paper", (6_998_552, 1_582_671_872)),
        ("inception_v2", (11_204_936, 2_018_851_840)),
        ("inception_resnet_v1", (22_756_328, 6_206_361_696)),
        ("darknet19", (20_842_376, 2_790_989_824)),
    ],
)
def test_sizes_are_those_of_the_papers(row: str, expected: tuple[int, int]) -> None:
    found = count_row(row)
    assert (found.parameters, found.macs) == expected


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (describe_own("googlenet_2014", kwargs={"auxiliary": True}), (13_378_280, 1_582_671_872)),
        (describe_own("googlenet_2014", **SLIM), (6_624_904, 1_498_376_192)),
        (describe_own("bn_inception", kwargs={"projection": 128}), (11_295_240, 2_032_600_064)),
        (describe_own("inception_resnet_v1", side=299, kwargs={"ported": True}), (23_995_624, 6_308_235_360)),
    ],
    ids=["auxiliary", "slim", "bn_inception 128", "inception_resnet_v1 ported"],
)
def test_a_variant_has_its_own_size(described: dict[str, Any], expected: tuple[int, int]) -> None:
    assert count_parameters_and_macs(described) == expected


def test_nin_is_pytorchcv_s() -> None:
    witness = pytest.importorskip("pytorchcv.models.nin_cifar").nin_cifar10()
    assert (
        measure_difference(
            factory.build_architecture(describe_own("nin_cifar", **CIFAR)), witness, torch.randn(2, 3, 32, 32)
        )
        < 1e-5
    )


def test_bn_inception_is_pytorchcv_s_with_its_wider_projections() -> None:
    witness = pytest.importorskip("pytorchcv.models.bninception").bninception(num_classes=10)
    ours = factory.build_architecture(describe_own("bn_inception", classes=10, kwargs={"projection": 128}))
    assert measure_difference(ours, witness, torch.randn(1, 3, 224, 224)) < 1e-5


def test_inception_resnet_v1_as_ported_is_pytorchcv_s() -> None:
    witness = pytest.importorskip("pytorchcv.models.inceptionresnetv1").inceptionresnetv1(num_classes=10)
    ours = factory.build_architecture(
        describe_own("inception_resnet_v1", side=299, classes=10, kwargs={"ported": True})
    )
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.eps = 1e-3
    assert measure_difference(ours, witness, torch.randn(1, 3, 299, 299)) < 1e-5


def test_darknet19_is_pytorchcv_s() -> None:
    witness = pytest.importorskip("pytorchcv.models.darknet").darknet19(num_classes=10)
    assert (
        measure_difference(
            factory.build_architecture(describe_own("darknet19", classes=10)), witness, torch.randn(1, 3, 224, 224)
        )
        < 1e-5
    )


def test_a_residual_module_of_scale_zero_is_the_identity_of_what_is_positive() -> None:
    module = (
        factory.build_architecture(describe_own("inception_resnet_v1", 1, 75, 10)).get_submodule("modules_a.0").eval()
    )
    nn.init.zeros_(module.get_parameter("expand.weight"))
    nn.init.zeros_(module.get_parameter("expand.bias"))
    maps = torch.rand(1, 256, 7, 7)
    assert torch.equal(module(maps), maps)


def test_googlenet_with_batch_normalisation_is_torchvision_s() -> None:
    models = pytest.importorskip("torchvision.models")
    witness = models.googlenet(num_classes=10, aux_logits=False, init_weights=False)
    ours = factory.build_architecture(describe_own("googlenet_2014", classes=10, **SLIM))
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    assert measure_difference(ours, witness, torch.randn(1, 3, 224, 224)) < 1e-5


def test_the_auxiliary_classifiers_see_the_maps_of_4a_and_4d_and_learn() -> None:
    torch.manual_seed(0)
    network = factory.build_architecture(describe_own("googlenet_2014", 1, 32, 10, kwargs={"auxiliary": True})).train()
    logits, others = network.forward_with_auxiliary(torch.randn(2, 1, 32, 32))
    assert [tuple(output.shape) for output in (logits, *others)] == [(2, 10)] * 3
    sum(output.square().sum() for output in (logits, *others)).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    plain = network.eval()(torch.ones(1, 1, 32, 32))
    assert torch.equal(plain, network.forward_with_auxiliary(torch.ones(1, 1, 32, 32))[0])


@pytest.mark.parametrize(
    "described",
    [
        describe_own("nin_cifar", 1, 8, 10, activation="maxout"),
        describe_own("nin_imagenet", 1, 67, 10),
        describe_own("googlenet_2014", 1, 31, 10, activation="prelu", pooling="spatial_pyramid"),
        describe_own("googlenet_2014", 1, 15, 10, **SLIM),
        describe_own("bn_inception", 2, 31, 10, activation="maxout", norm="group"),
        describe_own("inception_resnet_v1", 1, 75, 10, activation="maxout", norm="group"),
        describe_own("inception_resnet_v1", 1, 76, 10, pooling="max", kwargs={"ported": True}),
        describe_own("darknet19", 1, 32, 10, activation="maxout", norm="none", dropout=0.1),
    ],
    ids=lambda described: f"{described['name']} {described['img_size']}",
)
def test_every_parameter_gets_a_gradient_at_small_sizes(described: dict[str, Any]) -> None:
    assert find_parameters_without_gradient(described) == []


@pytest.mark.parametrize(
    ("name", "least", "kwargs"),
    [
        ("nin_imagenet", 67, {}),
        ("googlenet_2014", 31, {}),
        ("googlenet_2014", 15, {"last_pool": 2}),
        ("googlenet_2014", 31, {"auxiliary": True}),
        ("bn_inception", 31, {}),
        ("inception_resnet_v1", 75, {}),
        ("darknet19", 32, {}),
    ],
)
def test_smaller_images_are_refused_with_the_smallest_size(name: str, least: int, kwargs: dict[str, Any]) -> None:
    assert dry_run_architecture(describe_own(name, 1, least, 10, kwargs=kwargs))
    with pytest.raises(UserError, match=f"{name} needs images of at least {least} pixels a side"):
        factory.build_architecture(describe_own(name, 1, least - 1, 10, kwargs=kwargs), "meta")


@pytest.mark.parametrize("side", [39, 47, 55, 63, 75])
def test_bn_inception_halves_maps_of_odd_and_even_sides(side: int) -> None:
    assert dry_run_architecture(describe_own("bn_inception", 1, side, 10))


@pytest.mark.parametrize(
    "described",
    [
        describe_own("googlenet_2014", 1, 32, 8, dropout=0.0, norm="batch"),
        describe_own("bn_inception", 1, 32, 8),
        describe_own("inception_resnet_v1", 1, 75, 8, dropout=0.0),
        describe_own("darknet19", 1, 32, 8),
    ],
    ids=lambda described: described["name"],
)
def test_eight_images_are_memorised(described: dict[str, Any]) -> None:
    assert can_memorise(described)
