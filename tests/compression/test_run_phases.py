"""Rounds of deciding and retraining, and that a kill at any moment changes no bit of what comes out."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convarium.compression import run_phases
from convarium.cvm import container
from convarium.planning.plan import Node
from stages.stage_harness import TINY_TRAINING, SimulatedKill, StageHarness, plan_command_nodes

pytestmark = pytest.mark.xdist_group("phases")  # its runs are made once
CHAIN = (
    "compression=[magnitude,kmeans]", "compression.magnitude.sparsity=0.8", "compression.magnitude.rounds=2",
    "compression.magnitude.epochs=2", "compression.kmeans.bits=3", "compression.kmeans.epochs=2",
)  # fmt: skip
RESNET = (
    "architecture=resnet20", "dataset=digits", "dataset.train_size=64", "recipe.epochs=1", "recipe.batch_size=32",
    "compression=[magnitude,kmeans]", "compression.magnitude.epochs=2", "compression.kmeans.epochs=1",
    "compression.kmeans.max_iterations=5",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], tuple[StageHarness, list[Node]]]:
    """Return the undisturbed train, magnitude and kmeans stages of a command line; made once."""
    chains: dict[tuple[str, ...], tuple[StageHarness, list[Node]]] = {}

    def of(overrides: tuple[str, ...]) -> tuple[StageHarness, list[Node]]:
        if overrides not in chains:
            bench, chain = StageHarness(tmp_path_factory.mktemp("made")), plan_command_nodes(*overrides)[:-1]
            for node in chain:
                bench.run_stage(node)
            chains[overrides] = bench, chain
        return chains[overrides]

    return of


Made = Callable[[tuple[str, ...]], tuple[StageHarness, list[Node]]]


def beside(bench: StageHarness, node: Node, folder: Path) -> StageHarness:
    """A bench of its own that holds the parents of `node` only."""
    for signature in node.parents:
        shutil.copytree(bench.root / signature, folder / signature)
    return StageHarness(folder)


def test_a_round_is_a_phase() -> None:
    step = plan_command_nodes(*TINY_TRAINING, *CHAIN)[1].stage_config["step"]
    phases = run_phases.unroll_phases(step | {"rounds": 3})
    assert [(phase.index, phase.decider, phase.epochs) for phase in phases] == [(i, "magnitude", 2) for i in range(3)]
    assert [phase.progress for phase in phases] == [1 / 3, 2 / 3, 1.0]


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_pruning_killed_before_any_checkpoint_ends_in_the_same_bits(call: int, made: Made, tmp_path: Path) -> None:
    bench, (_, magnitude, _) = made((*TINY_TRAINING, *CHAIN))
    mine = beside(bench, magnitude, tmp_path)
    with pytest.raises(SimulatedKill):
        mine.killed_at_checkpoint(call).run_stage(magnitude)
    assert len(list(mine.checkpoints_path(magnitude).glob("phase-*.ckpt"))) == call // 2
    assert mine.run_stage(magnitude) == bench.network_path(magnitude).read_bytes()


@pytest.mark.parametrize("call", [1, 2])
def test_sharing_killed_before_any_checkpoint_ends_in_the_same_bits(call: int, made: Made, tmp_path: Path) -> None:
    bench, (_, _, kmeans) = made((*TINY_TRAINING, *CHAIN))
    mine = beside(bench, kmeans, tmp_path)
    with pytest.raises(SimulatedKill):
        mine.killed_at_checkpoint(call).run_stage(kmeans)
    assert mine.run_stage(kmeans) == bench.network_path(kmeans).read_bytes()


@pytest.mark.parametrize("overrides", [(*TINY_TRAINING, *CHAIN), RESNET], ids=["mlp", "batch norm"])
def test_a_whole_chain_killed_after_every_epoch_ends_in_the_same_bits(
    overrides: tuple[str, ...], made: Made, tmp_path: Path
) -> None:
    bench, chain = made(overrides)
    mine, kills = StageHarness(tmp_path), 0
    for node in chain:
        while not mine.network_path(node).exists():
            try:
                mine.killed_at_checkpoint(2).run_stage(node)
            except SimulatedKill:
                kills += 1
        assert mine.network_path(node).read_bytes() == bench.network_path(node).read_bytes()
    assert kills == sum(node.stage_config.get("step", {}).get("rounds", 1) * epochs(node) - 1 for node in chain)


def epochs(node: Node) -> int:
    return int((node.stage_config["step"] if "step" in node.stage_config else node.stage_config["recipe"])["epochs"])


@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_while_deciding_changes_nothing(
    call: int, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, (_, magnitude, _) = made((*TINY_TRAINING, *CHAIN))
    mine, decide, calls = beside(bench, magnitude, tmp_path), run_phases.run_phase_decider, iter(range(1, 100))

    def killed(*arguments: Any) -> None:
        decide(*arguments)
        if next(calls) == call:
            raise SimulatedKill

    monkeypatch.setattr(run_phases, "run_phase_decider", killed)
    with pytest.raises(SimulatedKill):
        mine.run_stage(magnitude)
    assert mine.run_stage(magnitude) == bench.network_path(magnitude).read_bytes()


def test_a_finished_phase_is_not_trained_again(made: Made, tmp_path: Path) -> None:
    bench, (_, magnitude, _) = made((*TINY_TRAINING, *CHAIN))
    mine = beside(bench, magnitude, tmp_path)
    reported_epochs: list[tuple[str, int]] = []
    with pytest.raises(SimulatedKill):
        mine.killed_at_checkpoint(4).run_stage(magnitude)
    harness = replace(mine, report=lambda **row: reported_epochs.append((row["phase"], row["epoch"])))
    harness.run_stage(magnitude)
    assert reported_epochs == [("pruning/magnitude 2", 2)]


def test_a_fit_goes_by_the_learning_rate_of_its_step_and_the_schedule_of_its_phase(tmp_path: Path) -> None:
    gradual = "compression.global_gradual"
    knobs = (f"{gradual}.lr=0.003", f"{gradual}.rounds=2", f"{gradual}.epochs=2", "recipe.schedule=cosine")
    rates: dict[str, list[float]] = {}
    bench = StageHarness(tmp_path, report=lambda **row: rates.setdefault(row["phase"], []).append(row["lr"]))
    for node in plan_command_nodes(*TINY_TRAINING, "compression=global_gradual", *knobs)[:2]:
        bench.run_stage(node)
    training, first_round, second_round, retraining = rates.values()
    assert first_round == second_round == [0.003]
    assert len(training) == len(retraining) == 2
    assert 0.003 >= retraining[0] > retraining[1]


def test_a_damaged_checkpoint_is_as_good_as_none(made: Made, tmp_path: Path) -> None:
    bench, (_, magnitude, _) = made((*TINY_TRAINING, *CHAIN))
    mine = beside(bench, magnitude, tmp_path)
    with pytest.raises(SimulatedKill):
        mine.killed_at_checkpoint(4).run_stage(magnitude)
    (mine.checkpoints_path(magnitude) / "phase-1.ckpt").write_bytes(b"not what was written")
    assert mine.run_stage(magnitude) == bench.network_path(magnitude).read_bytes()


def test_the_chain_is_what_its_name_says(made: Made) -> None:
    bench, (train, magnitude, kmeans) = made((*TINY_TRAINING, *CHAIN))
    sizes = [bench.network_path(node).stat().st_size for node in (train, magnitude, kmeans)]
    assert sizes == sorted(sizes, reverse=True)
    weights = {
        name: weight
        for name, weight in container.load_cvm(bench.network_path(kmeans)).state_dict().items()
        if name.endswith("weight")
    }
    for weight in weights.values():
        assert int(weight.count_nonzero()) <= round(0.2 * weight.numel())
        assert len(weight[weight != 0].unique()) <= 8


def test_training_moves_kept_weights_and_centroids(made: Made, tmp_path: Path) -> None:
    bench, (_, magnitude, kmeans) = made((*TINY_TRAINING, *CHAIN))
    for node in (magnitude, kmeans):
        mine = beside(bench, node, tmp_path / node.signature)
        own = {**node.stage_config, "step": {**node.stage_config["step"], "epochs": 0}}
        assert mine.run_stage(node, own) != bench.network_path(node).read_bytes()


def test_coding_changes_the_bytes_and_no_weight(made: Made, tmp_path: Path) -> None:
    bench, (_, _, kmeans) = made((*TINY_TRAINING, *CHAIN))
    huffman = plan_command_nodes(*TINY_TRAINING, *CHAIN[1:], "compression=[magnitude,kmeans,huffman]")[-2]
    assert huffman.parents == (kmeans.signature,)
    mine = beside(bench, huffman, tmp_path)
    coded = mine.run_stage(huffman)
    assert coded != bench.network_path(kmeans).read_bytes()
    assert set(container.read_cvm(mine.network_path(huffman)).coders.values()) == {"huffman"}
    before, after = (
        container.load_cvm(path).state_dict() for path in (bench.network_path(kmeans), mine.network_path(huffman))
    )
    assert all(torch.equal(before[name], after[name]) for name in before)
