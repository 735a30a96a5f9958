"""Compression in ranks: whatever form weights are trained in, both ranks write the same file."""

from pathlib import Path

import pytest

from convarium.planning.plan import Node
from convarium.tasks.ranks import Ranks
from stages.stage_harness import StageHarness, plan_command_nodes
from tasks.rank_harness import call_in_ranks

NETWORK = (
    "architecture=lenet5", "dataset=digits", "dataset.img_size=28", "dataset.train_size=200", "recipe.batch_size=40",
    "recipe.epochs=2",
)  # fmt: skip


def plan_networks(*overrides: str) -> list[Node]:
    return [node for node in plan_command_nodes(*NETWORK, *overrides) if node.stage in ("train", "compress")]


def build_harness(root: Path, ranks: Ranks) -> StageHarness:
    """The first rank's stages lie in `root`; the other has its own, and reads its checkpoints there."""
    return StageHarness(root if ranks.is_first else root / "other", ranks=ranks)


@pytest.mark.parametrize(
    "methods", ["magnitude,kmeans", "levels", "bwn", "svd", "filter_l1,kmeans", "kd"], ids=lambda text: text
)
def test_both_ranks_write_the_same_file(methods: str, tmp_path: Path) -> None:
    knobs = [f"compression.{method}.epochs=1" for method in methods.split(",")]
    nodes = plan_networks(f"compression=[{methods}]", *knobs)

    def run_all(ranks: Ranks) -> list[bytes]:
        harness = build_harness(tmp_path, ranks)
        return [harness.run_stage(node) for node in nodes]

    first, second = call_in_ranks(2, run_all, tmp_path)
    assert len(first) == len(nodes)
    assert first == second
