"""Fixed stratified splits and nested subsets, of the sets that need no download."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from convarium.datasets.loading import load_splits
from convarium.datasets.splits import LabelledImages, Splits, compute_stratified_order
from convarium.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "dataset"
TRAIN, TEST = [7, 6, 9, 8, 2, 3, 4, 5, 0, 1, 7, 6], [2, 1, 8, 7, 9, 3, 6, 5, 4, 0, 2, 7]
ALL = ("train", "validation", "test")


def config(option: str, **changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load((CONF / f"{option}.yaml").read_text()), **changes}


def keys(part: LabelledImages | None) -> list[bytes]:
    assert part is not None
    return [image.numpy().tobytes() for image in part.images]


@pytest.fixture(scope="module")
def mnist5k() -> Splits:
    return load_splits(config("mnist5k"), None, ALL)


@pytest.mark.parametrize("name", ["mnist5k", "digits"])
def test_parts_have_the_sizes_the_config_says_and_share_no_image(name: str) -> None:
    described = config(name)
    splits = load_splits(described, None, ALL)
    parts = [keys(splits.train), keys(splits.validation), keys(splits.test)]
    assert [len(part) for part in parts] == [described["images"][part] for part in ALL]
    if name == "mnist5k":
        assert len(set().union(*parts)) == 5000


def test_every_part_of_mnist5k_has_all_classes_equally(mnist5k: Splits) -> None:
    for part, each in ((mnist5k.train, 350), (mnist5k.validation, 50), (mnist5k.test, 100)):
        assert part is not None
        assert part.labels.bincount().tolist() == [each] * 10
        assert part.labels[:20].unique().numel() > 5


def test_the_split_never_changes(mnist5k: Splits) -> None:
    assert mnist5k.train is not None
    assert mnist5k.test is not None
    assert mnist5k.train.labels[:12].tolist() == TRAIN
    assert mnist5k.test.labels[:12].tolist() == TEST


def test_training_images_are_normalised_and_typed(mnist5k: Splits) -> None:
    assert mnist5k.train is not None
    images = mnist5k.train.images
    assert (images.shape, images.dtype, mnist5k.train.labels.dtype) == ((3500, 1, 28, 28), torch.float32, torch.int64)
    assert abs(images.mean().item()) < 1e-4
    assert abs(images.std().item() - 1) < 1e-4


def test_only_the_parts_asked_for_are_there() -> None:
    splits = load_splits(config("digits"), None, ("test",))
    assert splits.train is None
    assert splits.validation is None
    assert splits.test is not None


def test_smaller_training_sets_lie_inside_larger_ones_and_stay_stratified(mnist5k: Splits) -> None:
    sizes = [100, 1000]
    few, more = (load_splits(config("mnist5k", train_size=size), None, ALL) for size in sizes)
    assert few.train is not None
    assert few.train.labels.bincount().tolist() == [10] * 10
    assert set(keys(few.train)) < set(keys(more.train)) < set(keys(mnist5k.train))
    assert keys(few.test) == keys(mnist5k.test)


def test_order_is_stratified_in_every_prefix_of_uneven_classes() -> None:
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    order = compute_stratified_order(labels, "x")
    assert sorted(order.tolist()) == list(range(100))
    for length in (10, 37, 50, 99):
        counts = labels[torch.from_numpy(order[:length])].bincount(minlength=3)
        assert (counts - length * torch.tensor([0.6, 0.3, 0.1])).abs().max() <= 1
    assert order.tolist() != compute_stratified_order(labels, "y").tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_size": 4000}, "dataset.train_size=4000: mnist5k has 1..3500 training images"),
        ({"fingerprint": "0" * 16}, "dataset.fingerprint=0000000000000000: the files of mnist5k have 1214fc7ae12c5e4d"),
        ({"fingerprint": None}, "dataset.fingerprint of mnist5k is missing"),
        ({"mean": [0.1, 0.2]}, "dataset.mean has 2 values for dataset.channels=1"),
        ({"name": "mnist6k"}, "datasets has no 'mnist6k'"),
    ],
)
def test_a_wrong_dataset_ends_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_splits(config("mnist5k", **change), None, ("train",))


def test_images_are_resized_and_given_channels() -> None:
    splits = load_splits(config("digits", img_size=16, channels=3), None, ("test",))
    assert splits.test is not None
    assert splits.test.images.shape == (300, 3, 16, 16)
    assert torch.equal(splits.test.images[:, 0], splits.test.images[:, 2])
    assert len(splits.mean) == len(splits.std) == 3
    native = load_splits(config("digits"), None, ("test",)).test
    assert native is not None
    assert torch.allclose(splits.test.images[:, :1].mean((2, 3)), native.images.mean((2, 3)), atol=0.05)
