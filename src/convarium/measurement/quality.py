"""Quality and size of a compressed network, measured on its file alone.

`measure_file` runs in a fresh process (`runtime.run_fresh`), so it takes paths, never objects.
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
from convarium.measurement.answer_recorder import AnswerRecorder
from convarium.store.answers import write_answers
from convarium.tasks.evaluate import evaluate_network

Json = dict[str, Any]


def measure_file(
    path: str,
    dense_path: str | None,
    dataset: Mapping[str, Any],
    task: Mapping[str, Any],
    data_root: str | None,
    threads: int = 1,
    accelerator: str = "cpu",
    external_file: str | None = None,
    cache_folder: str | None = None,
    answers_file: str | None = None,
) -> Json:
    """Decode the network at `path` and measure it on `dataset`.

    Args:
        dense_path: the file of the comparison's dense network; None takes the size of this architecture's dense
            float32 file, and leaves `xz_bytes` None.
        data_root: the folder that holds the data.
        external_file: the same network in an external coder's file, whose size is measured instead; all of its bytes
            count as weights.
        cache_folder: the folder in which decoded images are kept.
        answers_file: where the class and the loss of each test image are written (`store.answers`).

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
    header = file.header
    network = container.materialise_network(file)
    check_file_fits_dataset(header, dataset, task, path)
    validation, test, skipped = load_measured_images(header, dataset, data_root, cache_folder)
    use_gpu = accelerator in ("auto", "gpu") and torch.cuda.is_available()
    move_network(network, torch.device("cuda" if use_gpu else "cpu"))
    recorder = AnswerRecorder()
    correct, loss = evaluate_network(network, test, observe_batch=recorder.add_batch)
    if answers_file:
        write_answers(Path(answers_file), recorder.build_answers(test.labels))
    validation_correct, _ = evaluate_network(network, validation)
    per_class = count_correct_by_class(correct, test.labels, dataset["classes"])
    validation_per_class = count_correct_by_class(validation_correct, validation.labels, dataset["classes"])
    coverage = compute_site_coverage(factory.build_architecture(header["architecture"], "meta"))
    cost = Cost(network, header["input"]["shape"])
    file_bytes = Path(external_file or path).stat().st_size
    if dense_path:
        dense_bytes, xz_bytes = _measure_dense_file(Path(dense_path))
    else:
        dense_bytes, xz_bytes = _measure_dense_bytes(header), None
    return {
        "metrics": {
            "accuracy": compute_share(correct),
            "validation_accuracy": compute_share(validation_correct),
            "balanced_accuracy": compute_balanced_accuracy(per_class),
            "validation_balanced_accuracy": compute_balanced_accuracy(validation_per_class),
            "loss": loss,
            "file_bytes": file_bytes,
            "dense_bytes": dense_bytes,
            "ratio": dense_bytes / file_bytes,
            "xz_bytes": xz_bytes,
            "parameters": cost.parameters,
            "nonzeros": cost.nonzeros,
            "macs": cost.macs,
        },
        "correct": np.packbits(correct.numpy()).tobytes().hex(),
        "images": len(correct),
        "per_class": per_class,
        "skipped": skipped,
        "coverage": coverage.share,
        "uncovered": coverage.other_shares,
        "bytes": {"weights": file_bytes} if external_file else file.bytes_by_kind,
    }


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
    header: Mapping[str, Any], dataset: Mapping[str, Any], data_root: str | None, cache_folder: str | None
) -> tuple[LabelledImages, LabelledImages, dict[str, int]]:
    """Return validation and test as a file's network takes them, and by part the number of files left out."""
    cache_path = Path(cache_folder) if cache_folder else None
    splits = load_splits(match_value_range(header, dataset), data_root, ("validation", "test"), cache_path)
    test = normalise_for_network(splits.test, splits, header)
    validation = normalise_for_network(splits.validation, splits, header)
    return validation, test, dict(splits.skipped)


def _measure_dense_bytes(header: Mapping[str, Any]) -> int:
    """Return the bytes of the architecture in a dense float32 file; they do not depend on the values."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dense.cvm"
        container.write_cvm(path, factory.build_architecture(header["architecture"]), {**header, "surgery": []}, {})
        return path.stat().st_size


def _measure_dense_file(path: Path) -> tuple[int, int]:
    """Return the bytes of a dense file, as it is and compressed by xz, a control that knows nothing of networks."""
    content = path.read_bytes()
    return len(content), len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


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


def compute_share(is_met: Tensor) -> float:
    """Return the share of a bool tensor that is true; of correct images, their accuracy."""
    return float(is_met.double().mean())
