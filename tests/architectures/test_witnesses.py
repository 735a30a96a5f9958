"""Function against independent implementations: equal outputs from equal weights, which no count of parameters shows.

Networks of one family that take more than a few seconds are in the nightly tier; a light one of each is always there.
NiN, GoogLeNet, BN-Inception and ZFNet have their witnesses beside their other tests.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

from architectures.copied_weights import measure_difference
from architectures.descriptions import describe_own
from convarium.architectures import factory

heavy = pytest.mark.nightly
SIDE, CLASSES = 32, 10


def pytorchcv(module: str, name: str, **kwargs: Any) -> Any:
    """A network of pytorchcv that pools any map globally, not only that of its usual size."""
    found = import_module(f"pytorchcv.models.{module}").__dict__[name](num_classes=CLASSES, **kwargs)
    for parent in list(found.modules()):
        for child, layer in parent.named_children():
            if isinstance(layer, nn.AvgPool2d) and layer.kernel_size > 3 and layer.stride == 1:
                setattr(parent, child, nn.AdaptiveAvgPool2d(1))
    return found


def torchvision(name: str, **kwargs: Any) -> nn.Module:
    """A network of torchvision with fresh weights."""
    found: nn.Module = import_module("torchvision.models").get_model(name, num_classes=CLASSES, **kwargs)
    return found


def timm(name: str, side: int = SIDE) -> dict[str, Any]:
    """Describe a network of timm."""
    return {**describe_own(name, side=side, classes=CLASSES), "source": "timm"}


def cifar(name: str, **kwargs: Any) -> dict[str, Any]:
    """Describe a network of ours for small images."""
    return describe_own(name, side=SIDE, classes=CLASSES, **kwargs)


def each(network: nn.Module, kind: type[nn.Module], **attributes: Any) -> nn.Module:
    """Set attributes of all layers of a kind."""
    for module in network.modules():
        if isinstance(module, kind):
            for name, value in attributes.items():
                assert hasattr(module, name)
                setattr(module, name, value)
    return network


def without_projections(network: nn.Module) -> nn.Module:
    """Turn shortcuts of option B into option A: projections that take every second pixel and leave new channels 0."""
    for name, module in list(network.named_modules()):
        if name.endswith("identity_conv"):
            projection = module.get_submodule("conv")
            assert isinstance(projection, nn.Conv2d)
            outputs, inputs = projection.out_channels, projection.in_channels
            fixed = torch.eye(inputs).reshape(inputs, inputs, 1, 1)
            before = (outputs - inputs) // 2
            fixed = torch.cat([torch.zeros(before, *fixed.shape[1:]), fixed])
            fixed = torch.cat([fixed, torch.zeros(outputs - len(fixed), *fixed.shape[1:])])
            network.set_submodule(name, Fixed(fixed, projection.stride))
    return network


class Fixed(nn.Module):
    """A convolution without parameters."""

    def __init__(self, weight: torch.Tensor, stride: Any) -> None:
        super().__init__()
        self.fixed, self.stride = (weight,), stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        return nn.functional.conv2d(x, self.fixed[0], stride=self.stride)


Pair = tuple[dict[str, Any], Callable[[], nn.Module], str]  # ours, the witness, which of its layers it calls earlier
OURS: dict[str, Pair] = {
    "resnet20": (
        cifar("resnet20"), lambda: without_projections(pytorchcv("resnet_cifar", "resnet20_cifar10")), "",
    ),
    "resnet10": (cifar("resnet10"), lambda: without_projections(pytorchcv("resnet", "resnet10")), ""),
    "wrn_16_1": (
        cifar("wrn_16_1"),
        lambda: pytorchcv("wrn_cifar", "get_wrn_cifar", blocks=16, width_factor=1),
        "identity_conv",
    ),
    "pyramidnet_110_48": (
        cifar("pyramidnet_110_48"), lambda: pytorchcv("pyramidnet_cifar", "pyramidnet110_a48_cifar10"), "",
    ),
    "densenet_bc_100": (
        cifar("densenet_bc_100"), lambda: pytorchcv("densenet_cifar", "densenet100_k12_bc_cifar10"), "",
    ),
    "resnext29_8x64d": (
        describe_own("resnext29_8x64d", side=8, classes=CLASSES),
        lambda: pytorchcv("resnext_cifar", "get_resnext_cifar", blocks=29, cardinality=8, bottleneck_width=64),
        "identity_conv",
    ),
}  # fmt: skip
HEAVY: dict[str, Pair] = {
    "resnet110": (
        cifar("resnet110"), lambda: without_projections(pytorchcv("resnet_cifar", "resnet110_cifar10")), "",
    ),
    "wrn_28_10": (cifar("wrn_28_10"), lambda: pytorchcv("wrn_cifar", "wrn28_10_cifar10"), "identity_conv"),
    "pyramidnet_110_270": (
        cifar("pyramidnet_110_270"), lambda: pytorchcv("pyramidnet_cifar", "pyramidnet110_a270_cifar10"), "",
    ),
    "pyramidnet_164_270": (
        cifar("pyramidnet_164_270"), lambda: pytorchcv("pyramidnet_cifar", "pyramidnet164_a270_bn_cifar10"), "",
    ),
    "resnext29_16x64d": (
        cifar("resnext29_16x64d"), lambda: pytorchcv("resnext_cifar", "resnext29_16x64d_cifar10"), "identity_conv",
    ),
}  # fmt: skip
TIMM: dict[str, Pair] = {
    "resnet18": (timm("resnet18"), lambda: torchvision("resnet18"), ""),
    "resnet50": (timm("resnet50"), lambda: torchvision("resnet50"), ""),
    "resnext50": (timm("resnext50_32x4d"), lambda: torchvision("resnext50_32x4d"), ""),
    "densenet121": (timm("densenet121"), lambda: torchvision("densenet121"), ""),
    "mobilenet_v2": (timm("mobilenetv2_100"), lambda: torchvision("mobilenet_v2"), ""),
    "efficientnet_b0": (timm("efficientnet_b0"), lambda: torchvision("efficientnet_b0"), ""),
    "convnext_tiny": (timm("convnext_tiny"), lambda: torchvision("convnext_tiny"), ""),
    "inception_v3": (
        timm("inception_v3", 75), lambda: torchvision("inception_v3", aux_logits=False, init_weights=False), "",
    ),
    "inception_v4": (timm("inception_v4", 75), lambda: pytorchcv("inceptionv4", "inceptionv4"), ""),
}  # fmt: skip
HEAVY_TIMM: dict[str, Pair] = {
    "vgg11": (timm("vgg11", 224), lambda: torchvision("vgg11"), ""),
    "wide_resnet50_2": (timm("wide_resnet50_2"), lambda: torchvision("wide_resnet50_2"), ""),
    "inception_resnet_v2": (
        timm("inception_resnet_v2", 75), lambda: pytorchcv("inceptionresnetv2", "inceptionresnetv2"), "",
    ),
    "xception": (timm("legacy_xception", 71), lambda: pytorchcv("xception", "xception"), "identity_conv"),
    "pyramidnet_200_300": (
        describe_own("pyramidnet_200_300", side=SIDE, classes=CLASSES),
        lambda: pytorchcv("pyramidnet", "get_pyramidnet", blocks=200, alpha=300),
        "",
    ),
}  # fmt: skip
ALL = OURS | TIMM | HEAVY | HEAVY_TIMM


@pytest.fixture(autouse=True)
def witness_is_there() -> None:
    """pytorchcv is a development dependency."""
    pytest.importorskip("pytorchcv")


@pytest.mark.parametrize("name", [*OURS, *TIMM, *(pytest.param(name, marks=heavy) for name in (*HEAVY, *HEAVY_TIMM))])
def test_a_network_is_its_witness(name: str) -> None:
    described, witness, later = ALL[name]
    side = described["img_size"]
    assert (
        measure_difference(factory.build_architecture(described), witness(), torch.randn(2, 3, side, side), later)
        < 1e-5
    )


def test_vgg11_s_convolutions_are_torchvision_s() -> None:
    made = factory.build_architecture(timm("vgg11"), "meta").get_submodule("features").to_empty(device="cpu")
    models = import_module("torchvision.models.vgg")
    assert measure_difference(made, models.make_layers(models.cfgs["A"]), torch.randn(2, 3, SIDE, SIDE)) < 1e-5


@pytest.mark.parametrize("size", ["small", "large"])
def test_mobilenet_v3_is_torchvision_s_where_the_epsilon_of_its_normalisation_is(size: str) -> None:
    ours = each(factory.build_architecture(timm(f"mobilenetv3_{size}_100")), nn.BatchNorm2d, eps=1e-3)
    assert measure_difference(ours, torchvision(f"mobilenet_v3_{size}"), torch.randn(2, 3, SIDE, SIDE)) < 1e-5


def test_mobilenet_v1_is_pytorchcv_s_but_that_its_activation_ends_at_six() -> None:
    ours = each(factory.build_architecture(timm("mobilenetv1_100")), nn.ReLU6, max_val=float("inf"))
    assert measure_difference(ours, pytorchcv("mobilenet", "mobilenet_w1"), torch.randn(2, 3, SIDE, SIDE)) < 1e-5


def test_darknet53_is_pytorchcv_s_but_for_the_slope_of_its_activation() -> None:
    ours = each(factory.build_architecture(timm("darknet53")), nn.LeakyReLU, negative_slope=0.1)
    assert measure_difference(ours, pytorchcv("darknet53", "darknet53"), torch.randn(2, 3, SIDE, SIDE)) < 1e-5


def test_shufflenet_v2_is_pytorchcv_s() -> None:
    described = {**cifar("shufflenet_v2_x0_5"), "source": "torchvision"}
    witness = pytorchcv("shufflenetv2b", "shufflenetv2b_wd2")
    assert measure_difference(factory.build_architecture(described), witness, torch.randn(2, 3, SIDE, SIDE)) < 1e-5


@pytest.mark.parametrize("groups", [3, 8])
@pytest.mark.parametrize("order", ["paper", "released"])
def test_shufflenet_v1_shuffles_as_it_says(order: str, groups: int) -> None:
    """The witness shuffles as the paper does; it is rewired for what the authors released."""
    witness = pytorchcv("shufflenet", f"shufflenet_g{groups}_w1")
    for unit in witness.modules():
        if hasattr(unit, "c_shuffle"):
            _input_before_the_units_of_a_wider_stage(unit)
            if order == "released":
                _shuffled_behind_and_the_other_way_round(unit)
    ours = cifar(f"shufflenet_v1_g{groups}", kwargs={"order": order})
    other = {"paper": "released", "released": "paper"}[order]
    images = torch.randn(2, 3, 64, 64)
    assert measure_difference(factory.build_architecture(ours), witness, images) < 1e-5
    assert measure_difference(factory.build_architecture({**ours, "kwargs": {"order": other}}), witness, images) > 1e-3


def _input_before_the_units_of_a_wider_stage(unit: nn.Module) -> None:
    """Concatenate the averaged input first."""
    if unit.downsample:
        inner = unit.get_submodule("expand_bn3")
        assert isinstance(inner, nn.BatchNorm2d)
        unit.register_forward_hook(lambda _, __, maps: maps.roll(maps.shape[1] - inner.num_features, 1))


def _shuffled_behind_and_the_other_way_round(unit: nn.Module) -> None:
    shuffle = unit.get_submodule("c_shuffle")
    width = unit.get_submodule("dw_bn2").num_features
    unit.c_shuffle = nn.Identity()
    unit.get_submodule("dw_bn2").register_forward_hook(
        lambda _, __, maps: nn.functional.channel_shuffle(maps, width // shuffle.groups)
    )
