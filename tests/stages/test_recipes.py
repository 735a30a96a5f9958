"""Recipes in stages: in training and in the fits of compression, named by the record, never by the file."""

from pathlib import Path
from typing import Any

import pytest
import torch

from convarium.compose.points import compose_points
from convarium.compression import run_phases
from convarium.cvm import container
from convarium.datasets import train_batches
from convarium.errors import UserError
from convarium.lookup import allow_packages, find_named_packages
from convarium.planning.plan import Node
from convarium.planning.validate import validate_points
from stages.stage_harness import TINY_TRAINING, SimulatedKill, StageHarness, plan_command_nodes

ALL = (
    "recipe.optimizer=torch.optim:NAdam", "recipe.optimizer_kwargs={betas:[0.9,0.99]}", "recipe.lr=0.002",
    "recipe.weight_decay_on=weights", "recipe.schedule=one_cycle", "recipe.warmup_epochs=0",
    "recipe.augmentation=resized_crop_flip", "recipe.smallest_crop=0.5", "recipe.policy=rand_augment",
    "recipe.erasing=0.2", "recipe.mixup=0.2", "recipe.cutmix=1.0", "recipe.accumulate=2", "recipe.final_weights=ema",
)  # fmt: skip
CHAIN = "compression=[kd,magnitude,kmeans]"
CHAIN_KNOBS = (
    "compression.kd.epochs=2", "compression.magnitude.rounds=1", "compression.magnitude.epochs=2",
    "compression.magnitude.sparsity=0.5", "compression.magnitude.terms=[kd]", "compression.kmeans.epochs=2",
)  # fmt: skip


def run_stages(bench: StageHarness, nodes: list[Node]) -> list[bytes]:
    return [bench.run_stage(node) for node in nodes]


def test_every_ingredient_works_in_the_fits_of_a_chain_and_is_resumed_in_the_same_bits(tmp_path: Path) -> None:
    nodes = plan_command_nodes(*TINY_TRAINING, CHAIN, *CHAIN_KNOBS, *ALL)[:-1]
    assert [node.stage for node in nodes] == ["train", "compress", "compress", "compress"]
    undisturbed = run_stages(StageHarness(tmp_path / "whole"), nodes)
    killed = StageHarness(tmp_path / "killed")
    for node, expected in zip(nodes, undisturbed, strict=True):
        with pytest.raises(SimulatedKill):
            killed.killed_at_checkpoint(2).run_stage(node)
        assert killed.run_stage(node) == expected


def test_a_chain_that_is_killed_in_mid_epoch_is_resumed_in_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_batches, "STEPS_PER_CHUNK", 2)
    command = ("architecture=lenet5", "dataset=digits", "dataset.img_size=28", "dataset.train_size=200")
    knobs = ("recipe.batch_size=40", "recipe.epochs=1", "compression=[kd,filter_l1,levels]", "compression.kd.epochs=1")
    rounds = ("compression.filter_l1.epochs=1", "compression.filter_l1.terms=[kd]", "compression.levels.epochs=2")
    nodes = plan_command_nodes(*command, *knobs, *rounds, *ALL)[:-1]
    undisturbed = run_stages(StageHarness(tmp_path / "whole"), nodes)
    killed = StageHarness(tmp_path / "killed", checkpoint_minutes=1e-9)
    for node, expected in zip(nodes, undisturbed, strict=True):
        with pytest.raises(SimulatedKill):
            killed.killed_at_checkpoint(2).run_stage(node)
        (checkpoint,) = killed.checkpoints_path(node).iterdir()
        assert torch.load(checkpoint, weights_only=True)["part"]["steps"] == 2
        assert killed.run_stage(node) == expected


@pytest.mark.parametrize("method", ["uniform", "levels", "bwn", "svd", "filter_l1"])
def test_weights_are_averaged_in_whatever_form_they_are_trained(method: str, tmp_path: Path) -> None:
    knobs = (f"compression={method}", f"compression.{method}.epochs=2", "recipe.final_weights=ema")
    data = ("dataset=digits", "dataset.img_size=28", "dataset.train_size=100")
    bench = StageHarness(tmp_path)
    nodes = plan_command_nodes(
        "architecture=lenet5", *data, "recipe.epochs=1", *knobs, "recipe.accumulate=2", "recipe.mixup=0.2"
    )[:2]
    run_stages(bench, nodes)
    assert container.load_cvm(bench.network_path(nodes[1])) is not None


def test_the_record_names_what_is_set_and_nothing_else() -> None:
    plain, nodes = plan_command_nodes(*TINY_TRAINING), plan_command_nodes(*TINY_TRAINING, *ALL)
    train = nodes[0].stage_config["recipe"]
    assert train["optimizer"] == "torch.optim:NAdam"
    assert (train["mixup"], train["cutmix"], train["erasing"], train["accumulate"]) == (0.2, 1.0, 0.2, 2)
    assert (train["final_weights"], train["policy"]) == ("ema", "rand_augment")
    assert "policy_ops" not in train
    assert "ema_decay" not in train
    assert not {"mixup", "policy", "optimizer_kwargs", "accumulate"} & set(plain[0].stage_config["recipe"])
    assert nodes[0].signature != plain[0].signature


@pytest.mark.parametrize(
    "override", [override for override in ALL if not override.startswith(("recipe.smallest_crop", "recipe.schedule"))]
)
def test_every_key_changes_the_signature(override: str) -> None:
    plain, changed = (plan_command_nodes(*TINY_TRAINING, *overrides)[0] for overrides in ((), (override,)))
    assert changed.signature != plain.signature


def test_an_optimiser_of_torch_opens_torch_to_no_file(tmp_path: Path) -> None:
    """After a training by torch's optimiser a file that names something of torch is refused as ever."""
    nodes = plan_command_nodes(*TINY_TRAINING, "compression=magnitude", *ALL[:3])
    assert all(node.runtime["allow"] == [] for node in nodes)
    bench = StageHarness(tmp_path)
    bench.run_stage(nodes[0])
    path = bench.network_path(nodes[0])
    file = container.read_cvm(path)
    network = container.materialise_network(file)
    architecture = {**file.header["architecture"], "name": "torch.hub:load"}
    stranger = tmp_path / "stranger.cvm"
    container.write_cvm(stranger, network, {**file.header, "architecture": architecture}, {})
    with allow_packages(nodes[1].runtime["allow"]), pytest.raises(UserError, match="package torch is not allowed here"):
        container.load_cvm(stranger)
    packages: set[str] = set().union(*(find_named_packages(node.stage_config) for node in nodes))
    with pytest.raises(UserError, match="package torch is not allowed here"):
        container.load_cvm(stranger, allow=packages)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("recipe.optimizer=torch.optim:LBFGS",), "closure"),
        (("recipe.optimizer=torch.optim:RMSprop", "recipe.optimizer_kwargs={alpa:0.9}"), "did you mean alpha?"),
        (("architecture=condensenet_cifar", "dataset.img_size=32", "recipe.final_weights=ema"), "loses connections"),
    ],
)
def test_what_can_not_train_is_said_before_anything_is_made(overrides: tuple[str, ...], said: str) -> None:
    points = compose_points(["dataset=digits", *overrides]).check_points()
    (reason,) = validate_points(points).values()
    assert said in reason
    assert "\n" not in reason


def test_a_method_can_not_ask_for_a_schedule_that_needs_arguments() -> None:
    step: dict[str, Any] = {"method": "pruning/mine", "phases": [{"schedule": "step"}]}
    with pytest.raises(UserError, match="its phases name the schedule 'step', expected one of constant, cosine"):
        run_phases._check_entry_names(step, step["phases"][0])
