"""Which layers a chain leads back from, in networks of every make."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.architectures import factory
from convarium.errors import UserError
from convarium.measurement.deconvnet.call_path import select_default_layer, trace_calls, trace_path_to_image


def built(source: str, name: str, side: int, **others: Any) -> tuple[nn.Module, Tensor]:
    sizes = {"in_chans": 3, "num_classes": 10, "img_size": side}
    torch.manual_seed(0)
    network = factory.build_architecture(
        {"source": source, "name": name, "stem": "native", "kwargs": {}, **sizes, **others}
    )
    return network.eval(), torch.randn(1, 3, side, side)


@pytest.mark.parametrize(
    ("source", "name", "side", "layer", "length"),
    [
        ("own", "lenet5", 28, "conv2", 3),
        ("own", "lenet5_modern", 28, "conv2", 4),
        ("own", "alexnet_2012", 63, "conv5", 13),
        ("own", "zfnet", 61, "conv5", 13),
        ("own", "nin_cifar", 32, "block3.conv3", 21),
        ("torchvision", "alexnet", 64, "features.10", 11),
        ("timm", "vgg11", 64, "features.18", 19),
        ("timm", "resnet18", 64, "layer1.0.conv2", 10),
        ("own", "googlenet_2014", 64, None, 0),
    ],
)
def test_the_usual_layer_is_the_last_convolution_that_a_chain_leads_to(
    source: str, name: str, side: int, layer: str | None, length: int
) -> None:
    network, image = built(source, name, side)
    found = trace_calls(network, image)
    chosen = select_default_layer(found)
    if layer is not None:
        assert (chosen, len(trace_path_to_image(found, chosen))) == (layer, length)
    assert trace_path_to_image(found, chosen)[-1].takes_image


@pytest.mark.parametrize(
    ("source", "name", "side", "layer", "said"),
    [
        ("timm", "resnet18", 64, "layer2.0.conv1", "layer1.1.act2 (ReLU) takes what is not a single layer's output"),
        ("own", "lenet5_1998", 32, "c5", "squash1 (Squash) is not a plain convolution"),
        ("own", "lenet5", 28, "fc1", "flatten (Flatten) is not a plain convolution"),
        (
            "timm",
            "densenet121",
            64,
            "features.denseblock1.denselayer1.conv1",
            "takes what is not a single layer's output",
        ),
        ("timm", "tf_efficientnet_lite0", 64, "conv_stem", "conv_stem (Conv2dSame) is not a plain convolution"),
        ("timm", "vgg11", 64, "features.19x", "the network has no such layer (did you mean features.19?)"),
    ],
)
def test_what_is_no_chain_is_refused_by_the_module_at_which_it_breaks(
    source: str, name: str, side: int, layer: str, said: str
) -> None:
    network, image = built(source, name, side)
    with pytest.raises(UserError) as caught:
        trace_path_to_image(trace_calls(network, image), layer)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"--layer {layer}: ")


def test_a_network_without_such_a_convolution_says_why_its_first_one_is_none() -> None:
    network = nn.Sequential(nn.Tanh(), nn.Conv2d(3, 4, 3))
    with pytest.raises(UserError, match=r"leads back from: 0 \(Tanh\) is not a plain convolution"):
        select_default_layer(trace_calls(network, torch.zeros(1, 3, 8, 8)))
    with pytest.raises(UserError, match="no convolution"):
        select_default_layer(trace_calls(nn.Flatten(), torch.zeros(1, 3, 8, 8)))


class Hidden(nn.Module):
    """Does something between two layers that no module does; changes the first one's output where it lies."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.second, self.how = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), how

    def forward(self, x: Tensor) -> Tensor:
        maps = self.first(x)
        if self.how == "in place":
            maps += x
        elif self.how == "half":
            maps = maps[:, :, ::2]
        return self.second(maps)


@pytest.mark.parametrize("how", ["in place", "half"])
def test_what_a_network_does_between_its_layers_is_not_overlooked(how: str) -> None:
    found = trace_calls(Hidden(how), torch.randn(1, 3, 8, 8))
    assert trace_path_to_image(found, "first")
    with pytest.raises(UserError, match=r"second \(Conv2d\) takes what is not a single layer's output"):
        trace_path_to_image(found, "second")
    assert [
        call.name for call in trace_path_to_image(trace_calls(Hidden("nothing"), torch.randn(1, 3, 8, 8)), "second")
    ] == [
        "second",
        "first",
    ]


def test_branches_have_a_chain_each_until_they_are_joined() -> None:
    network, image = built("own", "googlenet_2014", 64)
    found = trace_calls(network, image)
    branches = [call.name for call in found if call.previous_call is not None and "inception3a" in call.name]
    assert all(trace_path_to_image(found, name)[-1].takes_image for name in branches)
