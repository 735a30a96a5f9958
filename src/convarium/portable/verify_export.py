"""Whether a file says what the stored network says, on real images.

Both are loaded from their files, in a process that saw neither being made (`workers.fresh_process`).
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convarium.cvm import container
from convarium.datasets.loading import load_splits, match_value_range
from convarium.datasets.splits import LabelledImages
from convarium.errors import UserError
from convarium.measurement.quality import normalise_for_network
from convarium.portable import loaders
from convarium.portable.exporter_output import format_root_cause
from convarium.portable.file_format import is_quantized

MAX_RELATIVE_DIFFERENCE = 1e-5
MAX_ACCURACY_DELTA_PP = 0.5
MAX_IMAGES_PER_SPLIT = 10_000
VERIFY_BATCH_SIZE = 250
COMPARED_SPLITS = ("validation", "test")

Json = dict[str, Any]


def compare_with_stored(
    path: str,
    stored: str,
    dataset: Mapping[str, Any],
    root: str | None,
    threads: int,
    cache: str | None = None,
) -> Json:
    """Run a file and a stored network on the images of validation and test, at most MAX_IMAGES_PER_SPLIT of each.

    Args:
        path: the file, in any format that `portable.loaders` knows.
        stored: a `.cvm`.
        dataset, root: which images, and where they lie.
        cache: the folder in which decoded images are kept.

    Returns:
        `difference`: max |a - b| over all images and classes, a and b the logits of file and stored network;
        `scale`: max |b|; `relative`: difference / scale; `agreement`: the share of images of the same class by both;
        `accuracy` by part of `file` and `stored`, and their greatest difference in percentage points; `images` by
        part; `parity` by its `measure` and `bound`: relative at most MAX_RELATIVE_DIFFERENCE, or of a file that
        computes in integers at most MAX_ACCURACY_DELTA_PP.

    Raises:
        UserError: a file can't be loaded, or can't be run on these images.
    """
    torch.set_num_threads(threads)
    file, rounded = container.read_cvm(Path(stored)), is_quantized(Path(path))
    reference, other = container.materialise_network(file), loaders.load_forward(Path(path), threads)
    splits = load_splits(match_value_range(file.header, dataset), root, COMPARED_SPLITS, Path(cache) if cache else None)
    chosen = {
        part: _select_spread_tensors(normalise_for_network(getattr(splits, part), splits, file.header))
        for part in COMPARED_SPLITS
    }
    with torch.inference_mode():
        both = {part: _compute_logits(path, other, reference, tensors) for part, tensors in chosen.items()}
    return _summarise_comparison(path, both, chosen, rounded)


def _summarise_comparison(
    path: str, both: Mapping[str, tuple[Tensor, Tensor]], chosen: Mapping[str, LabelledImages], is_quantized: bool
) -> Json:
    file, stored = (torch.cat([both[part][place] for part in COMPARED_SPLITS]) for place in (0, 1))
    difference, scale = float((file - stored).abs().max()), float(stored.abs().max())
    relative = difference / scale if scale else difference
    if not isfinite(relative):
        raise UserError(f"{path} gives logits that are not numbers")
    accuracy = {
        part: {
            name: _compute_accuracy(both[part][place], chosen[part].labels)
            for place, name in enumerate(("file", "stored"))
        }
        for part in COMPARED_SPLITS
    }
    delta_pp = round(max(100 * abs(one["file"] - one["stored"]) for one in accuracy.values()), 9)
    return {
        "parity": delta_pp <= MAX_ACCURACY_DELTA_PP if is_quantized else relative <= MAX_RELATIVE_DIFFERENCE,
        "measure": "pp" if is_quantized else "relative",
        "bound": MAX_ACCURACY_DELTA_PP if is_quantized else MAX_RELATIVE_DIFFERENCE,
        "difference": difference,
        "scale": scale,
        "relative": relative,
        "accuracy_delta_pp": delta_pp,
        "agreement": float((file.argmax(1) == stored.argmax(1)).double().mean()),
        "accuracy": accuracy,
        "images": {part: len(chosen[part]) for part in COMPARED_SPLITS},
    }


def _select_spread_tensors(tensors: LabelledImages) -> LabelledImages:
    """At most MAX_IMAGES_PER_SPLIT images, evenly from all."""
    if len(tensors) <= MAX_IMAGES_PER_SPLIT:
        return tensors
    places = torch.linspace(0, len(tensors) - 1, MAX_IMAGES_PER_SPLIT).long()
    return LabelledImages(tensors.images[places], tensors.labels[places])


def _compute_logits(
    path: str, run_exported: loaders.ForwardFunction, run_stored: loaders.ForwardFunction, tensors: LabelledImages
) -> tuple[Tensor, Tensor]:
    found = []
    for start in range(0, len(tensors), VERIFY_BATCH_SIZE):
        images = tensors.images[start : start + VERIFY_BATCH_SIZE]
        expected = run_stored(images)
        found.append((_run_exported(path, run_exported, images, expected), expected))
    return torch.cat([one for one, _ in found]), torch.cat([one for _, one in found])


def _run_exported(path: str, run_exported: loaders.ForwardFunction, images: Tensor, expected: Tensor) -> Tensor:
    try:
        logits = run_exported(images)
    except Exception as error:
        raise UserError(
            f"{path} can't be run on images of {list(images.shape[1:])}: {format_root_cause(error)}"
        ) from None
    if not isinstance(logits, Tensor) or logits.shape != expected.shape:
        raise UserError(f"{path} doesn't give {expected.shape[1]} logits for an image, as the stored network does")
    return logits.float()


def _compute_accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
