"""The answers of a measured network: the class and the loss of each test image, in a file beside its record.

The record has which images are right, for every comparison to read; what only a report shows stays out of it.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What numpy, zipfile and zlib raise of files that are cut off or something else.
DAMAGE_ERRORS = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ImageAnswers:
    """Answers to test images, in their order.

    Attributes:
        labels: the right classes, whole numbers (images,).
        predicted: the classes that the network says, whole numbers (images,).
        losses: cross-entropy in nats (images,).
    """

    labels: NDArray[Any]
    predicted: NDArray[Any]
    losses: NDArray[Any]


def write_answers(path: Path, answers: ImageAnswers) -> None:
    """Write answers compressed, the losses as 16-bit floats: 30 kB for 10,000 images."""
    np.savez_compressed(
        path,
        labels=_shrink_classes(answers.labels),
        predicted=_shrink_classes(answers.predicted),
        losses=answers.losses.clip(max=np.finfo(np.float16).max).astype(np.float16),
    )


def read_answers(path: Path) -> ImageAnswers | None:
    """Read answers; None where there are none, as of networks measured before they were kept, or they are damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels, predicted, losses = (arrays[name] for name in ("labels", "predicted", "losses"))
    except DAMAGE_ERRORS:
        return None
    if not labels.shape == predicted.shape == losses.shape:
        return None
    return ImageAnswers(labels.astype(np.int64), predicted.astype(np.int64), losses.astype(np.float64))


def _shrink_classes(classes: NDArray[Any]) -> NDArray[Any]:
    return classes.astype(np.min_scalar_type(int(classes.max(initial=0))))
