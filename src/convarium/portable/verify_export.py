"""Comparison of an exported file with the stored network that it was made from, on real images.

Both are loaded from their files in a fresh process (`workers.fresh_process`), which has seen neither being made.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from convarium.cvm import container
from convarium.datasets.loading import load_splits, match_value_range
from convarium.datasets.splits import LabelledImages
from convarium.errors import UserError
from convarium.measurement.measured_network import normalise_for_network
from convarium.portable import loaders
from convarium.portable.exporter_output import format_root_cause
from convarium.portable.file_format import is_quantized

MAX_RELATIVE_DIFFERENCE = 1e-5  # of the largest logit: what float32 sums in another order differ by
MAX_ACCURACY_DELTA_PP = 0.5
MAX_IMAGES_PER_SPLIT = 10_000
VERIFY_BATCH_SIZE = 250  # images
COMPARED_SPLITS = ("validation", "test")

Json = dict[str, Any]


class _LogitPair(NamedTuple):
    """Logits of the exported file and of the stored network for the same images, both (N, classes)."""

    file: Tensor
    stored: Tensor


def compare_with_stored(
    path: str,
    stored: str,
    dataset: Mapping[str, Any],
    root: str | None,
    threads: int,
    cache: str | None = None,
) -> Json:
    """Compare a file's logits with a stored network's on the images of validation and test.

    Args:
        path: the file, in any format that `portable.loaders` reads.
        stored: the stored network's `.cvm`.
        dataset: config of the dataset; at most MAX_IMAGES_PER_SPLIT images of each split are used.
        root: folder of the dataset's files.
        threads: of torch and of onnxruntime.
        cache: folder of decoded images.

    Returns:
        `difference`: max |a - b| over all images and classes, a and b the logits of file and stored network;
        `scale`: max |b|; `relative`: difference / scale; `agreement`: the share of images to which both give the same
        class; `accuracy` by split of `file` and `stored`, and `accuracy_delta_pp`, the largest difference of the two
        in percentage points; `images`: their number by split; `parity`: whether the file's `measure` is within its
        `bound`: relative within MAX_RELATIVE_DIFFERENCE, or pp within MAX_ACCURACY_DELTA_PP for a file that computes
        in integers.

    Raises:
        UserError: a file can't be loaded, or can't be run on these images.
    """
    torch.set_num_threads(threads)
    stored_file = container.read_cvm(Path(stored))
    is_integer_file = is_quantized(Path(path))
    run_stored = container.materialise_network(stored_file)
    run_exported = loaders.load_forward(Path(path), threads)
    cache_folder = Path(cache) if cache else None
    splits = load_splits(match_value_range(stored_file.header, dataset), root, COMPARED_SPLITS, cache_folder)
    compared_images = {}
    for split in COMPARED_SPLITS:
        normalised = normalise_for_network(getattr(splits, split), splits, stored_file.header)
        compared_images[split] = _select_spread_images(normalised)
    with torch.inference_mode():
        logits = {
            split: _compute_logits(path, run_exported, run_stored, images) for split, images in compared_images.items()
        }
    return _summarise_comparison(path, logits, compared_images, is_integer_file)


def _summarise_comparison(
    path: str,
    logits: Mapping[str, _LogitPair],
    compared_images: Mapping[str, LabelledImages],
    is_integer_file: bool,
) -> Json:
    """Return what `compare_with_stored` returns, from logits and images by split."""
    file_logits = torch.cat([logits[split].file for split in COMPARED_SPLITS])
    stored_logits = torch.cat([logits[split].stored for split in COMPARED_SPLITS])
    difference = float((file_logits - stored_logits).abs().max())
    scale = float(stored_logits.abs().max())
    relative = difference / scale if scale else difference
    if not isfinite(relative):
        raise UserError(f"{path} gives logits that are not numbers")
    accuracy = {}
    for split in COMPARED_SPLITS:
        labels = compared_images[split].labels
        accuracy[split] = {
            "file": _compute_accuracy(logits[split].file, labels),
            "stored": _compute_accuracy(logits[split].stored, labels),
        }
    deltas_pp = [100 * abs(by_network["file"] - by_network["stored"]) for by_network in accuracy.values()]
    delta_pp = round(max(deltas_pp), 9)  # 0.5 pp is 0.5, not the 0.5000000000000004 of binary fractions
    if is_integer_file:
        measure, bound, is_within_bound = "pp", MAX_ACCURACY_DELTA_PP, delta_pp <= MAX_ACCURACY_DELTA_PP
    else:
        measure, bound, is_within_bound = "relative", MAX_RELATIVE_DIFFERENCE, relative <= MAX_RELATIVE_DIFFERENCE
    same_class = file_logits.argmax(1) == stored_logits.argmax(1)
    return {
        "parity": is_within_bound,
        "measure": measure,
        "bound": bound,
        "difference": difference,
        "scale": scale,
        "relative": relative,
        "accuracy_delta_pp": delta_pp,
        "agreement": float(same_class.double().mean()),
        "accuracy": accuracy,
        "images": {split: len(compared_images[split]) for split in COMPARED_SPLITS},
    }


def _select_spread_images(tensors: LabelledImages) -> LabelledImages:
    """Return at most MAX_IMAGES_PER_SPLIT images, evenly spread over all."""
    if len(tensors) <= MAX_IMAGES_PER_SPLIT:
        return tensors
    positions = torch.linspace(0, len(tensors) - 1, MAX_IMAGES_PER_SPLIT).long()
    return LabelledImages(tensors.images[positions], tensors.labels[positions])


def _compute_logits(
    path: str, run_exported: loaders.ForwardFunction, run_stored: loaders.ForwardFunction, tensors: LabelledImages
) -> _LogitPair:
    file_batches, stored_batches = [], []
    for start in range(0, len(tensors), VERIFY_BATCH_SIZE):
        images = tensors.images[start : start + VERIFY_BATCH_SIZE]
        stored_logits = run_stored(images)
        file_batches.append(_run_exported(path, run_exported, images, stored_logits))
        stored_batches.append(stored_logits)
    return _LogitPair(torch.cat(file_batches), torch.cat(stored_batches))


def _run_exported(path: str, run_exported: loaders.ForwardFunction, images: Tensor, stored_logits: Tensor) -> Tensor:
    try:
        logits = run_exported(images)
    except Exception as error:
        raise UserError(
            f"{path} can't be run on images of {list(images.shape[1:])}: {format_root_cause(error)}"
        ) from None
    if not isinstance(logits, Tensor) or logits.shape != stored_logits.shape:
        raise UserError(f"{path} doesn't give {stored_logits.shape[1]} logits for an image, as the stored network does")
    return logits.float()


def _compute_accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
