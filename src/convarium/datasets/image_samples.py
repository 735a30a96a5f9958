"""Some test images of a dataset, to look at: nothing is downloaded, only the files that are asked for are decoded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convarium.datasets.downloads import forbid_downloads
from convarium.datasets.loading import Reader
from convarium.datasets.pixel_cache import decode_files, find_cached_pixels
from convarium.datasets.reader_check import check_reader_result
from convarium.datasets.splits import ImagePaths, RawImages
from convarium.errors import UserError
from convarium.lookup import find_by_name, is_outside_name


def read_test_samples(
    dataset: Mapping[str, Any],
    indices: Sequence[int],
    labels: NDArray[Any],
    root: str | None = None,
    cache: Path | None = None,
) -> NDArray[np.uint8]:
    """Return the test images at `indices` as they are stored, uint8 (n, H, W, C).

    Args:
        labels: of all test images when they were measured (N,), by which other images are noticed.
        root: the folder that holds the data.
        cache: the folder in which decoded images are kept.

    Raises:
        UserError: the images are not here, or not those that were measured.
    """
    test: RawImages | ImagePaths | None = find_cached_pixels(dataset, "test", cache)
    if test is None:
        if is_outside_name(dataset["name"]):  # a record of the store must not decide what code is imported
            raise UserError(f"dataset {dataset['name']}: readers of outside packages don't run for a report")
        reader: Reader = find_by_name("datasets", dataset["name"])
        with forbid_downloads():
            result = reader(dataset, Path(root) if root else None, ("test",))
        test = check_reader_result(result, ("test",), dataset)["test"]
    if not np.array_equal(test.labels.numpy(), labels):
        raise UserError(f"dataset {dataset['name']}: its test images are not those that were measured")
    positions = torch.tensor(indices, dtype=torch.int64)
    if isinstance(test, ImagePaths):
        paths = tuple(test.paths[index] for index in indices)
        test = decode_files(ImagePaths(paths, test.labels[positions]), dataset, "test", None)
        positions = torch.arange(len(paths))
    pixels = test.images[positions].double() * (255 / test.white_level)
    return pixels.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
