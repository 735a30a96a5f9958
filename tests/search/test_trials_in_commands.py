"""Every command copes with scores: they are results of the store, but no rows of a comparison and no tracked runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from command_lines import IN_PROCESS, SMALL_MLP, Call
from convarium.comparison.collect import CollectedResults, collect_plan_results
from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.tracking.run_group import read_stored_groups
from convarium.tracking.tracker_sync import TrackerSync, build_plan_sync
from convarium.workers.run_file import Run
from search.trials import plan_trials, run_trials

pytestmark = pytest.mark.xdist_group("trials")  # they are made once
TRIALS = (*SMALL_MLP, "compression=none,magnitude", "compression.magnitude.epochs=1", "compression.magnitude.rounds=1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    root = tmp_path_factory.mktemp("trials") / "store"
    return root, run_trials(root, *TRIALS)


@pytest.fixture
def trials(made: tuple[Path, Plan], here: Path) -> Plan:
    """The trials, in the store of the current folder."""
    shutil.copytree(made[0], here / "outputs/store")
    return made[1]


def call_json(call: Call, *arguments: str) -> Any:
    code, out, error = call(*arguments, "--json")
    assert code == 0, error
    return json.loads(out)


def test_ls_lists_scores_as_the_stage_that_they_are(trials: Plan, call: Call) -> None:
    found = call_json(call, "ls", "--stage", "score", "--where", "validation_accuracy>=0")["results"]
    assert {one["signature"] for one in found} == {point.measure for point in trials.points}
    assert call_json(call, "ls", "--stage", "measure")["results"] == []
    assert "score" in call("ls")[1]


def test_show_names_the_line_of_the_trial_s_point(trials: Plan, call: Call) -> None:
    point = trials.points[1]
    found = call_json(call, "show", point.measure)
    assert found["command"].startswith("convarium run architecture=")
    assert [one["signature"] for one in found["parents"]] == [point.network, point.dense]
    assert "accuracy" not in found["result"]["metrics"]
    line = found["command"].split()[2:]
    assert plan_trials(*line).points[0].measure == point.measure
    assert call_json(call, "show", point.network)["children"] == [
        {"signature": point.measure, "stage": "score", "name": trials.nodes[point.measure].name}
    ]


def test_plan_and_status_count_the_networks_as_made_and_the_points_as_not_measured(trials: Plan, call: Call) -> None:
    planned = call_json(call, "plan", *TRIALS)
    assert (planned["stored"], planned["stages"]["train"]["to_run"], planned["stages"]["measure"]["to_run"]) == (
        0,
        0,
        2,
    )
    status = call_json(call, "status", *TRIALS)
    assert (status["points"], status["done"], status["stages_left"]) == (2, 0, 2)


def test_status_counts_the_trials_of_a_run_that_goes_on(trials: Plan, call: Call) -> None:
    run = Run.begin(plan_trials(*TRIALS, "seed=0,1"), Store(Path("outputs/store")), 1)
    status = call_json(call, "status")
    run.remove()
    assert (status["points"], status["done"], status["stages_left"]) == (4, 2, 4)


def test_no_trial_is_a_row_of_a_comparison_before_it_is_measured(trials: Plan, call: Call) -> None:
    assert call_json(call, "compare")["rows"] == []
    assert collect_plan_results(trials, Store(Path("outputs/store"))) == CollectedResults(missing_count=2)
    assert call_json(call, "compare", *TRIALS)["missing"] == 2
    assert call("run", *TRIALS, *IN_PROCESS)[0] == 0
    assert len(call_json(call, "compare")["rows"]) == 2


def test_mlflow_shows_no_trial_but_what_was_measured(trials: Plan, call: Call, here: Path) -> None:
    store = Store(Path("outputs/store"))
    sync = TrackerSync(store, f"sqlite:///{here / 'mlflow.db'}", "convarium")
    assert sync.build_wanted_runs().entries == []
    assert read_stored_groups(store) == []
    wanted = build_plan_sync(store, sync.uri, "convarium", trials, None).build_wanted_runs()
    assert (wanted.entries, wanted.groups) == ([], [])
    measured = trials.points[1].network
    assert call("run", *SMALL_MLP, *TRIALS[-2:], "compression=magnitude", *IN_PROCESS)[0] == 0
    entries = TrackerSync(Store(store.root), sync.uri, "convarium").build_wanted_runs().entries
    assert [entry.signature for entry in entries] == [measured]
    assert trials.points[1].measure not in entries[0].stage_signatures
    assert read_stored_groups(store) == []


def test_gc_keeps_scores_that_a_plan_asks_for_and_takes_those_that_none_does(trials: Plan, call: Call) -> None:
    assert call_json(call, "gc", "--unreferenced")["results"] == []
    for file in Path("outputs/store/plans").iterdir():
        file.unlink()
    dry = call_json(call, "gc", "--unreferenced", "--dry-run", "--keep", " ".join(TRIALS))["results"]
    assert {one["signature"] for one in dry} == {point.measure for point in trials.points}


def test_a_network_is_inspected_and_exported_by_its_score_s_signature(trials: Plan, call: Call) -> None:
    score = trials.points[1].measure
    assert call_json(call, "inspect", score)["parameters"]
    assert call("export", score, "--format", "cvm", "-o", "net.cvm")[0] == 0
    folder = Store(Path("outputs/store")).find_folder(trials.points[1].network)
    assert folder is not None
    assert Path("net.cvm").read_bytes() == (folder / "network.cvm").read_bytes()


def test_diff_tells_two_scores_apart_by_what_made_their_networks(trials: Plan, call: Call) -> None:
    found = call_json(call, "diff", trials.points[1].measure)
    assert found["nearest"]["signature"] == trials.points[0].measure
    assert found["differs"]["compression"] == [["magnitude"], []]
