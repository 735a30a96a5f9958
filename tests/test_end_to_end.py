"""One small sweep from its overrides to its comparison; every command works on what it stored."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import convarium
from command_lines import IN_PROCESS
from convarium.cli import main
from convarium.compose.points import compose_points
from convarium.cvm import container
from convarium.datasets.loading import load_splits
from convarium.tasks.evaluate import evaluate_network

pytestmark = pytest.mark.xdist_group("end_to_end")  # its runs are made once
SWEEP = (
    "architecture=mlp", "dataset=digits", "recipe.epochs=1", "seed=0,1",
    "compression=none,magnitude,[magnitude,kmeans,huffman]", "compression.magnitude.sparsity=0.8",
    "compression.magnitude.rounds=1", "compression.magnitude.epochs=1", "compression.kmeans.epochs=1",
)  # fmt: skip
METRICS = [
    "accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "loss", "file_bytes",
    "dense_bytes", "ratio", "xz_bytes", "parameters", "nonzeros", "macs", "latency_ms", "speedup",
    "peak_memory_bytes",
]  # fmt: skip
Json = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """Calls convarium in this process, on one store."""

    store: Path

    def __call__(self, *arguments: str, code: int = 0) -> str:
        out, error = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(error):
            assert main([*arguments, f"runtime.store={self.store}"]) == code, error.getvalue()
        return out.getvalue()

    def json(self, *arguments: str) -> Json:
        document: Json = json.loads(self(*arguments, "--json"))
        return document

    def files(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.store.rglob("*")}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("end_to_end") / "store")


@pytest.fixture(scope="module")
def runs(command: Command) -> list[Json]:
    """What `run --json` says of the sweep when it is run for the first time."""
    runs: list[Json] = command.json("run", *SWEEP, *IN_PROCESS)["runs"]
    return runs


@pytest.fixture(scope="module")
def chain(runs: list[Json]) -> Json:
    """The whole chain at seed 0."""
    return next(one for one in runs if (steps(one), one["seed"]) == (3, 0))


def test_run_tells_signature_path_and_figures_of_every_point(runs: list[Json]) -> None:
    assert len(runs) == 6
    for one in runs:
        assert list(one) == ["signature", "path", "overrides", "seed", "status", "error", "cause", "metrics", "timings"]
        assert (one["status"], one["error"], one["cause"]) == ("done", None, None)
        assert list(one["metrics"]) == METRICS
        assert [key for key, value in one["metrics"].items() if value is None] == METRICS[-3:]
        assert Path(one["path"]).name.endswith(one["signature"])
        assert Path(one["path"], "network.cvm").stat().st_size == one["metrics"]["file_bytes"]
    assert [(one["seed"], steps(one)) for one in runs] == [(seed, count) for seed in (0, 1) for count in (0, 1, 3)]


def test_a_point_s_overrides_lead_back_to_it(chain: Json, command: Command) -> None:
    (again,) = command.json("run", *chain["overrides"], *IN_PROCESS)["runs"]
    assert again == chain


def test_each_step_makes_the_file_smaller_and_the_same_network_is_counted(runs: list[Json]) -> None:
    dense, pruned, whole = ([one["metrics"] for one in runs if steps(one) == count] for count in (0, 1, 3))
    for seed in (0, 1):
        assert dense[seed]["ratio"] == 1.0
        assert dense[seed]["file_bytes"] > 2.5 * pruned[seed]["file_bytes"] > 5 * whole[seed]["file_bytes"]
        assert len({one[seed]["dense_bytes"] for one in (dense, pruned, whole)}) == 1
        assert len({one[seed]["parameters"] for one in (dense, pruned, whole)}) == 1
        assert pruned[seed]["nonzeros"] < 0.25 * dense[seed]["nonzeros"]
        assert min(one[seed]["accuracy"] for one in (dense, pruned, whole)) > 0.8


def steps(one: Json) -> int:
    (choice,) = (text for text in one["overrides"] if text.startswith("compression="))
    return 0 if choice == "compression=none" else choice.count(",") + 1


def test_run_again_computes_nothing_and_says_the_same(runs: list[Json], command: Command) -> None:
    before = command.files()
    assert command.json("run", *SWEEP, *IN_PROCESS)["runs"] == runs
    assert command.files() == before


def test_a_longer_command_line_runs_only_what_is_new(runs: list[Json], command: Command) -> None:
    plan = command.json("plan", *SWEEP, "seed=0", "recipe.epochs=1,2")
    assert (plan["points"], plan["stored"], plan["to_run"]) == (6, 3, 3)


@pytest.mark.usefixtures("runs")
def test_plan_counts_what_is_stored(command: Command) -> None:
    assert command.json("plan", *SWEEP) == {
        "points": 6,
        "stored": 6,
        "to_run": 0,
        "invalid": [],
        "estimated_seconds": 0,
        "stages": {
            "train": {"stored": 2, "to_run": 0},
            "compress": {"stored": 6, "to_run": 0},
            "measure": {"stored": 6, "to_run": 0},
        },
        "datasets": [],
        "networks": [{"architecture": "basic/mlp", "coverage": 1.0, "uncovered": {}}],
        "notes": [],
        "hardware": None,
    }


def test_compare_has_a_row_for_everything_equal_but_the_seed(runs: list[Json], command: Command) -> None:
    document = command.json("compare", *SWEEP)
    assert list(document) == ["reference", "missing", "margin", "audit", "rows"]
    assert (document["reference"], document["missing"], len(document["rows"])) == ("none", 0, 3)
    for row in document["rows"]:
        assert list(row) == [
            "label", "status", "architecture", "dataset", "compression", "differs", "seeds", "training_steps",
            "metrics", "timings", "coverage", "uncovered", "versus_dense", "audit", "pareto", "signatures", "dense",
        ]  # fmt: skip
        assert (row["architecture"], row["dataset"], row["seeds"]) == ("basic/mlp", "digits", [0, 1])
        assert list(row["metrics"]) == METRICS
        assert list(row["metrics"]["accuracy"]) == ["mean", "low", "high"]
    dense, pruned, whole = document["rows"]
    assert dense["versus_dense"] == {}
    assert set(pruned["versus_dense"]["accuracy"]) >= {"difference", "low", "high", "verdict"}
    assert [step["method"] for step in whole["compression"]] == [
        "pruning/magnitude",
        "quantization/kmeans",
        "coding/huffman",
    ]
    assert whole["compression"][0]["sparsity"] == 0.8
    assert whole["label"] == "magnitude 0.8 → kmeans 5 → huffman"
    assert "file_bytes/accuracy" in whole["pareto"]
    assert whole["signatures"] == [one["signature"] for one in runs if steps(one) == 3]


def test_the_table_s_figures_are_means_of_the_runs(runs: list[Json], command: Command) -> None:
    for row in command.json("compare", *SWEEP)["rows"]:
        own = [one["metrics"] for one in runs if one["signature"] in row["signatures"]]
        for metric in METRICS[:-3]:
            assert row["metrics"][metric]["mean"] == pytest.approx(sum(one[metric] for one in own) / 2)


@pytest.mark.usefixtures("runs")
def test_compare_without_overrides_is_of_all_that_is_stored(command: Command) -> None:
    everything, asked = command.json("compare"), command.json("compare", *SWEEP)
    assert {row["label"] for row in everything["rows"]} == {row["label"] for row in asked["rows"]}
    (best,) = command.json("compare", "--where", "file_bytes<20000", "--best", "ratio")["rows"]
    assert best["label"] == "magnitude 0.8 → kmeans 5 → huffman"
    assert "magnitude 0.8 → kmeans 5 → huffman" in command("compare")


def test_show_why_and_ls_tell_what_is_stored(chain: Json, runs: list[Json], command: Command) -> None:
    shown = command.json("show", chain["signature"][:6])
    assert (shown["stage"], shown["stage_config"]["step"]["method"]) == ("compress", "coding/huffman")
    assert shown["path"] == chain["path"]
    why = command.json("diff", runs[0]["signature"])
    assert why["differs"] == {"seed": [0, 1]}
    listed = command.json("ls")["results"]
    assert [row["stage"] for row in listed].count("train") == 2
    assert len(listed) == 14


def test_an_exported_network_is_the_one_that_was_measured(chain: Json, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "net.cvm"
    command("export", chain["signature"], "--format", "cvm", "-o", str(file))
    assert file.read_bytes() == Path(chain["path"], "network.cvm").read_bytes()
    dataset = compose_points(["dataset=digits"]).points[0].config["dataset"]
    correct, loss = evaluate_network(convarium.load(file), load_splits(dataset, None, ("test",)).test)
    assert (correct.double().mean().item(), loss) == (chain["metrics"]["accuracy"], chain["metrics"]["loss"])


def test_a_file_measured_by_itself_has_the_same_figures(chain: Json, command: Command) -> None:
    measurement = command.json("measure", f"{chain['path']}/network.cvm", "dataset=digits", "runtime.threads=1")
    same = [name for name in METRICS[:-3] if name != "xz_bytes"]
    assert {name: measurement["metrics"][name] for name in same} == {name: chain["metrics"][name] for name in same}
    assert sum(measurement["bytes"].values()) == chain["metrics"]["file_bytes"]
    assert measurement["images"] == 300


def test_figures_come_from_the_file_and_not_from_what_was_trained(
    chain: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages run in this process, whose networks are ruined once written and whose evaluation lies."""
    write: Callable[..., None] = container.write_cvm

    def ruining(path: Path, network: torch.nn.Module, *rest: Any) -> None:
        write(path, network, *rest)
        for parameter in network.parameters():
            parameter.data.zero_()

    def lying(*_: Any) -> Any:
        raise AssertionError("measured in the process that trained")

    own = [text for text in chain["overrides"] if not text.startswith("runtime.")]
    monkeypatch.setattr(container, "write_cvm", ruining)
    monkeypatch.setattr("convarium.measurement.image_quality.evaluate_network", lying)
    monkeypatch.setattr("convarium.measurement.quality.measure_file", lying)
    (one,) = Command(tmp_path / "store").json("run", *own, *IN_PROCESS)["runs"]
    assert one["metrics"] == chain["metrics"]
