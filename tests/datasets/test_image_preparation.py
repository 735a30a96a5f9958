"""Images too many for float32 come a batch at a time, with the same values."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from convarium.datasets import loading
from convarium.datasets.augment import Augmentation
from convarium.datasets.image_preparation import LazyImages
from convarium.datasets.loading import load_splits
from convarium.datasets.splits import LabelledImages
from convarium.datasets.train_batches import BatchSampler, ChunkLoader
from convarium.tasks.evaluate import evaluate_network

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "conf/dataset/digits.yaml").read_text())


@pytest.fixture(params=[{}, {"img_size": 12, "channels": 3}], ids=["as stored", "resized"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[LabelledImages, LabelledImages]:
    """The same part in memory and lazily."""
    described: dict[str, Any] = {**CONFIG, **request.param}
    whole = load_splits(described, None, ("train",)).train
    monkeypatch.setattr(loading, "MAX_IN_MEMORY_BYTES", 0)
    lazy = load_splits(described, None, ("train",)).train
    assert whole is not None
    assert lazy is not None
    assert isinstance(lazy.images, LazyImages)
    return whole, lazy


def test_lazy_images_are_indexed_and_sliced_like_a_tensor(both: tuple[LabelledImages, LabelledImages]) -> None:
    whole, lazy = both
    places = torch.tensor([5, 3, 900])
    assert lazy.images.shape == whole.images.shape
    assert len(lazy) == len(lazy.images) == len(whole)
    assert torch.equal(lazy.images[places], whole.images[places])
    assert torch.equal(lazy.images[10:20], whole.images[10:20])
    assert lazy.images[places].stride() == whole.images[places].stride()


def test_training_batches_are_the_same(both: tuple[LabelledImages, LabelledImages]) -> None:
    augmentation = Augmentation({"augmentation": "crop"}, torch.zeros(1), torch.ones(1))
    whole, lazy = (
        next(iter(ChunkLoader(part.to("cpu"), BatchSampler(len(part), 32, seed=0), augmentation, epoch=0)))
        for part in both
    )
    for position in (0, 7):
        batches = []
        for chunk in (whole, lazy):
            torch.manual_seed(position)
            batches.append(chunk.load_batch(position))
        assert all(torch.equal(*pair) for pair in zip(*batches, strict=True))


def test_evaluation_is_the_same(both: tuple[LabelledImages, LabelledImages]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(both[0].images[:1].numel(), 10))
    (correct, loss), (other, other_loss) = (evaluate_network(network, part) for part in both)
    assert torch.equal(correct, other)
    assert loss == other_loss


def test_lazy_images_can_be_normalised_anew(both: tuple[LabelledImages, LabelledImages]) -> None:
    lazy = both[1].images
    assert isinstance(lazy, LazyImages)
    channels = lazy.shape[1]
    plain = lazy.renormalise((0.0,) * channels, (1.0,) * channels)[:5]
    assert (plain.min().item(), plain.max().item()) == (0.0, 1.0)
