"""A search prunes: curves are reported step by step, and what is left leaves the workers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from convarium.config.point import Point
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.search.known_costs import find_known_costs
from convarium.search.search import Search
from convarium.store.store import Store
from search.fake_search import build_fake_search, read_trials, run_fake_search
from store.fake_run import SUBPROCESS_ENVIRONMENT, make_fake_node

EPOCHS = 4
MEDIAN = ("search/pruner=median", "search.pruner.startup_trials=2", "search/strategy=random", f"recipe.epochs={EPOCHS}")


@pytest.fixture(autouse=True)
def children_import_fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])


@dataclass(frozen=True)
class CurveEvaluator:
    """A fake training whose accuracy grows to 1 at a learning rate of 0.03, and a fake score."""

    seconds: float = 0.0

    def plan(self, point: Point) -> Plan:
        """A network of some epochs, and its score."""
        lr, hidden = point.config["recipe"]["lr"], point.config["architecture"]["kwargs"]["hidden"]
        best = 1 - abs(lr - 0.03)
        training = Node(
            stage="search.fake_curve:train",
            version=1,
            stage_config={"lr": lr, "hidden": hidden, "epochs": EPOCHS, "best": best, "seconds": self.seconds},
            parents=(),
            fingerprint=None,
            name=f"network-{lr:.6f}",
            work=float(EPOCHS),
        )
        score = make_fake_node(f"score-{lr:.6f}", [training])
        planned = PlannedPoint(point.overrides, point.config, training.signature, training.signature, score.signature)
        return Plan({training.signature: training, score.signature: score}, (planned,))

    def measures(self, plan: Plan | None, point: Point, store: Store) -> Mapping[str, float]:
        """What the training ended with, and what the network costs."""
        best = 1 - abs(point.config["recipe"]["lr"] - 0.03)
        return {"validation_accuracy": best, "macs": find_known_costs(point)["macs"]}


def _build_search(*texts: str, seconds: float = 0.0) -> Search:
    search = build_fake_search(*MEDIAN, *texts)
    return replace(search, evaluator=CurveEvaluator(seconds), offers=("validation_accuracy", "macs"))


def test_trials_below_the_median_are_left_and_counted(tmp_path: Path) -> None:
    summary = run_fake_search(_build_search("search.trials=8"), tmp_path / "s")
    trials = read_trials(tmp_path / "s")
    pruned = [trial for trial in trials if trial["outcome"] == "pruned"]
    assert summary["trials"] == 8
    assert summary["pruned"] == len(pruned) > 0
    assert {trial["state"] for trial in pruned} == {"PRUNED"}
    assert all(len(trial["steps"]) < EPOCHS for trial in pruned)
    complete = [trial for trial in trials if trial["outcome"] == "complete"]
    assert all(list(trial["steps"]) == [1, 2, 3, 4] for trial in complete)
    assert summary["best"][0]["values"]["validation_accuracy"] == max(trial["values"][0] for trial in complete)


def test_what_is_pruned_does_not_depend_on_when_somebody_looked_but_a_slow_stage_is_left_unfinished(
    tmp_path: Path,
) -> None:
    for name, seconds in (("quick", 0.0), ("slow", 0.8)):
        search = _build_search("search.trials=2", "search.pruner.startup_trials=1", seconds=seconds)
        run_fake_search(search, tmp_path / name)
    trials = read_trials(tmp_path / "slow")
    assert read_trials(tmp_path / "quick") == trials
    pruned = [f"{trial['params']['recipe.lr']:.6f}" for trial in trials if trial["outcome"] == "pruned"]
    folders = (tmp_path / "slow" / "search.fake_curve_train").iterdir()
    unfinished = [folder.name.split("-")[1] for folder in folders if not (folder / "done.json").is_file()]
    assert unfinished == pruned != []


def test_with_a_known_cost_as_second_objective_trials_are_pruned_too(tmp_path: Path) -> None:
    search = _build_search(
        "search.trials=8", "search.objectives=[accuracy,macs]", "architecture.kwargs.hidden=[300],[20]"
    )
    summary = run_fake_search(search, tmp_path / "s")
    outcomes = [
        (trial["params"]["architecture.kwargs.hidden"], trial["outcome"]) for trial in read_trials(tmp_path / "s")
    ]
    assert summary["pruned"] > 0
    assert ("[300]", "pruned") in outcomes
