"""Quality of a network as an executor computes it, and the model that the executor runs.

`execute_file` runs in a fresh process (`runtime.run_fresh`), so it takes paths, never objects.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convarium.cvm import container
from convarium.datasets.splits import LabelledImages
from convarium.measurement import executor_models
from convarium.measurement.image_quality import compute_share
from convarium.measurement.measured_network import check_file_fits_dataset, load_measured_images

Json = dict[str, Any]
EXECUTION_BATCH_SIZE = 100


def execute_file(
    path: str,
    executor: str,
    dataset: Mapping[str, Any],
    task: Mapping[str, Any],
    calibration_images: int,
    folder: str,
    data_root: str | None,
    threads: int = 1,
    cache_folder: str | None = None,
) -> Json:
    """Make the model that `executor` runs of the network at `path`, keep it in `folder`, and measure it on `dataset`.

    Args:
        calibration_images: number of validation images, evenly spread, on which 8-bit activations are calibrated.
        data_root: the folder that holds the data.
        cache_folder: the folder in which decoded images are kept.

    Returns:
        `metrics` (accuracy and loss on test; agreement, the share of test images that are classified as eager does;
        bytes of what the executor runs), `correct` (hex of np.packbits over the test images), `images` (of test).

    Raises:
        UserError: the file is damaged, does not fit the dataset, or the executor can't run it.
    """
    file = Path(path)
    header = container.read_cvm(file).header
    check_file_fits_dataset(header, dataset, task, path)
    parts = ("validation", "test")
    (validation, test), _ = load_measured_images(header, dataset, data_root, cache_folder, parts)
    calibration = _select_spread_images(validation, calibration_images)
    model_file = executor_models.prepare_model(executor, file, calibration, Path(folder))
    model = executor_models.load_model(executor, model_file, threads)
    eager_model = executor_models.load_model("eager", file, threads)
    predicted, loss = _predict_classes(model.compute_logits, test)
    eager_predicted, _ = _predict_classes(eager_model.compute_logits, test)
    validation_predicted, _ = _predict_classes(model.compute_logits, validation)
    correct = predicted == test.labels
    return {
        "metrics": {
            "accuracy": compute_share(correct),
            "validation_accuracy": compute_share(validation_predicted == validation.labels),
            "loss": loss,
            "agreement": compute_share(predicted == eager_predicted),
            "model_bytes": model.count_model_bytes(),
        },
        "correct": np.packbits(correct.numpy()).tobytes().hex(),
        "images": len(correct),
    }


def _predict_classes(compute_logits: Callable[[Tensor], Tensor], data: LabelledImages) -> tuple[Tensor, float]:
    """Return each image's class, int64 (N,), and the mean cross-entropy in nats, by EXECUTION_BATCH_SIZE images."""
    class_batches, loss_sum = [], 0.0
    for start in range(0, len(data), EXECUTION_BATCH_SIZE):
        batch = slice(start, start + EXECUTION_BATCH_SIZE)
        labels = data.labels[batch]
        logits = compute_logits(_pad_batch(data.images[batch]))[: len(labels)]
        class_batches.append(logits.argmax(1))
        loss_sum += functional.cross_entropy(logits, labels, reduction="sum").item()
    return torch.cat(class_batches), loss_sum / len(data)


def _pad_batch(images: Tensor) -> Tensor:
    """Repeat the last image up to EXECUTION_BATCH_SIZE images."""
    # `compiled` compiles once for each shape, so a smaller last batch would cost a second compilation.
    missing = EXECUTION_BATCH_SIZE - len(images)
    if not missing:
        return images
    return torch.cat([images, images[-1:].expand(missing, *images.shape[1:])])


def _select_spread_images(data: LabelledImages, count: int) -> Tensor:
    indices = torch.linspace(0, len(data) - 1, min(count, len(data))).round().long()
    return data.images[indices]
