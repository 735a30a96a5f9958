"""Neurons that no longer matter are cut, and the network computes what it did."""

import pytest
import torch
from torch import nn

from convarium.architectures import library
from convarium.compression import change, edits
from convarium.compression.deciders.dead import dead
from convarium.compression.deciders.view import View
from convarium.compression.sites import resolve

LENET = {
    "source": "own", "name": "lenet5", "in_chans": 1, "num_classes": 10, "img_size": 28, "stem": "native", "kwargs": {},
}  # fmt: skip


def view(network: nn.Module, architecture: dict[str, object]) -> View:
    step = {"method": "pruning/x", "sites": ["*"]}
    size = [architecture["in_chans"], architecture["img_size"], architecture["img_size"]]
    header = {"architecture": architecture, "input": {"shape": size}, "surgery": []}
    return View(
        resolve(network, step),
        {},
        {},
        step,
        1.0,
        torch.Generator(),
        network,
        header,
        data=lambda: None,  # type: ignore[arg-type, return-value]
    )


@pytest.fixture
def lenet() -> nn.Module:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return library.build(LENET)


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
    change.carry_out(lenet, decision)
    assert lenet.get_parameter("fc1.weight").shape == (300, 45 * 16)
    assert lenet.get_parameter("conv2.weight").shape[0] == 45
    assert torch.allclose(logits(lenet), before, atol=1e-5)
    again = library.build(LENET)
    edits.apply(again, decision.edits)
    again.load_state_dict(lenet.state_dict())
    assert torch.equal(logits(again), logits(lenet))


@torch.no_grad()
def test_what_only_dead_neurons_need_goes_too(lenet: nn.Module) -> None:
    lenet.get_parameter("fc2.weight")[:, 3:] = 0
    lenet.get_parameter("fc1.weight")[:, 16:] = 0  # three neurons look at the first channel only
    change.carry_out(lenet, dead(view(lenet, LENET)))
    assert lenet.get_parameter("fc1.weight").shape == (3, 16)
    assert lenet.get_parameter("conv2.weight").shape[0] == 1


@torch.no_grad()
def test_a_network_without_dead_neurons_stays_as_it_is(lenet: nn.Module) -> None:
    assert not dead(view(lenet, LENET)).edits


@torch.no_grad()
def test_a_constant_under_zero_padding_stays() -> None:
    architecture = {**LENET, "name": "resnet20"}
    torch.manual_seed(0)
    network = library.build(architecture)
    block = next(name for name, module in network.named_modules() if name.endswith("conv1") and "." in name)
    network.get_submodule(block).weight[:4] = 0
    for tensor in network.parameters():
        if tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
    before = logits(network)
    change.carry_out(network, dead(view(network, architecture)))
    assert torch.allclose(logits(network), before, atol=1e-4)
