"""NiN, GoogLeNet, BN-Inception, Inception-ResNet-v1, Darknet-19."""

from typing import Any

import pytest
import torch
from torch import nn

from architectures.copying import difference
from architectures.described import memorised, own, size, without_gradient
from convarium.architectures import library
from convarium.errors import UserError

CIFAR: dict[str, Any] = {"side": 32, "classes": 10}
SLIM: dict[str, Any] = {"norm": "batch", "kwargs": {"kernel": 3, "last_pool": 2}}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (own("nin_cifar", **CIFAR), (966_986, 222_486_528)),
        (own("nin_imagenet"), (7_595_176, 969_460_864)),
        (own("googlenet_2014"), (6_998_552, 1_582_671_872)),
        (own("googlenet_2014", kwargs={"auxiliary": True}), (13_378_280, 1_582_671_872)),
        (own("googlenet_2014", **SLIM), (6_624_904, 1_498_376_192)),
        (own("bn_inception"), (11_204_936, 2_018_851_840)),
        (own("bn_inception", kwargs={"projection": 128}), (11_295_240, 2_032_600_064)),
        (own("inception_resnet_v1", side=299), (22_756_328, 6_206_361_696)),
        (own("inception_resnet_v1", side=299, kwargs={"ported": True}), (23_995_624, 6_308_235_360)),
        (own("darknet19"), (20_842_376, 2_790_989_824)),
    ],
    ids=[
        "nin cifar",
        "nin",
        "googlenet",
        "auxiliary",
        "slim",
        "bn_inception",
        "bn_inception 128",
        "inception_resnet_v1",
        "inception_resnet_v1 ported",
        "darknet19",
    ],
)
def test_sizes_are_those_of_the_papers(described: dict[str, Any], expected: tuple[int, int]) -> None:
    assert size(described) == expected


def test_nin_is_pytorchcv_s() -> None:
    witness = pytest.importorskip("pytorchcv.models.nin_cifar").nin_cifar10()
    assert difference(library.build(own("nin_cifar", **CIFAR)), witness, torch.randn(2, 3, 32, 32)) < 1e-5


def test_bn_inception_is_pytorchcv_s_with_its_wider_projections() -> None:
    witness = pytest.importorskip("pytorchcv.models.bninception").bninception(num_classes=10)
    ours = library.build(own("bn_inception", classes=10, kwargs={"projection": 128}))
    assert difference(ours, witness, torch.randn(1, 3, 224, 224)) < 1e-5


def test_inception_resnet_v1_as_ported_is_pytorchcv_s() -> None:
    witness = pytest.importorskip("pytorchcv.models.inceptionresnetv1").inceptionresnetv1(num_classes=10)
    ours = library.build(own("inception_resnet_v1", side=299, classes=10, kwargs={"ported": True}))
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.eps = 1e-3
    assert difference(ours, witness, torch.randn(1, 3, 299, 299)) < 1e-5


def test_darknet19_is_pytorchcv_s() -> None:
    witness = pytest.importorskip("pytorchcv.models.darknet").darknet19(num_classes=10)
    assert difference(library.build(own("darknet19", classes=10)), witness, torch.randn(1, 3, 224, 224)) < 1e-5


def test_a_residual_module_of_scale_zero_is_the_identity_of_what_is_positive() -> None:
    module = library.build(own("inception_resnet_v1", 1, 75, 10)).get_submodule("modules_a.0").eval()
    nn.init.zeros_(module.get_parameter("expand.weight"))
    nn.init.zeros_(module.get_parameter("expand.bias"))
    maps = torch.rand(1, 256, 7, 7)
    assert torch.equal(module(maps), maps)


def test_googlenet_with_batch_normalisation_is_torchvision_s() -> None:
    models = pytest.importorskip("torchvision.models")
    witness = models.googlenet(num_classes=10, aux_logits=False, init_weights=False)
    ours = library.build(own("googlenet_2014", classes=10, **SLIM))
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    assert difference(ours, witness, torch.randn(1, 3, 224, 224)) < 1e-5


def test_the_auxiliary_classifiers_see_the_maps_of_4a_and_4d_and_learn() -> None:
    torch.manual_seed(0)
    network = library.build(own("googlenet_2014", 1, 32, 10, kwargs={"auxiliary": True})).train()
    logits, others = network.with_auxiliary(torch.randn(2, 1, 32, 32))
    assert [tuple(output.shape) for output in (logits, *others)] == [(2, 10)] * 3
    sum(output.square().sum() for output in (logits, *others)).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    plain = network.eval()(torch.ones(1, 1, 32, 32))
    assert torch.equal(plain, network.with_auxiliary(torch.ones(1, 1, 32, 32))[0])


@pytest.mark.parametrize(
    "described",
    [
        own("nin_cifar", 1, 8, 10, activation="maxout"),
        own("nin_imagenet", 1, 67, 10),
        own("googlenet_2014", 1, 31, 10, activation="prelu", pooling="spatial_pyramid"),
        own("googlenet_2014", 1, 15, 10, **SLIM),
        own("bn_inception", 2, 31, 10, activation="maxout", norm="group"),
        own("inception_resnet_v1", 1, 75, 10, activation="maxout", norm="group"),
        own("inception_resnet_v1", 1, 76, 10, pooling="max", kwargs={"ported": True}),
        own("darknet19", 1, 32, 10, activation="maxout", norm="none", dropout=0.1),
    ],
    ids=lambda described: f"{described['name']} {described['img_size']}",
)
def test_every_parameter_gets_a_gradient_at_small_sizes(described: dict[str, Any]) -> None:
    assert without_gradient(described) == []


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
    assert library.trial(own(name, 1, least, 10, kwargs=kwargs))
    with pytest.raises(UserError, match=f"{name} needs images of at least {least} pixels a side"):
        library.build(own(name, 1, least - 1, 10, kwargs=kwargs), "meta")


@pytest.mark.parametrize(
    "described",
    [
        own("googlenet_2014", 1, 32, 8, dropout=0.0, norm="batch"),
        own("bn_inception", 1, 32, 8),
        own("inception_resnet_v1", 1, 75, 8, dropout=0.0),
        own("darknet19", 1, 32, 8),
    ],
    ids=lambda described: described["name"],
)
def test_eight_images_are_memorised(described: dict[str, Any]) -> None:
    assert memorised(described)
