"""Whole compress stages that draw weights to grids: what the file holds, and that kills change no bit of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from convarium.cvm import container
from convarium.planning.plan import Node
from stages.stage_harness import TINY_TRAINING, SimulatedKill, StageHarness, plan_command_nodes

pytestmark = pytest.mark.xdist_group("quantization")  # its runs are made once
WIDE = (*TINY_TRAINING[:-1], "architecture.kwargs.hidden=[40,30]")
METHODS = {
    "levels": ("compression=levels", "compression.levels.epochs=2"),
    "pruned, then levels": (
        "compression=[magnitude,levels,huffman]", "compression.magnitude.epochs=1", "compression.levels.epochs=2",
    ),
    "uniform": ("compression=uniform", "compression.uniform.bits=3", "compression.uniform.granularity=channel"),
    "bwn": ("compression=bwn", "compression.bwn.epochs=2"),
}  # fmt: skip
Made = Callable[..., tuple[StageHarness, Node]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the last network that a command line makes, undisturbed; each stage is made once."""
    bench = StageHarness(tmp_path_factory.mktemp("made"))

    def of(*overrides: str) -> tuple[StageHarness, Node]:
        chain = [node for node in plan_command_nodes(*WIDE, *overrides) if node.stage in ("train", "compress")]
        for node in chain:
            if not bench.network_path(node).exists():
                bench.run_stage(node)
        return bench, chain[-1]

    return of


def read(found: tuple[StageHarness, Node]) -> container.CompressedFile:
    bench, node = found
    return container.read_cvm(bench.network_path(node))


def size(found: tuple[StageHarness, Node]) -> int:
    bench, node = found
    return bench.network_path(node).stat().st_size


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("call", [1, 2])
def test_killed_before_any_checkpoint_it_ends_in_the_same_bits(
    kind: str, call: int, made: Made, tmp_path: Path
) -> None:
    bench, last = made(*METHODS[kind])
    chain = {node.signature: node for node in plan_command_nodes(*WIDE, *METHODS[kind])}
    node = last if last.stage_config["step"].get("epochs") else chain[last.parents[0]]
    shutil.copytree(bench.root / node.parents[0], tmp_path / node.parents[0])
    mine = StageHarness(tmp_path)
    with pytest.raises(SimulatedKill):
        mine.killed_at_checkpoint(call).run_stage(node)
    assert mine.run_stage(node) == bench.network_path(node).read_bytes()


@pytest.mark.parametrize("kind", METHODS)
def test_training_moves_the_weights(kind: str, made: Made, tmp_path: Path) -> None:
    bench, node = made(*METHODS[kind])
    if "epochs" not in node.stage_config["step"]:
        return
    shutil.copytree(bench.root / node.parents[0], tmp_path / node.parents[0])
    own = {**node.stage_config, "step": {**node.stage_config["step"], "epochs": 0}}
    assert StageHarness(tmp_path).run_stage(node, own) != bench.network_path(node).read_bytes()


def test_weights_and_biases_lie_on_their_grids(made: Made) -> None:
    found = read(made(*METHODS["levels"]))
    represented = {name: one for name, one in found.sites.items() if one.kind == "levels"}
    assert set(represented) == {f"fc{layer}.{leaf}" for layer in (1, 2, 3) for leaf in ("weight", "bias")}
    for name, one in represented.items():
        numbers = one.materialise() / one.start
        torch.testing.assert_close(numbers, numbers.round(), rtol=1e-6, atol=0)
        assert numbers.round().abs().max() <= (31 if name.endswith("bias") else 3)
    assert found.bytes_by_kind["biases"] == 30 + 23 + 8  # 6 bits each
    assert found.bytes_by_kind["codebooks"] == 6 * 4


def test_pruned_weights_stay_zero_and_kept_ones_do_not(made: Made) -> None:
    bench, last = made(*METHODS["pruned, then levels"])
    pruned = bench.root / plan_command_nodes(*WIDE, *METHODS["pruned, then levels"])[2].parents[0] / "network.cvm"
    before, after = (container.load_cvm(path).state_dict() for path in (pruned, bench.network_path(last)))
    for name in ("fc1.weight", "fc2.weight", "fc3.weight"):
        assert torch.equal(before[name] == 0, after[name] == 0)
        assert len(after[name].unique()) <= 7


def scales(file: container.CompressedFile) -> torch.Tensor:
    return torch.stack([file.sites[name].inner.start[0] for name in ("fc1.weight", "fc2.weight")])


def test_training_keeps_outer_levels_in_use(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that moves as fast as the weights runs away from where it began, and outer levels fall out of use."""
    bench, node = made(
        "compression=[magnitude,levels]", "compression.magnitude.sparsity=0.7", "compression.levels.epochs=10",
        "recipe=adamw",
    )  # fmt: skip
    shutil.copytree(bench.root / node.parents[0], tmp_path / node.parents[0])
    other, own = StageHarness(tmp_path), {**node.stage_config, "step": {**node.stage_config["step"], "epochs": 0}}
    other.run_stage(node, own)
    start, slow = scales(read((other, node))), read((bench, node))
    monkeypatch.setattr("convarium.representations.levels.DRIFT_RATE", 1.0)
    other.run_stage(node)
    fast = read((other, node))
    assert ((scales(slow) / start).log().abs() * 4 < (scales(fast) / start).log().abs()).all()
    for name in ("fc1.weight", "fc2.weight"):
        inner = slow.sites[name].inner
        shares = torch.bincount((inner.materialise() / inner.start).abs().round().int(), minlength=4) / inner.numel
        assert shares[0] == 0
        assert shares[3] > 0.2


def test_fewer_bits_make_a_smaller_file(made: Made) -> None:
    sizes = [
        size(made("compression=uniform", f"compression.uniform.bits={bits}", "compression.uniform.epochs=0"))
        for bits in (2, 4, 8)
    ]
    dense = size(made("compression=none"))
    values = 64 * 40 + 40 * 30 + 30 * 10
    assert [sizes[1] - sizes[0], sizes[2] - sizes[1]] == pytest.approx([values / 4, values / 2], abs=8)
    assert dense - sizes[2] == pytest.approx(3 * values, abs=200)


def test_eight_bits_change_next_to_nothing_even_without_training(made: Made) -> None:
    found = made("compression=uniform", "compression.uniform.epochs=0")
    before, after = (container.load_cvm(bench.network_path(node)) for bench, node in (made("compression=none"), found))
    images = torch.randn(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = before(images), after(images)
    assert (one - other).norm() < 0.02 * one.norm()


def test_binary_weights_are_plus_or_minus_their_filter_s_scale(made: Made) -> None:
    found = read(made(*METHODS["bwn"]))
    assert {name for name, one in found.sites.items() if one.kind == "binary"} == {"fc2.weight"}
    rows = found.sites["fc2.weight"].materialise()
    assert torch.equal(rows.abs(), rows.abs()[:, :1].expand_as(rows))
    assert found.bytes_by_kind["codebooks"] == 4 * 30
