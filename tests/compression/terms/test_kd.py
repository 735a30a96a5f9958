"""The distillation term is Hinton's loss, its teacher is read from a file and never trained."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from convarium.architectures import factory
from convarium.compression.terms.context import TermContext
from convarium.compression.terms.kd import compute_scaled_kl, kd
from convarium.cvm import container
from convarium.datasets.splits import LabelledImages, Splits
from convarium.errors import UserError
from convarium.tasks.batch import Batch

MLP = {
    "source": "own", "name": "mlp", "in_chans": 1, "num_classes": 3, "img_size": 4, "stem": "native",
    "kwargs": {"hidden": [5]},
}  # fmt: skip


def splits(count: int = 12) -> Splits:
    generator = torch.Generator().manual_seed(0)
    train = LabelledImages(torch.randn(count, 1, 4, 4, generator=generator), torch.arange(count) % 3)
    return Splits(train, None, None, (0.5,), (0.25,))


def teacher(folder: Path, **changed: object) -> Path:
    given = {"shape": [1, 4, 4], "mean": [0.5], "std": [0.25]} | changed
    path = folder / "teacher.cvm"
    torch.manual_seed(1)
    header = {"architecture": MLP, "task": "classification", "classes": 3, "input": given, "surgery": []}
    container.write_cvm(path, factory.build_architecture(MLP), header, {})
    return path


def context(path: Path, augmented: bool = False, classes: int = 3) -> TermContext:
    return TermContext({"temperature": 4.0, "weight": 0.7}, {"teacher": path}, splits(), classes, augmented)


def batch(places: list[int]) -> Batch:
    data = splits().train
    assert data is not None
    torch.manual_seed(2)
    network, indices = factory.build_architecture(MLP), torch.tensor(places)
    images, labels = data.images[indices], data.labels[indices]
    logits = network(images)
    return Batch(network, images, labels, indices, logits, functional.cross_entropy(logits, labels))


@pytest.mark.parametrize("augmented", [False, True], ids=["logits known beforehand", "teacher sees the same pixels"])
def test_the_loss_with_the_term_is_that_of_the_paper(augmented: bool, tmp_path: Path) -> None:
    path, given = teacher(tmp_path), batch([7, 2, 11])
    target = torch.softmax(container.load_cvm(path)(given.images) / 4.0, 1)
    soft = torch.softmax(given.logits / 4.0, 1)
    by_hand = 0.3 * given.loss + 0.7 * 16 * (target * (target.log() - soft.log())).sum(1).mean()
    assert torch.allclose(given.loss + kd(context(path, augmented))(given), by_hand, atol=1e-6)


def test_a_student_that_is_its_teacher_has_nothing_to_learn() -> None:
    logits = torch.randn(5, 10)
    assert float(compute_scaled_kl(logits, logits, 3.0)) == pytest.approx(0.0, abs=1e-6)


def test_gradients_keep_their_size_whatever_the_temperature() -> None:
    student, target = torch.randn(64, 10, requires_grad=True), torch.randn(64, 10)
    sizes = []
    for temperature in (5.0, 20.0):
        (gradient,) = torch.autograd.grad(compute_scaled_kl(student, target, temperature), student)
        sizes.append(float(gradient.norm()))
    assert sizes[0] / sizes[1] == pytest.approx(1.0, rel=0.2)


@pytest.mark.parametrize(
    ("changed", "classes", "said"),
    [
        ({}, 4, "kd.teacher has 3 classes, its student 4"),
        ({"std": [0.5]}, 3, "normalised in another way"),
    ],
)
def test_a_teacher_of_something_else_is_refused(
    changed: dict[str, object], classes: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        kd(context(teacher(tmp_path, **changed), classes=classes))
