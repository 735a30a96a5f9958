"""Stages get what they hash, and read nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from convarium.cvm import container
from convarium.errors import StageFailed, UserError
from stages.stage_harness import TINY_TRAINING, StageHarness, plan_command_nodes

CHAIN = ("compression=[magnitude,kmeans,huffman]", "compression.magnitude.epochs=1", "compression.kmeans.epochs=1")


class Foreign(BaseException):
    """A stage asked for what its signature does not hold."""


class Only(dict[str, Any]):
    """A dict whose missing keys may not even be asked for; a step's may, they are knobs that a method can leave out."""

    def __init__(self, values: Mapping[str, Any], path: str = "own") -> None:
        inner = {
            key: Only(value, f"{path}.{key}") if isinstance(value, dict) else value for key, value in values.items()
        }
        super().__init__(inner)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise Foreign(f"{self.path}.{key}")

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self and not self.path.startswith("own.step"):
            raise Foreign(f"{self.path}.{key}")
        return super().get(key, default)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> StageHarness:
    return StageHarness(tmp_path_factory.mktemp("stages"))


def test_every_stage_of_a_chain_reads_only_its_own_and_its_parent_s_file(bench: StageHarness) -> None:
    *chain, _ = plan_command_nodes(*TINY_TRAINING, *CHAIN)
    assert [node.stage for node in chain] == ["train", "compress", "compress", "compress"]
    for node in chain:
        made = bench.run_stage(node, Only(node.stage_config))
        assert [path.name for path in bench.network_path(node).parent.iterdir()] == ["network.cvm"]
        assert bench.run_stage(node, json.loads(json.dumps(node.stage_config))) == made


def test_what_a_stage_may_not_know_is_not_in_what_it_gets() -> None:
    train, compress, *_ = plan_command_nodes(*TINY_TRAINING, *CHAIN)
    assert set(train.stage_config) == {"architecture", "dataset", "task", "recipe", "seed"}
    assert set(compress.stage_config) == {"step", "dataset", "task", "recipe", "seed", "references"}
    assert "root" not in train.stage_config["dataset"]
    assert "epochs" not in compress.stage_config["recipe"]
    for key in ("root", "fingerprints"):
        with pytest.raises(Foreign):
            Only(compress.stage_config)["dataset"].get(key)


def test_the_header_tells_a_stranger_how_to_use_the_network(bench: StageHarness) -> None:
    train, *_ = plan_command_nodes(*TINY_TRAINING)
    bench.run_stage(train)
    header = container.read_cvm(bench.network_path(train)).header
    assert header == {
        "architecture": train.stage_config["architecture"],
        "task": "classification",
        "classes": 10,
        "input": {"shape": [1, 8, 8], "mean": [0.30513625], "std": [0.37596626]},
        "surgery": [],
    }


def test_the_same_seed_trains_the_same_network_and_another_one_another(bench: StageHarness) -> None:
    one, other = (plan_command_nodes(*TINY_TRAINING, f"seed={seed}")[0] for seed in (0, 1))
    assert bench.run_stage(one) == bench.run_stage(one) != bench.run_stage(other)


def test_a_loss_that_is_no_number_stops_the_stage_and_leaves_no_file(tmp_path: Path) -> None:
    node, _ = plan_command_nodes(*TINY_TRAINING, "recipe.lr=1e30", "recipe.warmup_epochs=0")
    bench = StageHarness(tmp_path)
    with pytest.raises(StageFailed, match="lower the learning rate"):
        bench.run_stage(node)
    assert not bench.network_path(node).exists()


def test_a_damaged_parent_is_said_by_its_path(bench: StageHarness, tmp_path: Path) -> None:
    train, compress, *_ = plan_command_nodes(*TINY_TRAINING, *CHAIN)
    mine = StageHarness(tmp_path)
    mine.network_path(train).parent.mkdir()
    mine.network_path(train).write_bytes(bench.run_stage(train)[:-100])
    with pytest.raises(UserError, match=r"network\.cvm is not a valid \.cvm file"):
        mine.run_stage(compress)
