"""What every dataset must do."""

import random
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from convarium.compose.points import compose_points
from convarium.datasets.loading import ALL_PARTS, load_splits
from convarium.datasets.splits import LabelledImages, Splits
from convarium.errors import UserError

DISJOINT_PARTS = ("train", "validation", "test")


class DatasetSuite:
    """Inherit it and name the dataset.

    Attributes:
        dataset: its name on the command line, such as "digits".
        overrides: such as "dataset.root=data".
        nested_train_sizes: two sizes of the training part, the smaller one first.
        max_duplicate_share: the share of test and validation images that may also be in another part: real sets hold
            some images twice.
        normalisation_tolerance: how far mean and deviation of the training images may be from 0 and 1.
    """

    dataset: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    nested_train_sizes: ClassVar[tuple[int, int]] = (20, 50)
    max_duplicate_share: ClassVar[float] = 0.0
    normalisation_tolerance: ClassVar[float] = 0.05

    @pytest.fixture(scope="class")
    def config(self) -> dict[str, Any]:
        """The dataset's complete config."""
        (point,) = compose_points((f"dataset={self.dataset}", *self.overrides)).check_points()
        config: dict[str, Any] = point.config["dataset"]
        return config

    @pytest.fixture(scope="class")
    def splits(self, config: dict[str, Any]) -> Splits:
        """All parts."""
        return load_parts(config)

    def test_images_and_labels_are_what_a_network_takes(self, config: dict[str, Any], splits: Splits) -> None:
        for part in ALL_PARTS:
            images, labels = get_part_tensors(splits, part)
            assert images.shape == (len(labels), config["channels"], config["img_size"], config["img_size"])
            assert images.dtype == torch.float32
            assert images.isfinite().all()
            assert labels.dtype == torch.int64
            assert set(labels.tolist()) == set(range(config["classes"])), part

    def test_sizes_are_those_of_the_config(self, config: dict[str, Any], splits: Splits) -> None:
        declared_sizes = config.get("images") or {}
        for part, size in declared_sizes.items():
            _, labels = get_part_tensors(splits, part)
            assert len(labels) == size, part

    def test_training_images_are_normalised(self, splits: Splits) -> None:
        images, _ = get_part_tensors(splits, "train")
        assert images.mean((0, 2, 3)).abs().max() < self.normalisation_tolerance
        assert (images.std((0, 2, 3)) - 1).abs().max() < self.normalisation_tolerance

    def test_no_image_is_in_two_parts(self, splits: Splits) -> None:
        digests = {part: hash_images(get_part_tensors(splits, part)[0]) for part in DISJOINT_PARTS}
        selection_digests = {*digests["train"], *digests["validation"]}
        for part, other_digests in (("test", selection_digests), ("validation", set(digests["train"]))):
            duplicate_count = sum(digest in other_digests for digest in digests[part])
            assert duplicate_count <= self.max_duplicate_share * len(digests[part])

    def test_splits_are_the_same_every_time(self, config: dict[str, Any], splits: Splits) -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        for part in ALL_PARTS:
            assert is_same_part(part, load_parts(config, (part,), splits), splits)

    def test_a_smaller_training_part_lies_inside_a_larger_one(self, config: dict[str, Any], splits: Splits) -> None:
        small_size, large_size = self.nested_train_sizes
        small = load_parts({**config, "train_size": small_size})
        large = load_parts({**config, "train_size": large_size})
        small_images, _ = get_part_tensors(small, "train")
        large_images, _ = get_part_tensors(large, "train")
        all_images, _ = get_part_tensors(splits, "train")
        assert len(small_images) == small_size
        assert set(hash_images(small_images)) <= set(hash_images(large_images)) <= set(hash_images(all_images))
        assert is_same_part("validation", small, splits)
        assert is_same_part("test", small, splits)

    def test_a_training_part_that_is_not_there_is_refused(self, config: dict[str, Any], splits: Splits) -> None:
        _, labels = get_part_tensors(splits, "train")
        with pytest.raises(UserError, match="train_size"):
            load_parts({**config, "train_size": len(labels) + 1})


def load_parts(
    config: dict[str, Any], parts: tuple[str, ...] = ALL_PARTS, normalised_like: Splits | None = None
) -> Splits:
    """Load parts of a dataset.

    Args:
        config: the dataset's.
        parts: those to load.
        normalised_like: has the mean and deviation to use. Without it, those that the config leaves open come from the
            training images, if these are among `parts`.
    """
    # The folder of the images is never hashed, so it is not in the config that stages get.
    stage_config = {key: value for key, value in config.items() if key != "root"}
    if normalised_like is not None:
        stage_config |= {"mean": list(normalised_like.mean), "std": list(normalised_like.std)}
    root = str(Path(config["root"])) if config.get("root") else None
    return load_splits(stage_config, root, parts)


def get_part_tensors(splits: Splits, part: str) -> tuple[Tensor, Tensor]:
    """Return the images of a part, (N, channels, side, side), and its labels."""
    labelled_images: LabelledImages = getattr(splits, part)
    return labelled_images.images[:], labelled_images.labels


def hash_images(images: Tensor) -> list[str]:
    """Return a hash of each image's values."""
    return [sha256(image.contiguous().numpy().tobytes()).hexdigest() for image in images]


def is_same_part(part: str, first: Splits, second: Splits) -> bool:
    """Whether a part has the same images and labels in the same order in both."""
    first_images, first_labels = get_part_tensors(first, part)
    second_images, second_labels = get_part_tensors(second, part)
    return torch.equal(first_images, second_images) and torch.equal(first_labels, second_labels)
