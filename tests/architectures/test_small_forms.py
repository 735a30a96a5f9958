"""Every network that has a file runs, learns and memorises at its small form; the larger ones in the nightly tier."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from architectures.descriptions import can_memorise, describe_own, find_parameters_without_gradient
from convarium.architectures import factory
from convarium.conformance.small_architectures import describe_small_form, find_architecture_files
from convarium.errors import UserError

QUICK = (
    "basic/mlp", "basic/lenet5_1998", "basic/lenet5_modern", "cross_layer/wrn_16_1", "cross_layer/resnet20",
    "cross_layer/densenet_40_12", "depthwise/shufflenet_v1_g3", "depthwise/shufflenet_v2_x05",
    "depthwise/mobilenet_v2", "depthwise/mobilenet_v3_small", "splitting/nin_cifar", "splitting/googlenet",
    "transformer/mobilevit_xxs", "transformer/vit_tiny", "transformer/deit_tiny_distilled",
)  # fmt: skip
WITHOUT_DROPOUT: dict[str, dict[str, Any]] = {
    "alexnet": {"kwargs": {"dropout": 0.0}},
    "googlenet": {"kwargs": {"dropout": 0.0}},
    **{name: {"dropout": 0.0} for name in ("alexnet_2012", "zfnet", "googlenet_2014", "nin_cifar", "nin_imagenet")},
}
# Deep without a norm: with the first weights of their papers or libraries they need more steps.
DRAWN_ANEW = ("alexnet_2012", "googlenet_2014", "vgg19")
SEEDS = {"nin_cifar": 1}  # its logits are rectified: with some draws a class stays at zero
NOT_IN_50_STEPS = ("nin_imagenet",)  # twelve layers of that kind


@pytest.mark.parametrize(
    "option",
    [
        option if option in QUICK else pytest.param(option, marks=pytest.mark.nightly)
        for option in find_architecture_files()
    ],
)
def test_a_network_s_small_form_learns_by_every_parameter_and_memorises_eight_images(option: str) -> None:
    try:
        described = describe_small_form(option)
    except UserError as error:
        pytest.skip(f"no classifier of small images: {error}")
    assert find_parameters_without_gradient(described) == []
    name = described["name"]
    eased = {**described, **WITHOUT_DROPOUT.get(name, {})}
    begun = {"seed": SEEDS.get(name, 0), "drawn_anew": name in DRAWN_ANEW}
    assert name in NOT_IN_50_STEPS or any(can_memorise(eased, lr=lr, **begun) for lr in (3e-4, 1e-3))


class Blind(nn.Module):
    """Answers for all images alike."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(10))

    def forward(self, images: Tensor) -> Tensor:
        return self.bias.expand(len(images), -1)


def test_a_network_that_can_t_learn_memorises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    described = describe_own("mlp", 1, 28, 10)
    assert not can_memorise(described, lr=0.0)
    monkeypatch.setattr(factory, "build_architecture", lambda described: Blind())
    assert not can_memorise(described)
