"""A trial is a point whose network is scored; all else of it is what `run` would make."""

import json
from pathlib import Path

import pytest

from command_lines import HERE, SMALL_MLP, Call
from convarium.compose.points import compose_points
from convarium.planning.duration_estimate import summarize_plan
from convarium.planning.stage_graph import build_plan
from convarium.store.store import Store
from convarium.workers.ready_nodes import PlanMonitor
from search.trials import plan_trials, run_trials
from stages.stage_harness import TINY_TRAINING

CHAIN = ("compression=[magnitude,kmeans]", "measurement.executors=[eager,compiled]")
TRIALS = (*SMALL_MLP, "compression=none,magnitude", "compression.magnitude.epochs=1", "compression.magnitude.rounds=1")


def test_the_networks_are_those_of_a_run_and_the_score_takes_the_place_of_measures_and_times() -> None:
    trial, run = (
        plan_trials(*TINY_TRAINING, *CHAIN),
        build_plan(compose_points((*TINY_TRAINING, *CHAIN)).check_points()),
    )
    assert [node.stage for node in trial.nodes.values()] == ["train", "compress", "compress", "score"]
    assert list(trial.nodes)[:3] == list(run.nodes)[:3]
    (scored,), (measured,) = trial.points, run.points
    assert (scored.network, scored.dense) == (measured.network, measured.dense)
    assert (scored.overrides, scored.config) == (measured.overrides, measured.config)
    score, measure = trial.nodes[scored.measure], run.nodes[measured.measure]
    assert (score.stage, score.version, score.parents) == ("score", 1, measure.parents)
    assert score.stage_config == measure.stage_config
    assert (score.name, score.runtime, score.fingerprint) == (measure.name, measure.runtime, measure.fingerprint)
    assert scored.figure_signatures == (score.signature,)
    assert score.signature != measure.signature


def test_trials_share_what_they_have_in_common() -> None:
    plan = plan_trials(*TINY_TRAINING, "compression=none,magnitude,[magnitude,kmeans]")
    stages = [node.stage for node in plan.nodes.values()]
    assert {stage: stages.count(stage) for stage in stages} == {"train": 1, "score": 3, "compress": 2}
    plan.check_complete()


def test_a_score_is_taken_as_soon_as_its_network_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_trials(*TINY_TRAINING, "seed=0,1")
    first = next(iter(plan.nodes))
    monkeypatch.setattr(Store, "select_finished", lambda self, signatures: {first} & set(signatures))
    ready = PlanMonitor(plan).read_state(Store(tmp_path), "run").ready
    assert [node.stage for node in ready] == ["score", "train"]


def test_what_trials_will_take_is_estimated(tmp_path: Path) -> None:
    found = summarize_plan(plan_trials(*TINY_TRAINING, "seed=0,1"), Store(tmp_path), [])
    assert (found["points"], found["stored"], found["to_run"]) == (2, 0, 2)
    assert found["stages"] == {stage: {"stored": 0, "to_run": 2} for stage in ("train", "score")}
    assert 0 < found["estimated_seconds"] < 60


def test_a_run_after_the_trials_trains_nothing_and_only_measures(call: Call, here: Path) -> None:
    trials = run_trials(here / "store", *TRIALS)
    store = Store(here / "store")
    made = {record["signature"] for record in store.read_records()}
    assert {record["stage"] for record in store.read_records()} == {"train", "compress", "score"}
    code, out, error = call("run", *TRIALS, *HERE, "--json")
    assert code == 0, error
    runs = json.loads(out)["runs"]
    assert [one["signature"] for one in runs] == [point.network for point in trials.points]
    added = [record for record in Store(here / "store").read_records() if record["signature"] not in made]
    assert [record["stage"] for record in added] == ["measure", "measure"]
    for one, point in zip(runs, trials.points, strict=True):
        score = store.find_record(point.measure)
        assert score is not None
        metrics = score["result"]["metrics"]
        assert {name: one["metrics"][name] for name in metrics if name != "validation_loss"} == {
            name: value for name, value in metrics.items() if name != "validation_loss"
        }
