"""`architecture.pretrained=true`: training begins with the weights that a library publishes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convarium.architectures import factory
from convarium.architectures.weights import Weights
from convarium.compose.points import compose_points
from convarium.cvm import container
from convarium.errors import UserError
from stages.stage_harness import StageHarness, plan_command_nodes

NETWORK = ("architecture=timm", "architecture.name=test_resnet")
DATA = ("dataset=digits", "dataset.channels=3", "dataset.img_size=32", "dataset.train_size=64", "recipe.epochs=1")
STILL = ("recipe.lr=0", "recipe.weight_decay=0", "recipe.warmup_epochs=0", "recipe.momentum=0")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Weights for a thousand classes, in place of a download."""
    torch.manual_seed(7)
    described = compose_points([*NETWORK, *DATA]).check_points()[0].config["architecture"]
    tensors = factory.build_architecture({**described, "num_classes": 1000}).state_dict()
    monkeypatch.setattr(factory, "fetch_pretrained", lambda _: Weights(dict(tensors), mean=MEAN, std=STD))
    return tensors


def test_all_but_the_classifier_is_the_library_s_and_so_is_the_normalisation(
    published: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    train, *_ = plan_command_nodes(*NETWORK, *DATA, *STILL, "architecture.pretrained=true")
    bench = StageHarness(tmp_path)
    bench.run_stage(train)
    file = container.read_cvm(bench.network_path(train))
    assert "pretrained" not in file.header["architecture"]
    assert [tuple(file.header["input"][key]) for key in ("mean", "std")] == [MEAN, STD]
    found = container.materialise_network(file).state_dict()
    parameters = [name for name, _ in container.materialise_network(file).named_parameters()]
    differing = [name for name in parameters if not torch.equal(found[name], published[name])]
    assert differing == ["fc.weight", "fc.bias"]


def test_it_is_another_network_than_one_trained_from_the_seed() -> None:
    fresh, _, _ = (plan_command_nodes(*NETWORK, *DATA, text)[0] for text in ("seed=0", "seed=1", "seed=2"))
    begun, _ = plan_command_nodes(*NETWORK, *DATA, "architecture.pretrained=true")
    assert begun.signature != fresh.signature
    assert plan_command_nodes(*NETWORK, *DATA, "architecture.pretrained=false")[0].signature == fresh.signature


def test_grey_images_are_refused_with_what_would_be_right(published: dict[str, torch.Tensor], tmp_path: Path) -> None:
    train, *_ = plan_command_nodes(*NETWORK, *DATA[:1], *DATA[2:], "architecture.pretrained=true")
    with pytest.raises(UserError, match=r"dataset\.channels=3"):
        StageHarness(tmp_path).run_stage(train)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("architecture=lenet5", "dataset=mnist5k"), "no such key"),
        ((*NETWORK, *DATA, "architecture.weights=ab"), "both set the weights"),
    ],
)
def test_where_there_are_none(overrides: tuple[str, ...], said: str, here: Path) -> None:
    with pytest.raises(UserError, match=said):
        compose_points([*overrides, "architecture.pretrained=true"]).check_points()


def test_without_a_connection_the_line_says_what_to_do(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convarium.architectures import from_timm

    def unreachable(name: str) -> Any:
        raise OSError("no network here")

    patched: Callable[[str], Any] = unreachable
    monkeypatch.setattr(from_timm, "fetch_pretrained", patched)
    train, *_ = plan_command_nodes(*NETWORK, *DATA, "architecture.pretrained=true")
    with pytest.raises(
        UserError, match="can't be had from timm: no network here; with a file of them: convarium adopt"
    ):
        StageHarness(here).run_stage(train)
