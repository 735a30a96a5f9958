"""A teacher for other classes or images, and a step that trains without images, are refused before anything runs."""

import json
from pathlib import Path

import pytest

from command_lines import HERE
from convarium.cli import main
from convarium.compose.points import compose_points
from convarium.planning.validate import validate_points
from stages.stage_harness import TINY_TRAINING


@pytest.fixture
def signature(here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A network that was trained on digits: 1x8x8, ten classes."""
    assert main(["run", *TINY_TRAINING, "recipe.epochs=1", *HERE, "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    return str(run["signature"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["dataset.img_size=10"], "takes images of 1x8x8, its student of 1x10x10: name another teacher"),
        (["dataset.channels=3"], "takes images of 1x8x8, its student of 3x8x8: name another teacher"),
        (
            ["dataset=cifar100", "dataset.root=data", "dataset.train_size=null"],
            "has 10 classes, its student 100",
        ),
        (["dataset.mean=[0.5]"], "was trained on images normalised in another way: name a teacher of this dataset"),
    ],
)
@pytest.mark.parametrize(
    ("method", "where"),
    [
        (["compression=kd"], "compression.kd.teacher"),
        (["compression=magnitude", "compression.magnitude.terms=[kd]"], "compression.magnitude.kd.teacher"),
    ],
)
def test_a_teacher_of_something_else(
    changed: list[str], said: str, method: list[str], where: str, signature: str
) -> None:
    base = [text for text in TINY_TRAINING if text.partition("=")[0] not in {one.partition("=")[0] for one in changed}]
    teacher = f"{where}.signature={signature}"
    assert validate_points(compose_points([*TINY_TRAINING, *method, teacher, *HERE]).points) == {}
    (reason,) = validate_points(compose_points([*base, *changed, *method, teacher, *HERE]).points).values()
    assert reason.startswith(f"{where} {said}")


def test_a_teacher_that_is_trained_in_the_same_sweep_sees_what_its_student_does(here: Path) -> None:
    teacher = ("compression.kd.teacher.architecture=mlp", "compression.kd.teacher.seed=1")
    assert validate_points(compose_points([*TINY_TRAINING, "compression=kd", *teacher]).points) == {}
