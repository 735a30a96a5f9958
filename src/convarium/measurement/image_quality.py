"""How well a network classifies the images of one part of a dataset."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from convarium.datasets.splits import LabelledImages
from convarium.measurement.accuracy_by_class import ClassCounts, compute_balanced_accuracy, count_correct_by_class
from convarium.tasks.evaluate import evaluate_network


@dataclass(frozen=True)
class ImageQuality:
    """What a network does on the images of a part.

    Attributes:
        correct: which images are classified correctly, bool (N,).
        loss: the mean cross-entropy, in nats.
        per_class: each class's images, and those of them that are right.
    """

    correct: Tensor
    loss: float
    per_class: ClassCounts

    @property
    def accuracy(self) -> float:
        """The share of images that are classified correctly."""
        return compute_share(self.correct)

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the classes' accuracies."""
        return compute_balanced_accuracy(self.per_class)


def measure_image_quality(
    network: nn.Module,
    data: LabelledImages,
    classes: int,
    observe_batch: Callable[[Tensor, Tensor], None] | None = None,
) -> ImageQuality:
    """Run a network on images; `observe_batch` as `evaluate_network` calls it."""
    correct, loss = evaluate_network(network, data, observe_batch=observe_batch)
    return ImageQuality(correct, loss, count_correct_by_class(correct, data.labels, classes))


def compute_share(is_met: Tensor) -> float:
    """Return the share of a bool tensor that is true; of correct images, their accuracy."""
    return float(is_met.double().mean())
