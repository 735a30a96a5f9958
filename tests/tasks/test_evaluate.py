"""Evaluation equals going through the images one by one."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from convarium.datasets.splits import LabelledImages
from convarium.tasks.evaluate import evaluate_network


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 3))


@pytest.fixture
def images() -> LabelledImages:
    generator = torch.Generator().manual_seed(1)
    return LabelledImages(torch.randn(23, 1, 8, 8, generator=generator), torch.randint(3, (23,), generator=generator))


@pytest.mark.parametrize("batch_size", [5, 23, 500])
def test_equals_one_image_after_the_other(network: nn.Module, images: LabelledImages, batch_size: int) -> None:
    correct, loss = evaluate_network(network, images, batch_size)
    network.eval()
    logits = torch.cat([network(image[None]) for image in images.images]).detach()
    assert correct.dtype == torch.bool
    assert torch.equal(correct, logits.argmax(1) == images.labels)
    assert loss == pytest.approx(functional.cross_entropy(logits.double(), images.labels).item(), rel=1e-6)


def test_leaves_modes_statistics_and_gradients_as_they_were(network: nn.Module, images: LabelledImages) -> None:
    network.train()
    network[1].eval()  # type: ignore[index]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate_network(network, images)
    assert [module.training for module in network] == [True, False, True, True, True]  # type: ignore[union-attr]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
