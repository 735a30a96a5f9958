"""What a compressed network is worth: its quality and its bytes, from the file alone.

`measure_file` runs in a fresh process (`runtime.run_fresh`) and is told paths, never objects.
"""

import lzma
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convarium.architectures import factory
from convarium.architectures.unsaved_tensors import move_network
from convarium.compression.coverage import compute_site_coverage
from convarium.cost.network_cost import Cost
from convarium.cvm import container
from convarium.datasets.image_preparation import LazyImages
from convarium.datasets.loading import load_splits, match_value_range
from convarium.datasets.splits import LabelledImages, Splits
from convarium.errors import UserError
from convarium.measurement.accuracy_by_class import compute_balanced_accuracy, count_correct_by_class
from convarium.tasks.evaluate import evaluate_network

Json = dict[str, Any]


def measure_file(
    path: str,
    dense_path: str | None,
    dataset: Mapping[str, Any],
    task: Mapping[str, Any],
    root: str | None,
    threads: int = 1,
    accelerator: str = "cpu",
    outside: str | None = None,
    cache: str | None = None,
) -> Json:
    """Decode the network at `path` and measure it on `dataset`.

    Args:
        dense_path: the file of the comparison's dense network; None takes the size of this architecture's dense
            float32 file, and leaves `xz_bytes` None.
        root: where the data lie.
        outside: the same network in the file of another coder: its bytes count, all of them as weights.
        cache: the folder in which decoded images are kept.

    Returns:
        `metrics` (accuracy and loss on test; loss in nats; sizes in bytes; MACs of one image), `correct` (hex of
        np.packbits over the test images), `images` (of test), `per_class` (by label: how many test `images`, how many
        of them `right`), `bytes` by kind, which add up to `file_bytes`, `skipped` (by part: files left out),
        `coverage` and `uncovered`: the share of the dense network's weights that methods can work on, and the shares of
        the rest by type of layer.

    Raises:
        UserError: the file is damaged, or its network does not fit the dataset.
    """
    torch.set_num_threads(threads)
    file = container.read_cvm(Path(path))
    network = container.materialise_network(file)
    check_file_fits_dataset(file.header, dataset, task, path)
    parts, kept = ("validation", "test"), Path(cache) if cache else None
    splits = load_splits(match_value_range(file.header, dataset), root, parts, kept)
    move_network(network, _select_device(accelerator))
    test, validation = (normalise_for_network(part, splits, file.header) for part in (splits.test, splits.validation))
    correct, loss = evaluate_network(network, test)
    right, _ = evaluate_network(network, validation)
    per_class = count_correct_by_class(correct, test.labels, dataset["classes"])
    coverage = compute_site_coverage(factory.build_architecture(file.header["architecture"], "meta"))
    cost = Cost(network, file.header["input"]["shape"])
    size = Path(outside or path).stat().st_size
    dense_bytes = Path(dense_path).stat().st_size if dense_path else _measure_dense_bytes(file.header)
    return {
        "metrics": {
            "accuracy": _average_correct(correct),
            "validation_accuracy": _average_correct(right),
            "balanced_accuracy": compute_balanced_accuracy(per_class),
            "validation_balanced_accuracy": compute_balanced_accuracy(
                count_correct_by_class(right, validation.labels, dataset["classes"])
            ),
            "loss": loss,
            "file_bytes": size,
            "dense_bytes": dense_bytes,
            "ratio": dense_bytes / size,
            "xz_bytes": _measure_xz_bytes(Path(dense_path)) if dense_path else None,
            "parameters": cost.parameters,
            "nonzeros": cost.nonzeros,
            "macs": cost.macs,
        },
        "correct": np.packbits(correct.numpy()).tobytes().hex(),
        "images": len(correct),
        "per_class": per_class,
        "skipped": dict(splits.skipped),
        "coverage": coverage.share,
        "uncovered": coverage.other_shares,
        "bytes": {"weights": size} if outside else file.bytes_by_kind,
    }


def check_file_fits_dataset(
    header: Mapping[str, Any], dataset: Mapping[str, Any], task: Mapping[str, Any], path: str
) -> None:
    """Raise UserError where a file's network is for another task, other classes or other images than the dataset's."""
    name = header["task"]["name"] if isinstance(header["task"], Mapping) else header["task"]
    classes = header["classes"] if isinstance(header["classes"], int) else len(header["classes"])
    size = dataset.get("img_size") or dataset.get("native_size")
    shape = [dataset["channels"], size, size]
    if name != task["name"]:
        raise UserError(f"{path} holds a network for {name}, not for task={task['name']}")
    if classes != dataset["classes"]:
        raise UserError(f"{path} has {classes} classes, dataset={dataset['name']} has {dataset['classes']}")
    if list(header["input"]["shape"]) != shape:
        takes, has = ("x".join(map(str, numbers)) for numbers in (header["input"]["shape"], shape))
        raise UserError(f"{path} takes images of {takes}, dataset={dataset['name']} has {has}; see dataset.img_size")


def _measure_dense_bytes(header: Mapping[str, Any]) -> int:
    """Return the bytes of the architecture in a dense float32 file; they do not depend on the values."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dense.cvm"
        container.write_cvm(path, factory.build_architecture(header["architecture"]), {**header, "surgery": []}, {})
        return path.stat().st_size


def _select_device(accelerator: str) -> torch.device:
    return torch.device("cuda" if accelerator in ("auto", "gpu") and torch.cuda.is_available() else "cpu")


def normalise_for_network(tensors: LabelledImages | None, splits: Splits, header: Mapping[str, Any]) -> LabelledImages:
    """Normalise the images as the network was trained, where that was on other data than these."""
    if tensors is None:
        raise UserError("the dataset has no such images to measure on")
    mean, std = header["input"]["mean"], header["input"]["std"]
    if [*mean, *std] == [*splits.mean, *splits.std]:
        return tensors
    if isinstance(tensors.images, LazyImages):
        return LabelledImages(tensors.images.renormalise(tuple(mean), tuple(std)), tensors.labels)
    pixels = tensors.images * _shape_as_channels(splits.std) + _shape_as_channels(splits.mean)
    return LabelledImages((pixels - _shape_as_channels(mean)) / _shape_as_channels(std), tensors.labels)


def _shape_as_channels(values: Any) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32).view(1, -1, 1, 1)


def _average_correct(correct: Tensor) -> float:
    return float(correct.double().mean())


def _measure_xz_bytes(path: Path) -> int:
    return len(lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
