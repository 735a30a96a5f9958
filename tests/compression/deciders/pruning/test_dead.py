"""Neurons that no longer matter are cut, and the network computes what it did."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium import edits
from convarium.architectures import factory
from convarium.compression import decisions
from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.dead import dead
from convarium.compression.sites import resolve_sites
from convarium.compression.structure import cuttable_groups

Between = Callable[..., Tensor]
LENET = {
    "source": "own", "name": "lenet5", "in_chans": 1, "num_classes": 10, "img_size": 28, "stem": "native", "kwargs": {},
}  # fmt: skip


def view(network: nn.Module, architecture: dict[str, object]) -> NetworkView:
    step = {"method": "pruning/x", "sites": ["*"]}
    size = [architecture["in_chans"], architecture["img_size"], architecture["img_size"]]
    header = {"architecture": architecture, "input": {"shape": size}, "surgery": []}
    return NetworkView(
        resolve_sites(network, step),
        {},
        {},
        step,
        1.0,
        torch.Generator(),
        network,
        header,
        load_splits=lambda: None,  # type: ignore[arg-type, return-value]
    )


@pytest.fixture
def lenet() -> nn.Module:
    torch.manual_seed(0)
    return factory.build_architecture(LENET)


def logits(network: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(1)))  # type: ignore[no-any-return]


@torch.no_grad()
def test_unread_and_constant_neurons_go_and_nothing_changes(lenet: nn.Module) -> None:
    lenet.get_parameter("fc2.weight")[:, :100] = 0  # nobody reads these
    lenet.get_parameter("fc1.weight")[100:200] = 0  # these are their bias, through a ReLU
    lenet.get_parameter("conv2.weight")[:5] = 0
    before = logits(lenet)
    decision = dead(view(lenet, LENET))
    decisions.apply_decision(lenet, decision)
    assert lenet.get_parameter("fc1.weight").shape == (300, 45 * 16)
    assert lenet.get_parameter("conv2.weight").shape[0] == 45
    assert torch.allclose(logits(lenet), before, atol=1e-5)
    again = factory.build_architecture(LENET)
    edits.apply_surgery(again, decision.edits)
    again.load_state_dict(lenet.state_dict())
    assert torch.equal(logits(again), logits(lenet))


@torch.no_grad()
def test_what_only_dead_neurons_need_goes_too(lenet: nn.Module) -> None:
    lenet.get_parameter("fc2.weight")[:, 3:] = 0
    lenet.get_parameter("fc1.weight")[:, 16:] = 0  # three neurons look at the first channel only
    decisions.apply_decision(lenet, dead(view(lenet, LENET)))
    assert lenet.get_parameter("fc1.weight").shape == (3, 16)
    assert lenet.get_parameter("conv2.weight").shape[0] == 1


@torch.no_grad()
def test_a_network_without_dead_neurons_stays_as_it_is(lenet: nn.Module) -> None:
    assert not dead(view(lenet, LENET)).edits


@torch.no_grad()
def test_a_constant_under_zero_padding_stays() -> None:
    architecture = {**LENET, "name": "resnet20"}
    torch.manual_seed(0)
    network = factory.build_architecture(architecture)
    block = next(name for name, module in network.named_modules() if name.endswith("conv1") and "." in name)
    network.get_submodule(block).weight[:4] = 0
    for tensor in network.parameters():
        if tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
    before = logits(network)
    decisions.apply_decision(network, dead(view(network, architecture)))
    assert torch.allclose(logits(network), before, atol=1e-4)


class Chain(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self, between: Between, *layers: nn.Module, read: int = 16, **options: Any) -> None:
        super().__init__()
        self.between, self.layers = between, nn.ModuleList(layers)
        self.first, self.second = nn.Conv2d(3, 16, 3, **options), nn.Conv2d(read, 12, 1)
        self.head = nn.Linear(12, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.between(self.first(images).relu(), *self.layers)
        return self.head(self.second(features).relu().mean((2, 3)))  # type: ignore[no-any-return]


class Standardised(nn.Conv2d):
    """Every filter has mean 0 and deviation 1."""

    def forward(self, x: Tensor) -> Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, centred / (centred.std((1, 2, 3), keepdim=True) + 1e-5), self.bias)


class Cosine(nn.Linear):
    """Rows and inputs have length 1."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(functional.normalize(x, dim=-1), functional.normalize(self.weight, dim=1), self.bias)


def last(x: Tensor, layer: nn.Module) -> Tensor:
    """A layer of features in the last dimension."""
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def kill(network: nn.Module) -> None:
    """Make an eighth of each layer's filters zero, and an eighth of what it reads; every vector is random."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                for dimension in (0, 1):
                    size = layer.weight.shape[dimension]
                    layer.weight.index_fill_(dimension, torch.randperm(size, generator=generator)[: size // 8], 0.0)
        for tensor in network.parameters():
            if tensor.dim() == 1:
                tensor.uniform_(-0.5, 1.0, generator=generator)


def change_by_cut(network: nn.Module, described: dict[str, Any]) -> tuple[float, int]:
    """Cut dead neurons; return by how much of the largest logit an answer moves, and how many parameters go."""
    size = described["img_size"]
    images = torch.randn(64 if size < 32 else 4, described["in_chans"], size, size, dtype=torch.float64)

    def answers() -> Tensor:
        return cuttable_groups.compute_output(deepcopy(network).eval().double(), images)

    def parameters() -> int:
        return sum(map(torch.numel, network.parameters()))

    before, there = answers(), parameters()
    decisions.apply_decision(network, dead(view(network, described)))
    return float((answers() - before).abs().max() / before.abs().max()), there - parameters()


SMALL = {**LENET, "in_chans": 3, "img_size": 16}
MIXED: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "length of the channels": (lambda: Chain(lambda x: functional.normalize(x, dim=1)), False),
    "largest channel": (lambda: Chain(lambda x: x - x.amax(1, keepdim=True)), False),
    "mean of the channels": (lambda: Chain(lambda x: x * x.mean(1, keepdim=True)), False),
    "softmax over channels": (lambda: Chain(lambda x: x.softmax(1)), False),
    "few largest channels": (lambda: Chain(lambda x: x * (x >= x.topk(4, 1).values[:, -1:])), False),
    "largest of the batch": (lambda: Chain(lambda x: x / x.amax()), False),
    "group norm of one group": (lambda: Chain(lambda x, norm: norm(x), nn.GroupNorm(1, 16)), False),
    "layer norm": (lambda: Chain(last, nn.LayerNorm(16)), False),
    "response norm": (lambda: Chain(lambda x, norm: norm(x), nn.LocalResponseNorm(5)), False),
    "sum of weights": (lambda: Chain(lambda x, layer: layer(x) * layer.weight.mean(), nn.Conv2d(16, 16, 1)), True),
    "standardised filters": (lambda: Chain(lambda x, layer: layer(x).relu(), Standardised(16, 16, 3)), True),
    "cosine of filters": (lambda: Chain(lambda x, layer: last(x, layer).relu(), Cosine(16, 16)), True),
    "shared layer": (lambda: Chain(lambda x, layer: layer(x).relu() + layer(x + 1).relu(), nn.Conv2d(16, 16, 1)), True),
    "its own outputs": (lambda: Chain(lambda x, layer: layer(layer(x).relu()).relu(), nn.Conv2d(16, 16, 1)), True),
    "weights read twice": (
        lambda: Chain(lambda x, layer: layer(x).relu() + functional.conv2d(x + 1, layer.weight), nn.Conv2d(16, 16, 1)),
        True,
    ),
    "zeros around": (lambda: Chain(lambda x: functional.pad(x, (1, 1, 1, 1))), True),
    "ones around": (lambda: Chain(lambda x: functional.pad(x, (1, 1, 1, 1), value=1.0)), True),
    "mirrored": (
        lambda: Chain(lambda x, layer: layer(x), nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect")),
        True,
    ),
    "batch norm": (lambda: Chain(lambda x, norm: norm(x), nn.BatchNorm2d(16)), True),
    "instance norm": (lambda: Chain(lambda x, norm: norm(x), nn.InstanceNorm2d(16, affine=True)), True),
    "tokens": (lambda: Chain(lambda x, layer: layer(x.flatten(2).mT).relu().mT[..., None], nn.Linear(16, 16)), True),
    "channels last": (lambda: Chain(lambda x, layer: last(x, layer).relu(), nn.Linear(16, 16)), True),
    "named argument": (lambda: Chain(lambda x, layer: layer(input=x).relu(), nn.Conv2d(16, 16, 1)), True),
    "both concatenated": (
        lambda: Chain(lambda x, layer: torch.cat([x, layer(x).relu()], 1), nn.Conv2d(16, 16, 1), read=32),
        True,
    ),
    "pixels from channels": (lambda: Chain(lambda x: functional.pixel_shuffle(x, 2), read=4), True),
    "one half gates the other": (lambda: Chain(lambda x: functional.glu(x, 1), read=8), True),
    "deep in the noise": (lambda: Chain(lambda x: 1e-20 * x), True),
}  # fmt: skip


@pytest.mark.parametrize(("make", "is_cut"), MIXED.values(), ids=MIXED)
def test_a_cut_network_answers_as_before_whatever_mixes_its_channels(
    make: Callable[[], nn.Module], is_cut: bool
) -> None:
    torch.manual_seed(0)
    network = make()
    kill(network)
    first = network.get_parameter("first.weight").shape
    moved, gone = change_by_cut(network, SMALL)
    assert moved < 2e-6
    assert gone > 0
    assert is_cut or network.get_parameter("first.weight").shape == first


@pytest.mark.parametrize(
    ("name", "size"), [("test_vit", 160), ("test_convnext", 32), ("test_nfnet", 64), ("test_efficientnet_ln", 64)]
)
def test_networks_of_tokens_and_of_norms_over_channels_are_cut_and_answer_as_before(name: str, size: int) -> None:
    described = {**LENET, "source": "timm", "name": name, "in_chans": 3, "img_size": size}
    torch.manual_seed(0)
    network = factory.build_architecture(described)
    kill(network)
    moved, gone = change_by_cut(network, described)
    assert moved < 2e-6
    assert gone > 0


def test_answers_that_are_no_numbers_cut_nothing() -> None:
    torch.manual_seed(0)
    network = Chain(lambda x: x * float("nan"))
    kill(network)
    assert not dead(view(network, SMALL)).edits


def test_a_network_that_no_trace_follows_is_left_as_it_is() -> None:
    described = {**SMALL, "name": "resnet20", "activation": "maxout"}
    assert not dead(view(factory.build_architecture(described), described)).edits


def test_a_layer_keeps_one_channel_where_all_of_them_are_dead() -> None:
    torch.manual_seed(0)
    network = Chain(lambda x, layer: torch.cat([x, layer(x).relu()], 1), nn.Conv2d(16, 16, 1), read=32)
    with torch.no_grad():
        network.first.weight.zero_()
        network.layers[0].weight.zero_()
    moved, _ = change_by_cut(network, SMALL)
    assert moved < 2e-6
    assert len(network.first.weight) == len(network.layers[0].weight) == 1  # type: ignore[arg-type]
