"""A network that condenses while it is trained: what a run makes of it, and what a killed one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from command_lines import SMALL_CONDENSENET
from convarium.architectures import factory
from convarium.compose.points import compose_points
from convarium.cvm import container
from convarium.planning.validate import validate_points
from convarium.tasks import checkpoint
from stages.stage_harness import SimulatedKill, StageHarness, plan_command_nodes

TINY = (*SMALL_CONDENSENET, "recipe.epochs=6")


def described(*overrides: str) -> dict[str, Any]:
    found: dict[str, Any] = compose_points([*TINY, *overrides]).check_points()[0].config["architecture"]
    return found


def test_the_file_holds_the_grouped_network_alone(tmp_path: Path) -> None:
    train, *_ = plan_command_nodes(*TINY)
    bench = StageHarness(tmp_path)
    bench.run_stage(train)
    file = container.read_cvm(bench.network_path(train))
    assert file.header["architecture"] == factory.condense_architecture(described())
    assert train.stage_config["architecture"] == described()
    delivered, dense = container.materialise_network(file), factory.build_architecture(described())
    assert not any(name.endswith("kept") for name in delivered.state_dict())
    sizes = [sum(one.numel() for one in network.parameters()) for network in (delivered, dense)]
    container.write_cvm(tmp_path / "dense.cvm", dense, {**file.header, "architecture": described()}, {})
    assert sizes[0] < sizes[1]
    assert bench.network_path(train).stat().st_size < (tmp_path / "dense.cvm").stat().st_size


def test_the_groups_are_learned_and_differ_from_those_it_would_begin_with(tmp_path: Path) -> None:
    train, *_ = plan_command_nodes(*TINY)
    bench = StageHarness(tmp_path)
    bench.run_stage(train)
    found = container.load_cvm(bench.network_path(train)).state_dict()
    begun = factory.build_architecture(factory.condense_architecture(described())).state_dict()
    indices = [name for name in found if name.endswith("index")]
    assert len(indices) == 3
    assert any(not torch.equal(found[name], begun[name]) for name in indices)


@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_killed_in_any_stage_of_condensation_it_ends_with_the_same_bytes(call: int, tmp_path: Path) -> None:
    train, *_ = plan_command_nodes(*TINY)
    whole = StageHarness(tmp_path / "whole").run_stage(train)
    bench = StageHarness(tmp_path / "killed")
    with pytest.raises(SimulatedKill):
        bench.killed_at_checkpoint(call).run_stage(train)
    assert bench.run_stage(train) == whole


def test_half_way_all_is_dropped_and_only_then_can_a_network_be_the_best(tmp_path: Path) -> None:
    train, *_ = plan_command_nodes(*TINY, "recipe.final_weights=best")
    bench = StageHarness(tmp_path)
    left = []
    for _ in range(5):
        with pytest.raises(SimulatedKill):
            bench.killed_at_checkpoint(2).run_stage(train)  # an epoch a time
        state = checkpoint.read_state(bench.checkpoints_path(train) / "train.ckpt")
        assert state is not None
        assert (state.best is None) == (state.epoch < 4)
        left.append(int(state.network["stage1.0.narrow.connections.kept"][0].sum()))
    assert left == [8, 6, 4, 2, 2]  # moments are one, two and three sixths; the first step at or behind one drops


def test_patience_begins_when_all_is_dropped(tmp_path: Path) -> None:
    train, *_ = plan_command_nodes(*TINY, "recipe.early_stop=1", "recipe.lr=0")
    seen: list[int] = []
    StageHarness(tmp_path, report=lambda **figures: seen.append(figures["epoch"])).run_stage(train)
    assert seen == [1, 2, 3, 4, 5]


def test_one_epoch_is_enough_to_deliver(tmp_path: Path) -> None:
    train, *_ = plan_command_nodes(*TINY, "recipe.epochs=1", "recipe.batch_size=200")
    bench = StageHarness(tmp_path)
    bench.run_stage(train)
    assert container.load_cvm(bench.network_path(train))(torch.zeros(1, 1, 8, 8)).isfinite().all()


def test_the_group_lasso_is_part_of_the_loss(tmp_path: Path) -> None:
    losses: dict[str, float] = {}

    def note(epoch: int, loss: float, **_: Any) -> None:
        losses.setdefault(f"{factor} {epoch}", loss)

    for factor in ("0", "0.1"):
        train, *_ = plan_command_nodes(*TINY, f"architecture.kwargs.lasso={factor}", "recipe.lr=0")
        StageHarness(tmp_path / factor, report=note).run_stage(train)
    assert losses["0.1 1"] > losses["0 1"] + 0.1
    assert losses["0.1 5"] == pytest.approx(losses["0 5"], rel=1e-5)


def test_methods_work_on_what_is_delivered(tmp_path: Path) -> None:
    train, kmeans, _ = plan_command_nodes(*TINY, "compression=kmeans", "compression.kmeans.bits=3")
    bench = StageHarness(tmp_path)
    dense, compressed = bench.run_stage(train), bench.run_stage(kmeans)
    assert len(compressed) < len(dense)
    indices = [name for name in container.load_cvm(bench.network_path(train)).state_dict() if name.endswith("index")]
    before, after = (container.load_cvm(bench.network_path(node)).state_dict() for node in (train, kmeans))
    assert all(torch.equal(before[name], after[name]) for name in indices)


def test_sites_are_those_of_the_delivered_network() -> None:
    asked = compose_points([*TINY, "compression=magnitude", "compression.magnitude.sites=['*narrow.conv.weight']"])
    assert validate_points(asked.points) == {}
    asked = compose_points([*TINY, "compression=magnitude", "compression.magnitude.sites=['*connections*']"])
    assert "matches no weight" in validate_points(asked.points)[0]


def test_other_networks_are_delivered_as_they_are_trained() -> None:
    found = compose_points(["architecture=lenet5", "dataset=mnist5k"]).check_points()[0].config["architecture"]
    assert json.dumps(factory.condense_architecture(found)) == json.dumps(found)
