"""What a network is worth under an executor: its quality again, as the executor computes it, and the executor's model.

`execute_file` runs in a fresh process (`runtime.fresh`) and is told paths, never objects.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convarium import datasets
from convarium.compression.file import container
from convarium.datasets.splits import Tensors
from convarium.measurement import models
from convarium.measurement.quality import as_trained, check_fits

Json = dict[str, Any]
AT_ONCE = 100


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
        cache: the folder in which decoded pictures are kept.

    Returns:
        `metrics` (accuracy and loss on test; agreement, the share of test images that are classified as eager does;
        bytes of what the executor runs), `correct` (hex of np.packbits over the test images), `images` (of test).

    Raises:
        UserError: the file is damaged, does not fit the dataset, or the executor can't run it.
    """
    file = Path(path)
    header = container.read(file).header
    check_fits(header, dataset, task, path)
    parts, kept = ("validation", "test"), Path(cache) if cache else None
    splits = datasets.load(datasets.scaled_for(header, dataset), root, parts, kept)
    test, validation = (as_trained(part, splits, header) for part in (splits.test, splits.validation))
    model = models.made(executor, file, _spread(validation, calibration_images), Path(folder))
    loaded = models.loaded(executor, model, threads)
    eager = models.loaded("eager", file, threads)
    answers, loss = _answers(loaded.logits, test)
    usual, _ = _answers(eager.logits, test)
    known, _ = _answers(loaded.logits, validation)
    correct = answers == test.labels
    return {
        "metrics": {
            "accuracy": _share(correct),
            "validation_accuracy": _share(known == validation.labels),
            "loss": loss,
            "agreement": _share(answers == usual),
            "model_bytes": loaded.model_bytes(),
        },
        "correct": np.packbits(correct.numpy()).tobytes().hex(),
        "images": len(correct),
    }


def _answers(logits: Callable[[Tensor], Tensor], tensors: Tensors) -> tuple[Tensor, float]:
    """Return each image's class, int64 (N,), and the mean cross-entropy in nats; always AT_ONCE images at a time."""
    found, total = [], 0.0
    for start in range(0, len(tensors), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        labels, images = tensors.labels[part], tensors.images[part]
        answer = logits(_filled(images))[: len(labels)]
        found.append(answer.argmax(1))
        total += functional.cross_entropy(answer, labels, reduction="sum").item()
    return torch.cat(found), total / len(tensors)


def _filled(images: Tensor) -> Tensor:
    """Repeat the last image up to AT_ONCE: another number of images would be compiled again."""
    missing = AT_ONCE - len(images)
    return torch.cat([images, images[-1:].expand(missing, *images.shape[1:])]) if missing else images


def _spread(tensors: Tensors, count: int) -> Tensor:
    places = torch.linspace(0, len(tensors) - 1, min(count, len(tensors))).round().long()
    return tensors.images[places]


def _share(right: Tensor) -> float:
    return float(right.double().mean())
