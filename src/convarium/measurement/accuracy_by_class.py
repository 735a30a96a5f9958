"""How well each class is told: counts by label, and the mean of the classes' accuracies."""

from collections.abc import Mapping, Sequence

from torch import Tensor

ClassCounts = dict[str, list[int]]


def count_correct_by_class(correct: Tensor, labels: Tensor, classes: int) -> ClassCounts:
    """Return how many images each class has and how many of them are right; correct is bool (N,), labels int64 (N,)."""
    known = labels.cpu()
    return {
        "images": known.bincount(minlength=classes).tolist(),
        "right": known[correct].bincount(minlength=classes).tolist(),
    }


def compute_balanced_accuracy(counts: Mapping[str, Sequence[int]]) -> float:
    """Return the balanced accuracy: the mean of the accuracies of those classes that have images."""
    shares = [right / images for right, images in zip(counts["right"], counts["images"], strict=True) if images]
    return sum(shares) / len(shares)
