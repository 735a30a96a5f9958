"""Whether a file says what the stored network says, on real images.

Both are loaded from their files, in a process that saw neither being made (`store.fresh`).
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convarium import datasets
from convarium.compression.file import container
from convarium.datasets.splits import Tensors
from convarium.errors import UserError
from convarium.measurement.quality import as_trained
from convarium.portable import served
from convarium.portable.content import is_rounded
from convarium.portable.silence import first_line

BOUND = 1e-5
MAX_ACCURACY_DELTA_PP = 0.5
MOST = 10_000
AT_ONCE = 250
PARTS = ("validation", "test")

Json = dict[str, Any]


def compare(
    path: str,
    stored: str,
    dataset: Mapping[str, Any],
    root: str | None,
    threads: int,
    cache: str | None = None,
) -> Json:
    """Run a file and a stored network on the images of validation and test, at most MOST of each.

    Args:
        path: the file, in any format that `portable.served` knows.
        stored: a `.cvm`.
        dataset, root: which images, and where they lie.
        cache: the folder in which decoded pictures are kept.

    Returns:
        `difference`: max |a - b| over all images and classes, a and b the logits of file and stored network;
        `scale`: max |b|; `relative`: difference / scale; `agreement`: the share of images of the same class by both;
        `accuracy` by part of `file` and `stored`, and their greatest difference in percentage points; `images` by
        part; `parity` by its `measure` and `bound`: relative at most BOUND, or of a file that computes in integers
        at most MAX_ACCURACY_DELTA_PP.

    Raises:
        UserError: a file can't be loaded, or can't be run on these images.
    """
    torch.set_num_threads(threads)
    file, rounded = container.read(Path(stored)), is_rounded(Path(path))
    reference, other = container.network(file), served.serve(Path(path), threads)
    splits = datasets.load(datasets.scaled_for(file.header, dataset), root, PARTS, Path(cache) if cache else None)
    chosen = {part: _some(as_trained(getattr(splits, part), splits, file.header)) for part in PARTS}
    with torch.inference_mode():
        both = {part: _logits(path, other, reference, tensors) for part, tensors in chosen.items()}
    return _judged(path, both, chosen, rounded)


def _judged(path: str, both: Mapping[str, tuple[Tensor, Tensor]], chosen: Mapping[str, Tensors], rounded: bool) -> Json:
    file, stored = (torch.cat([both[part][place] for part in PARTS]) for place in (0, 1))
    difference, scale = float((file - stored).abs().max()), float(stored.abs().max())
    relative = difference / scale if scale else difference
    if not isfinite(relative):
        raise UserError(f"{path} gives logits that are not numbers")
    accuracy = {
        part: {name: _accuracy(both[part][place], chosen[part].labels) for place, name in enumerate(("file", "stored"))}
        for part in PARTS
    }
    delta_pp = round(max(100 * abs(one["file"] - one["stored"]) for one in accuracy.values()), 9)
    return {
        "parity": delta_pp <= MAX_ACCURACY_DELTA_PP if rounded else relative <= BOUND,
        "measure": "pp" if rounded else "relative",
        "bound": MAX_ACCURACY_DELTA_PP if rounded else BOUND,
        "difference": difference,
        "scale": scale,
        "relative": relative,
        "accuracy_delta_pp": delta_pp,
        "agreement": float((file.argmax(1) == stored.argmax(1)).double().mean()),
        "accuracy": accuracy,
        "images": {part: len(chosen[part]) for part in PARTS},
    }


def _some(tensors: Tensors) -> Tensors:
    """At most MOST images, evenly from all."""
    if len(tensors) <= MOST:
        return tensors
    places = torch.linspace(0, len(tensors) - 1, MOST).long()
    return Tensors(tensors.images[places], tensors.labels[places])


def _logits(path: str, file: served.Network, stored: served.Network, tensors: Tensors) -> tuple[Tensor, Tensor]:
    found = []
    for start in range(0, len(tensors), AT_ONCE):
        images = tensors.images[start : start + AT_ONCE]
        expected = stored(images)
        found.append((_ran(path, file, images, expected), expected))
    return torch.cat([one for one, _ in found]), torch.cat([one for _, one in found])


def _ran(path: str, file: served.Network, images: Tensor, expected: Tensor) -> Tensor:
    try:
        logits = file(images)
    except Exception as error:
        raise UserError(f"{path} can't be run on images of {list(images.shape[1:])}: {first_line(error)}") from None
    if not isinstance(logits, Tensor) or logits.shape != expected.shape:
        raise UserError(f"{path} doesn't give {expected.shape[1]} logits for an image, as the stored network does")
    return logits.float()


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
