"""What is measured: the network that a file holds, and the images of a dataset as that network takes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convarium.architectures.unsaved_tensors import move_network
from convarium.cvm import container
from convarium.datasets.image_preparation import LazyImages
from convarium.datasets.loading import load_splits, match_value_range
from convarium.datasets.splits import LabelledImages, Splits
from convarium.errors import UserError


def read_measured_network(
    path: str, dataset: Mapping[str, Any], task: Mapping[str, Any], threads: int, accelerator: str
) -> tuple[container.CompressedFile, nn.Module]:
    """Return a file and its decoded network, on the device on which it is measured.

    Args:
        threads: for torch, in this whole process.
        accelerator: the config's `runtime.accelerator`; auto and gpu take a GPU where there is one.

    Raises:
        UserError: the file is damaged, or its network does not fit the dataset.
    """
    torch.set_num_threads(threads)
    file = container.read_cvm(Path(path))
    network = container.materialise_network(file)
    check_file_fits_dataset(file.header, dataset, task, path)
    use_gpu = accelerator in ("auto", "gpu") and torch.cuda.is_available()
    return file, move_network(network, torch.device("cuda" if use_gpu else "cpu"))


def check_file_fits_dataset(
    header: Mapping[str, Any], dataset: Mapping[str, Any], task: Mapping[str, Any], path: str
) -> None:
    """Raise UserError where a file's network is for another task, other classes or other images than the dataset's."""
    task_name, classes = header["task"], header["classes"]
    if isinstance(task_name, Mapping):
        task_name = task_name["name"]
    class_count = classes if isinstance(classes, int) else len(classes)
    if task_name != task["name"]:
        raise UserError(f"{path} holds a network for {task_name}, not for task={task['name']}")
    if class_count != dataset["classes"]:
        raise UserError(f"{path} has {class_count} classes, dataset={dataset['name']} has {dataset['classes']}")
    image_side = dataset.get("img_size") or dataset.get("native_size")
    dataset_shape = [dataset["channels"], image_side, image_side]
    input_shape = list(header["input"]["shape"])
    if input_shape != dataset_shape:
        input_text = "x".join(map(str, input_shape))
        dataset_text = "x".join(map(str, dataset_shape))
        raise UserError(
            f"{path} takes images of {input_text}, dataset={dataset['name']} has {dataset_text}; see dataset.img_size"
        )


def load_measured_images(
    header: Mapping[str, Any],
    dataset: Mapping[str, Any],
    data_root: str | None,
    cache_folder: str | None,
    parts: Sequence[str],
) -> tuple[list[LabelledImages], dict[str, int]]:
    """Return each of the parts as a file's network takes its images, and by part the number of files left out.

    Raises:
        UserError: the data are missing or damaged, or the dataset has no images for a part.
    """
    cache_path = Path(cache_folder) if cache_folder else None
    splits = load_splits(match_value_range(header, dataset), data_root, tuple(parts), cache_path)
    images = [normalise_for_network(getattr(splits, part), splits, header) for part in parts]
    return images, dict(splits.skipped)


def normalise_for_network(data: LabelledImages | None, splits: Splits, header: Mapping[str, Any]) -> LabelledImages:
    """Normalise images by the mean and std of the file's network, which may have been trained on other data."""
    if data is None:
        raise UserError("the dataset has no such images to measure on")
    mean, std = header["input"]["mean"], header["input"]["std"]
    if [*mean, *std] == [*splits.mean, *splits.std]:
        return data  # undoing and redoing the same normalisation would round
    if isinstance(data.images, LazyImages):
        return LabelledImages(data.images.renormalise(tuple(mean), tuple(std)), data.labels)
    pixels = data.images * _shape_as_channels(splits.std) + _shape_as_channels(splits.mean)
    normalised = (pixels - _shape_as_channels(mean)) / _shape_as_channels(std)
    return LabelledImages(normalised, data.labels)


def _shape_as_channels(values: Any) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32).view(1, -1, 1, 1)
