"""Accuracy by class: correct images by label, and the balanced accuracy."""

from collections.abc import Mapping, Sequence

from torch import Tensor

ClassCounts = dict[str, list[int]]


def count_correct_by_class(correct: Tensor, labels: Tensor, classes: int) -> ClassCounts:
    """Count each class's images, and those of them that are classified correctly.

    Args:
        correct: bool (N,), on the CPU.
        labels: int64 (N,).
    """
    labels = labels.cpu()
    return {
        "images": labels.bincount(minlength=classes).tolist(),
        "right": labels[correct].bincount(minlength=classes).tolist(),
    }


def compute_balanced_accuracy(counts: Mapping[str, Sequence[int]]) -> float:
    """Return the balanced accuracy: the mean of the accuracies of those classes that have images."""
    counts_by_class = zip(counts["right"], counts["images"], strict=True)
    accuracies = [correct / images for correct, images in counts_by_class if images]
    return sum(accuracies) / len(accuracies)
