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
        dataset: as it is typed, such as "digits".
        overrides: further ones, such as "dataset.root=data".
        nested_train_sizes: two sizes of the training part, the smaller one first.
        max_duplicate_share: the share of test and validation images that may also be among those of another part:
            genuine sets hold some images twice.
        normalisation_tolerance: of mean 0 and deviation 1 of the training images.
    """

    dataset: ClassVar[str]
    overrides: ClassVar[tuple[str, ...]] = ()
    nested_train_sizes: ClassVar[tuple[int, int]] = (20, 50)
    max_duplicate_share: ClassVar[float] = 0.0
    normalisation_tolerance: ClassVar[float] = 0.05

    @pytest.fixture(scope="class")
    def config(self) -> dict[str, Any]:
        """Return the dataset's config, complete."""
        config: dict[str, Any] = (
            compose_points((f"dataset={self.dataset}", *self.overrides)).check_points()[0].config["dataset"]
        )
        return config

    @pytest.fixture(scope="class")
    def splits(self, config: dict[str, Any]) -> Splits:
        """Return all parts."""
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
        declared = config.get("images") or {}
        whole = {part: len(get_part_tensors(splits, part)[1]) for part in ALL_PARTS}
        assert {part: whole[part] for part in declared} == declared

    def test_training_images_are_normalised(self, splits: Splits) -> None:
        images, _ = get_part_tensors(splits, "train")
        assert images.mean((0, 2, 3)).abs().max() < self.normalisation_tolerance
        assert (images.std((0, 2, 3)) - 1).abs().max() < self.normalisation_tolerance

    def test_no_image_is_in_two_parts(self, splits: Splits) -> None:
        found = {part: hash_images(get_part_tensors(splits, part)[0]) for part in DISJOINT_PARTS}
        for part, others in (("test", ("train", "validation")), ("validation", ("train",))):
            among = set().union(*(found[other] for other in others))
            twice = sum(digest in among for digest in found[part])
            assert twice <= self.max_duplicate_share * len(found[part])

    def test_splits_are_the_same_every_time(self, config: dict[str, Any], splits: Splits) -> None:
        for seed in (1,):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            for part in ALL_PARTS:
                assert is_same_part(part, load_parts(config, (part,), splits), splits)

    def test_a_smaller_training_part_lies_inside_a_larger_one(self, config: dict[str, Any], splits: Splits) -> None:
        small, large = (load_parts({**config, "train_size": size}) for size in self.nested_train_sizes)
        first, second, whole = (set(hash_images(get_part_tensors(one, "train")[0])) for one in (small, large, splits))
        assert len(get_part_tensors(small, "train")[1]) == self.nested_train_sizes[0]
        assert first <= second <= whole
        assert all(is_same_part(part, small, splits) for part in ("validation", "test"))

    def test_a_training_part_that_is_not_there_is_refused(self, config: dict[str, Any], splits: Splits) -> None:
        too_many = len(get_part_tensors(splits, "train")[1]) + 1
        with pytest.raises(UserError, match="train_size"):
            load_parts({**config, "train_size": too_many})


def load_parts(
    config: dict[str, Any], parts: tuple[str, ...] = ALL_PARTS, normalised_like: Splits | None = None
) -> Splits:
    """Load parts, normalised as others are where the config leaves that open."""
    given = (
        config
        if normalised_like is None
        else {**config, "mean": list(normalised_like.mean), "std": list(normalised_like.std)}
    )
    root = str(Path(config["root"])) if config.get("root") else None
    return load_splits({key: value for key, value in given.items() if key != "root"}, root, parts)


def get_part_tensors(splits: Splits, part: str) -> tuple[Tensor, Tensor]:
    """Return images and labels of a part."""
    found: LabelledImages = getattr(splits, part)
    return found.images[:], found.labels


def hash_images(images: Tensor) -> list[str]:
    """Return what tells images apart by content."""
    return [sha256(image.contiguous().numpy().tobytes()).hexdigest() for image in images]


def is_same_part(part: str, one: Splits, other: Splits) -> bool:
    """Whether a part has the same images and labels in the same order."""
    first, second = get_part_tensors(one, part), get_part_tensors(other, part)
    return all(torch.equal(left, right) for left, right in zip(first, second, strict=True))
