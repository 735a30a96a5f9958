"""The layers of a network: in the order of their calls, and adding up to its parameters and MACs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import DeformConv2d

from convarium.architectures import factory
from convarium.cost.layers import Layer, list_layers
from convarium.cost.macs import count_macs


def built(source: str, name: str, side: int, **others: Any) -> nn.Module:
    sizes = {"in_chans": 3, "num_classes": 10, "img_size": side}
    return factory.build_architecture(
        {"source": source, "name": name, "stem": "native", "kwargs": {}, **sizes, **others}, "meta"
    )


@pytest.mark.parametrize(
    ("source", "name", "side"),
    [
        ("own", "nin_cifar", 32),
        ("torchvision", "googlenet", 96),  # auxiliary classifiers, which are not called
        ("torchvision", "vit_b_16", 224),  # projections that the attention reads without calling them
        ("timm", "vit_tiny_patch16_224", 224),
        ("timm", "coatnet_0_rw_224", 224),
        ("timm", "mobilenetv3_small_050", 64),
        ("own", "pvt_tiny", 224),
        ("own", "botnet_s1_50", 224),
    ],
)
def test_the_columns_add_up_to_the_network_s_parameters_and_macs(source: str, name: str, side: int) -> None:
    network = built(source, name, side)
    found = list_layers(network, (3, side, side))
    assert sum(layer.parameters for layer in found) == sum(one.numel() for one in network.parameters())
    assert sum(layer.macs for layer in found) == count_macs(network, (3, side, side))
    named = [name for layer in found for name in layer.tensor_names]
    assert sorted(named) == sorted(network.state_dict())


def test_a_leaf_is_a_row_with_what_it_gives_for_one_image() -> None:
    convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    network = nn.Sequential(nn.Sequential(convolution, nn.ReLU()), nn.Flatten(), nn.Linear(128, 5))
    assert list_layers(network, (3, 4, 4)) == [
        Layer("0.0", "Conv2d", (1, 8, 4, 4), 1, 216, 216 * 16, ("0.0.weight",)),
        Layer("0.1", "ReLU", (1, 8, 4, 4), 1, 0, 0, ()),
        Layer("1", "Flatten", (1, 128), 1, 0, 0, ()),
        Layer("2", "Linear", (1, 5), 1, 645, 640, ("2.weight", "2.bias")),
    ]
    assert not convolution._forward_hooks


class Product(nn.Module):
    """A matrix product in its own code between calls of others, one of them twice, one of them tied, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(4, 4)
        self.mix = nn.Parameter(torch.eye(4))
        self.inner = nn.Linear(4, 4, bias=False)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.inner.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(self.inner(x.flatten(1))) @ self.mix
        return functional.linear(self.tied(x), self.unused.weight)


def test_a_product_counts_where_it_is_written_and_a_tensor_once() -> None:
    itself, inner, tied, unused = list_layers(Product(), (1, 2, 2))
    assert (itself.name, itself.macs, itself.parameters) == ("", 32, 16)
    assert (inner.name, inner.calls, inner.macs, inner.parameters) == ("inner", 2, 32, 16)
    assert (tied.name, tied.macs, tied.parameters) == ("tied", 16, 0)
    assert (unused.name, unused.calls, unused.output, unused.macs, unused.parameters) == ("unused", 0, None, 0, 20)


class Reads(nn.Module):
    """A product of what it reads from its images, (N, 3, 8, 8), with weights of its own."""

    def __init__(self, product: Callable[..., Tensor], *weights: Tensor | nn.Module) -> None:
        super().__init__()
        self.product = product
        self.layers = nn.ModuleList(one for one in weights if isinstance(one, nn.Module))
        self.weights = nn.ParameterList(one for one in weights if isinstance(one, Tensor))

    def forward(self, images: Tensor) -> Tensor:
        return self.product(images, *self.layers, *self.weights)


PRODUCTS: dict[str, tuple[nn.Module, int]] = {
    "bilinear layer": (Reads(lambda x, layer: layer(x[:, 0], x[:, 1, :, :5]), nn.Bilinear(8, 5, 10)), 8 * 8 * 5 * 10),
    "bilinear function": (
        Reads(lambda x, weight: functional.bilinear(x[:, 0, :4], x[:, 1, :4], weight), torch.ones(7, 8, 8)), 4 * 7 * 64,
    ),
    "recurrent cell": (Reads(lambda x, cell: cell(x[:, 0, 0])[0], nn.LSTMCell(8, 16)), 4 * (8 * 16 + 16 * 16)),
    "recurrent layer": (
        Reads(lambda x, layer: layer(x[:, 0])[0], nn.GRU(8, 16, batch_first=True)), 8 * 3 * (8 * 16 + 16 * 16),
    ),
    "packed attention": (
        Reads(lambda x, layer: layer(x[:, 0], x[:, 0], x[:, 0])[0], nn.MultiheadAttention(8, 2, batch_first=True)),
        4 * 8 * 8 * 8 + 2 * 8 * 8 * 8,
    ),
    "linear function": (Reads(lambda x, weight: functional.linear(x.flatten(1), weight), torch.ones(10, 192)), 1920),
    "einsum": (Reads(lambda x, weight: torch.einsum("nchw,oc->nohw", x, weight), torch.ones(10, 3)), 64 * 30),
    "matrix and vector": (Reads(lambda x, weight: x.flatten(1) @ weight, torch.ones(192)), 192),
    "vectors": (Reads(lambda x, weight: x.flatten().dot(weight)[None], torch.ones(192)), 192),
    "added vector": (
        Reads(lambda x, matrix, bias: torch.addmv(bias, matrix, x.flatten()), torch.ones(10, 192), torch.ones(10)),
        1920,
    ),
    "sum of products": (Reads(lambda x, weight: torch.addbmm(x[0, 0], x[0], weight), torch.ones(3, 8, 8)), 3 * 512),
    "time first": (
        Reads(lambda x, weight, bias: torch.conv_tbc(x.flatten(2).permute(2, 0, 1), weight, bias, 1),
              torch.ones(3, 3, 4), torch.ones(4)),
        64 * 36,
    ),
    "transposed convolution": (Reads(lambda x, layer: layer(x), nn.ConvTranspose2d(3, 6, 2, 2, groups=3)), 64 * 24),
    "deformable convolution": (
        Reads(lambda x, layer: layer(x, x.new_zeros(len(x), 18, 8, 8)), DeformConv2d(3, 4, 3, padding=1)), 64 * 108,
    ),
    "look-up": (Reads(lambda x, table: table(x[:, 0, 0].long()), nn.EmbeddingBag(10, 4)), 0),
}  # fmt: skip


@pytest.mark.parametrize(("network", "expected"), PRODUCTS.values(), ids=PRODUCTS)
def test_every_product_with_weights_is_counted_and_stands_in_a_row(network: nn.Module, expected: int) -> None:
    assert count_macs(network, (3, 8, 8)) == expected
    assert sum(layer.macs for layer in list_layers(network, (3, 8, 8))) == expected
