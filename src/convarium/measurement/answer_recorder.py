"""What a network answers to each image, collected batch by batch while it is evaluated."""

import torch
from torch import Tensor
from torch.nn import functional

from convarium.store.answers import ImageAnswers


class AnswerRecorder:
    """Keeps each image's class and loss, and no logits: 10,000 images of 1,000 classes would be 40 MB."""

    def __init__(self) -> None:
        self._predicted: list[Tensor] = []
        self._losses: list[Tensor] = []

    def add_batch(self, logits: Tensor, labels: Tensor) -> None:
        """Take the answers of a batch, from its logits (B, classes) and labels (B,)."""
        self._predicted.append(logits.argmax(1).cpu())
        self._losses.append(functional.cross_entropy(logits, labels, reduction="none").cpu())

    def build_answers(self, labels: Tensor) -> ImageAnswers:
        """Return the answers to all images, whose labels are int64 (N,)."""
        predicted, losses = torch.cat(self._predicted), torch.cat(self._losses)
        return ImageAnswers(labels.cpu().numpy(), predicted.numpy(), losses.float().numpy())
