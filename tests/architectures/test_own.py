"""Our own networks: their size, their shapes, what they refuse."""

from typing import Any

import pytest
import torch
from torch import nn

from convarium.architectures import factory
from convarium.architectures.dry_run import dry_run_architecture
from convarium.errors import UserError


def own(name: str, channels: int = 1, side: int = 28, **kwargs: Any) -> dict[str, Any]:
    shape = {"in_chans": channels, "num_classes": 10, "img_size": side}
    return {"source": "own", "name": name, "stem": "native", "kwargs": kwargs, **shape}


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        (own("lenet5"), 431_080),
        (own("lenet300_100"), 266_610),
        (own("resnet20", 3, 32), 269_722),
        (own("mlp", hidden=[256]), 203_530),
        (own("mlp", side=8, hidden=[]), 650),
    ],
    ids=["lenet5", "lenet300_100", "resnet20", "mlp", "softmax"],
)
def test_parameters_are_those_published(architecture: dict[str, Any], parameters: int) -> None:
    assert size(factory.build_architecture(architecture)) == parameters
    assert size(factory.build_architecture(architecture, device="meta")) == parameters


@pytest.mark.parametrize("name", ["lenet5", "lenet300_100", "mlp", "resnet20"])
def test_every_network_learns_from_images_of_another_shape(name: str) -> None:
    network = factory.build_architecture(own(name, channels=3, side=24))
    output = network(torch.randn(2, 3, 24, 24))
    nn.functional.cross_entropy(output, torch.tensor([1, 7])).backward()
    assert output.shape == (2, 10)
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_same_random_state_gives_the_same_weights() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(factory.build_architecture(own("resnet20")))
    assert all(torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in networks), strict=True))


def test_resnet20_shortcut_takes_every_second_pixel_and_adds_zero_channels() -> None:
    block = factory.build_architecture(own("resnet20")).stage2[0]  # type: ignore[union-attr, index]
    images = torch.arange(16.0 * 16).reshape(1, 16, 4, 4)
    shortcut = block.compute_shortcut(images)
    assert shortcut.shape == (1, 32, 2, 2)
    assert torch.equal(shortcut[:, 8:24], images[:, :, ::2, ::2])
    assert shortcut[:, :8].count_nonzero() == shortcut[:, 24:].count_nonzero() == 0


def test_lenet5_works_at_the_smallest_size_and_names_it_below() -> None:
    assert dry_run_architecture(own("lenet5", side=16))
    with pytest.raises(UserError, match="at least 16 pixels a side"):
        factory.build_architecture(own("lenet5", side=15))


@pytest.mark.parametrize("name", ["densenet_bc_100", "densenet_bc_190_40", "densenet_40_12"])
def test_densenets_are_refused_below_their_smallest_size_by_their_names(name: str) -> None:
    assert dry_run_architecture(own(name, side=4))
    with pytest.raises(UserError, match=f"^{name} needs images of at least 4 pixels a side"):
        factory.build_architecture(own(name, side=3), "meta")


def test_mlp_has_the_layers_it_is_told() -> None:
    network = factory.build_architecture(own("mlp", side=8, hidden=[5, 4], activation="tanh"))
    assert [m.out_features for m in network.modules() if isinstance(m, nn.Linear)] == [5, 4, 10]
    assert sum(isinstance(m, nn.Tanh) for m in network.modules()) == 2
