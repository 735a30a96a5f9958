"""A network that condenses while it is trained: what a run makes of it, and what a killed one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from convarium.architectures import library
from convarium.cli.points import ask
from convarium.compression.file import container
from convarium.stages.validate import validate
from convarium.tasks import checkpoint
from stages.in_process import Bench, Killed, nodes

TINY = (
    "architecture=condensenet_cifar",
    "architecture.kwargs.depths=[1,1]",
    "architecture.kwargs.growths=[4,8]",
    "dataset=digits",
    "dataset.train_size=200",
    "recipe.epochs=6",
)


def described(*overrides: str) -> dict[str, Any]:
    found: dict[str, Any] = ask([*TINY, *overrides]).accepted()[0].config["architecture"]
    return found


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_the_file_holds_the_grouped_network_alone(tmp_path: Path) -> None:
    train, *_ = nodes(*TINY)
    bench = Bench(tmp_path)
    bench.make(train)
    file = container.read(bench.file(train))
    assert file.header["architecture"] == library.delivered(described())
    assert train.stage_config["architecture"] == described()
    delivered, dense = container.network(file), library.build(described())
    assert not any(name.endswith("kept") for name in delivered.state_dict())
    sizes = [sum(one.numel() for one in network.parameters()) for network in (delivered, dense)]
    container.write(tmp_path / "dense.cvm", dense, {**file.header, "architecture": described()}, {})
    assert sizes[0] < sizes[1]
    assert bench.file(train).stat().st_size < (tmp_path / "dense.cvm").stat().st_size


def test_the_groups_are_learned_and_differ_from_those_it_would_begin_with(tmp_path: Path) -> None:
    train, *_ = nodes(*TINY)
    bench = Bench(tmp_path)
    bench.make(train)
    found = container.load(bench.file(train)).state_dict()
    begun = library.build(library.delivered(described())).state_dict()
    indices = [name for name in found if name.endswith("index")]
    assert len(indices) == 3
    assert any(not torch.equal(found[name], begun[name]) for name in indices)


@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_killed_in_any_stage_of_condensation_it_ends_with_the_same_bytes(call: int, tmp_path: Path) -> None:
    train, *_ = nodes(*TINY)
    whole = Bench(tmp_path / "whole").make(train)
    bench = Bench(tmp_path / "killed")
    with pytest.raises(Killed):
        bench.killed_at(call).make(train)
    assert bench.make(train) == whole


def test_half_way_all_is_dropped_and_only_then_can_a_network_be_the_best(tmp_path: Path) -> None:
    train, *_ = nodes(*TINY, "recipe.final_weights=best")
    bench = Bench(tmp_path)
    left = []
    for _ in range(5):
        with pytest.raises(Killed):
            bench.killed_at(2).make(train)  # an epoch a time
        state = checkpoint.read(bench.checkpoints(train) / "train.ckpt")
        assert state is not None
        assert (state.best is None) == (state.epoch < 4)
        left.append(int(state.network["stage1.0.narrow.connections.kept"][0].sum()))
    assert left == [8, 6, 4, 2, 2]  # moments are one, two and three sixths; the first step at or behind one drops


def test_patience_begins_when_all_is_dropped(tmp_path: Path) -> None:
    train, *_ = nodes(*TINY, "recipe.early_stop=1", "recipe.lr=0")
    seen: list[int] = []
    Bench(tmp_path, report=lambda **figures: seen.append(figures["epoch"])).make(train)
    assert seen == [1, 2, 3, 4, 5]


def test_one_epoch_is_enough_to_deliver(tmp_path: Path) -> None:
    train, *_ = nodes(*TINY, "recipe.epochs=1", "recipe.batch_size=200")
    bench = Bench(tmp_path)
    bench.make(train)
    assert container.load(bench.file(train))(torch.zeros(1, 1, 8, 8)).isfinite().all()


def test_the_group_lasso_is_part_of_the_loss(tmp_path: Path) -> None:
    losses: dict[str, float] = {}

    def note(epoch: int, loss: float, **_: Any) -> None:
        losses.setdefault(f"{factor} {epoch}", loss)

    for factor in ("0", "0.1"):
        train, *_ = nodes(*TINY, f"architecture.kwargs.lasso={factor}", "recipe.lr=0")
        Bench(tmp_path / factor, report=note).make(train)
    assert losses["0.1 1"] > losses["0 1"] + 0.1
    assert losses["0.1 5"] == pytest.approx(losses["0 5"], rel=1e-5)


def test_methods_work_on_what_is_delivered(tmp_path: Path) -> None:
    train, kmeans, _ = nodes(*TINY, "compression=kmeans", "compression.kmeans.bits=3")
    bench = Bench(tmp_path)
    dense, compressed = bench.make(train), bench.make(kmeans)
    assert len(compressed) < len(dense)
    indices = [name for name in container.load(bench.file(train)).state_dict() if name.endswith("index")]
    before, after = (container.load(bench.file(node)).state_dict() for node in (train, kmeans))
    assert all(torch.equal(before[name], after[name]) for name in indices)


def test_sites_are_those_of_the_delivered_network() -> None:
    asked = ask([*TINY, "compression=magnitude", "compression.magnitude.sites=['*narrow.conv.weight']"])
    assert validate(asked.points) == {}
    asked = ask([*TINY, "compression=magnitude", "compression.magnitude.sites=['*connections*']"])
    assert "matches no weight" in validate(asked.points)[0]


def test_other_networks_are_delivered_as_they_are_trained() -> None:
    found = ask(["architecture=lenet5", "dataset=mnist5k"]).accepted()[0].config["architecture"]
    assert json.dumps(library.delivered(found)) == json.dumps(found)
