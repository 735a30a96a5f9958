"""What a network is worth under an executor: its quality again, as the executor computes it, and the executor's model.

`execute_file` runs in a fresh process (`runtime.run_fresh`) and is told paths, never objects.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convarium.cvm import container
from convarium.datasets.loading import load_splits, match_value_range
from convarium.datasets.splits import LabelledImages
from convarium.measurement import executor_models
from convarium.measurement.quality import check_file_fits_dataset, normalise_for_network

Json = dict[str, Any]
EXECUTION_BATCH_SIZE = 100


def execute_file(
    path: str,
    executor: str,
    dataset: Mapping[str, Any],
    task: Mapping[str, Any],
    calibration_images: int,
    folder: str,
    root: str | None,
    threads: int = 1,
    cache: str | None = None,
) -> Json:
    """Make the model that `executor` runs of the network at `path`, keep it in `folder`, and measure it on `dataset`.

    Args:
        calibration_images: of validation, evenly spread, by which activations of 8 bits are calibrated.
        root: where the data lie.
        cache: the folder in which decoded images are kept.

    Returns:
        `metrics` (accuracy and loss on test; agreement, the share of test images that are classified as eager does;
        bytes of what the executor runs), `correct` (hex of np.packbits over the test images), `images` (of test).

    Raises:
        UserError: the file is damaged, does not fit the dataset, or the executor can't run it.
    """
    file = Path(path)
    header = container.read_cvm(file).header
    check_file_fits_dataset(header, dataset, task, path)
    parts, kept = ("validation", "test"), Path(cache) if cache else None
    splits = load_splits(match_value_range(header, dataset), root, parts, kept)
    test, validation = (normalise_for_network(part, splits, header) for part in (splits.test, splits.validation))
    model = executor_models.prepare_model(
        executor, file, _select_spread_images(validation, calibration_images), Path(folder)
    )
    loaded = executor_models.load_model(executor, model, threads)
    eager = executor_models.load_model("eager", file, threads)
    answers, loss = _predict_classes(loaded.compute_logits, test)
    usual, _ = _predict_classes(eager.compute_logits, test)
    known, _ = _predict_classes(loaded.compute_logits, validation)
    correct = answers == test.labels
    return {
        "metrics": {
            "accuracy": _compute_share(correct),
            "validation_accuracy": _compute_share(known == validation.labels),
            "loss": loss,
            "agreement": _compute_share(answers == usual),
            "model_bytes": loaded.count_model_bytes(),
        },
        "correct": np.packbits(correct.numpy()).tobytes().hex(),
        "images": len(correct),
    }


def _predict_classes(logits: Callable[[Tensor], Tensor], tensors: LabelledImages) -> tuple[Tensor, float]:
    """Return each image's class, int64 (N,), and the mean cross-entropy in nats, by EXECUTION_BATCH_SIZE images."""
    found, total = [], 0.0
    for start in range(0, len(tensors), EXECUTION_BATCH_SIZE):
        part = slice(start, start + EXECUTION_BATCH_SIZE)
        labels, images = tensors.labels[part], tensors.images[part]
        answer = logits(_pad_batch(images))[: len(labels)]
        found.append(answer.argmax(1))
        total += functional.cross_entropy(answer, labels, reduction="sum").item()
    return torch.cat(found), total / len(tensors)


def _pad_batch(images: Tensor) -> Tensor:
    """Repeat the last image up to EXECUTION_BATCH_SIZE: another number of images would be compiled again."""
    missing = EXECUTION_BATCH_SIZE - len(images)
    return torch.cat([images, images[-1:].expand(missing, *images.shape[1:])]) if missing else images


def _select_spread_images(tensors: LabelledImages, count: int) -> Tensor:
    places = torch.linspace(0, len(tensors) - 1, min(count, len(tensors))).round().long()
    return tensors.images[places]


def _compute_share(right: Tensor) -> float:
    return float(right.double().mean())
