"""Knowledge distillation (Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", section 2)."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.loose_tensors import move
from convarium.compression.file import container
from convarium.compression.terms.context import Context
from convarium.datasets.splits import Images
from convarium.errors import UserError
from convarium.tasks.batch import Batch, Term

PART = 500


def kd(context: Context) -> Term:
    """(1 - w) cross-entropy + w tau^2 KL(teacher || student) at temperature tau, the teacher in eval mode.

    The task's loss is in the sum already, so the term is w (tau^2 KL - loss).

    Raises:
        UserError: the teacher has other classes, or takes other images.
    """
    file = container.read(context.references["teacher"])
    _check(file.header, context)
    teacher = container.network(file).requires_grad_(False)
    weight, temperature = context.knobs["weight"], context.knobs["temperature"]
    known = None if context.augmented else _logits(teacher, context)
    on = cache(lambda device: move(teacher, device))

    def term(batch: Batch) -> Tensor:
        with torch.no_grad():
            target = on(batch.images.device)(batch.images) if known is None else known[batch.indices]
        softened = divergence(batch.logits, target.to(batch.logits.device), temperature)
        return softened.sub(batch.loss).mul(weight)

    return term


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """tau^2 KL(softmax(teacher / tau) || softmax(student / tau)), mean over images; logits (N, classes), in nats."""
    log_student = functional.log_softmax(student.float() / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=1)
    return temperature**2 * functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def _check(header: Mapping[str, Any], context: Context) -> None:
    classes = header["classes"] if isinstance(header["classes"], int) else len(header["classes"])
    if classes != context.classes:
        raise UserError(f"kd.teacher has {classes} classes, its student {context.classes}: name another teacher")
    taught, splits = header["input"], context.splits
    if taught["shape"] != list(_images(context).shape[1:]):
        raise UserError(f"kd.teacher takes images of {taught['shape']}, its student others: name another teacher")
    if [*taught["mean"], *taught["std"]] != [*splits.mean, *splits.std]:
        raise UserError("kd.teacher was trained on images normalised in another way: name a teacher of this dataset")


def _images(context: Context) -> Images:
    assert context.splits.train is not None
    return context.splits.train.images


def _logits(teacher: nn.Module, context: Context) -> Tensor:
    """The teacher's logits on all training images (N, classes): without augmentation it need not look twice."""
    images = _images(context)
    with torch.no_grad():
        return torch.cat([teacher(images[start : start + PART]) for start in range(0, len(images), PART)])
