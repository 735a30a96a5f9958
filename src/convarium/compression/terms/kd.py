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
    """Return the term of the loss (1 - w) cross-entropy + w tau^2 KL(teacher || student) at temperature tau.

    The fit adds the task's loss itself, so the term is w (tau^2 KL - loss). The teacher is in eval mode.

    Raises:
        UserError: the teacher has another number of classes, or takes images of another shape or normalisation.
    """
    file = container.read_cvm(context.references["teacher"])
    _check_teacher(file.header, context)
    teacher = container.materialise_network(file).requires_grad_(False)
    weight = context.knobs["weight"]
    temperature = context.knobs["temperature"]
    # Without augmentation every epoch shows the same pixels, so that one pass of the teacher does for all.
    train_logits = None if context.is_augmented else _compute_train_logits(teacher, context)

    # The device is not known before the first batch.
    @cache
    def get_teacher_on(device: torch.device) -> nn.Module:
        return move_network(teacher, device)

    def compute_teacher_logits(batch: Batch) -> Tensor:
        if train_logits is not None:
            return train_logits[batch.indices]
        with torch.no_grad():
            logits: Tensor = get_teacher_on(batch.images.device)(batch.images)
        return logits

    def term(batch: Batch) -> Tensor:
        teacher_logits = compute_teacher_logits(batch).to(batch.logits.device)
        scaled_kl = compute_scaled_kl(batch.logits, teacher_logits, temperature)
        return scaled_kl.sub(batch.loss).mul(weight)

    return term


def compute_scaled_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return tau^2 KL(softmax(teacher / tau) || softmax(student / tau)) in nats, the mean over images.

    The factor tau^2 makes up for gradients of soft targets, which shrink by 1 / tau^2 (section 2 of the paper).

    Args:
        student: logits (N, classes).
        teacher: likewise.
        temperature: tau, positive.
    """
    log_student = functional.log_softmax(student.float() / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=1)
    return temperature**2 * functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def _check_teacher(header: Mapping[str, Any], context: TermContext) -> None:
    classes = header["classes"]  # their number or their names
    num_classes = classes if isinstance(classes, int) else len(classes)
    if num_classes != context.num_classes:
        raise UserError(
            f"kd.teacher has {num_classes} classes, its student {context.num_classes}: name another teacher"
        )
    teacher_input = header["input"]
    if teacher_input["shape"] != list(_get_training_images(context).shape[1:]):
        raise UserError(
            f"kd.teacher takes images of {teacher_input['shape']}, its student others: name another teacher"
        )
    splits = context.splits
    if [*teacher_input["mean"], *teacher_input["std"]] != [*splits.mean, *splits.std]:
        raise UserError("kd.teacher was trained on images normalised in another way: name a teacher of this dataset")


def _get_training_images(context: TermContext) -> ImageTensors:
    assert context.splits.train is not None
    return context.splits.train.images


def _compute_train_logits(teacher: nn.Module, context: TermContext) -> Tensor:
    """The teacher's logits on all training images, (N, classes), in their order."""
    images = _get_training_images(context)
    starts = range(0, len(images), TEACHER_BATCH_SIZE)
    with torch.no_grad():
        return torch.cat([teacher(images[start : start + TEACHER_BATCH_SIZE]) for start in starts])
