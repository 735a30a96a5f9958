"""Knowledge distillation (Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", section 2)."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.unsaved_tensors import move_network
from convarium.compression.terms.context import TermContext
from convarium.cvm import container
from convarium.datasets.splits import ImageTensors
from convarium.errors import UserError
from convarium.tasks.batch import Batch, Term

TEACHER_BATCH_SIZE = 500


def kd(context: TermContext) -> Term:
    """(1 - w) cross-entropy + w tau^2 KL(teacher || student) at temperature tau, the teacher in eval mode.

    The task's loss is in the sum already, so the term is w (tau^2 KL - loss).

    Raises:
        UserError: the teacher has other classes, or takes other images.
    """
    file = container.read_cvm(context.references["teacher"])
    _check_teacher(file.header, context)
    teacher = container.materialise_network(file).requires_grad_(False)
    weight, temperature = context.knobs["weight"], context.knobs["temperature"]
    known = None if context.is_augmented else _compute_teacher_logits(teacher, context)
    on = cache(lambda device: move_network(teacher, device))

    def term(batch: Batch) -> Tensor:
        with torch.no_grad():
            target = on(batch.images.device)(batch.images) if known is None else known[batch.indices]
        softened = compute_scaled_kl(batch.logits, target.to(batch.logits.device), temperature)
        return softened.sub(batch.loss).mul(weight)

    return term


def compute_scaled_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """tau^2 KL(softmax(teacher / tau) || softmax(student / tau)), mean over images; logits (N, classes), in nats."""
    log_student = functional.log_softmax(student.float() / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=1)
    return temperature**2 * functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def _check_teacher(header: Mapping[str, Any], context: TermContext) -> None:
    classes = header["classes"] if isinstance(header["classes"], int) else len(header["classes"])
    if classes != context.num_classes:
        raise UserError(f"kd.teacher has {classes} classes, its student {context.num_classes}: name another teacher")
    taught, splits = header["input"], context.splits
    if taught["shape"] != list(_get_training_images(context).shape[1:]):
        raise UserError(f"kd.teacher takes images of {taught['shape']}, its student others: name another teacher")
    if [*taught["mean"], *taught["std"]] != [*splits.mean, *splits.std]:
        raise UserError("kd.teacher was trained on images normalised in another way: name a teacher of this dataset")


def _get_training_images(context: TermContext) -> ImageTensors:
    assert context.splits.train is not None
    return context.splits.train.images


def _compute_teacher_logits(teacher: nn.Module, context: TermContext) -> Tensor:
    """The teacher's logits on all training images (N, classes): without augmentation it need not look twice."""
    images = _get_training_images(context)
    with torch.no_grad():
        return torch.cat(
            [teacher(images[start : start + TEACHER_BATCH_SIZE]) for start in range(0, len(images), TEACHER_BATCH_SIZE)]
        )
