"""The steps of a trial are the epochs of the stage that trains its network last."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command_lines import SMALL_MLP
from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.search.curve import check_has_curve, find_last_training, read_steps
from convarium.search.measures import find_measure
from convarium.store.store import Store
from search.trials import plan_trials, run_trials

ACCURACY = find_measure("accuracy")
PRUNED = ("compression=magnitude", "compression.magnitude.rounds=2", "compression.magnitude.epochs=1")


def write_curve(store: Store, plan: Plan, *reports: dict[str, Any] | str) -> None:
    node = find_last_training(plan, plan.points[0])
    assert node is not None
    folder = store.folder_of(node)
    folder.mkdir(parents=True)
    lines = [report if isinstance(report, str) else json.dumps(report) + "\n" for report in reports]
    (folder / "curves.jsonl").write_text("".join(lines))


def epoch(phase: str, number: int, accuracy: float | None, **others: Any) -> dict[str, Any]:
    return {"phase": phase, "epoch": number, "epochs": 2, "validation_accuracy": accuracy, **others}


def test_a_stored_stage_tells_every_epoch(tmp_path: Path) -> None:
    plan = run_trials(tmp_path, *SMALL_MLP, "recipe.epochs=3")
    steps = read_steps(Store(tmp_path), plan, plan.points[0], ACCURACY)
    assert [step for step, _ in steps] == [1, 2, 3]
    score = Store(tmp_path).find_record(plan.points[0].measure)
    assert score is not None
    assert steps[-1][1] == pytest.approx(score["result"]["metrics"]["validation_accuracy"])


def test_epochs_of_all_phases_count_on_those_of_earlier_stages_do_not(tmp_path: Path) -> None:
    plan = run_trials(tmp_path, *SMALL_MLP, *PRUNED)
    last = find_last_training(plan, plan.points[0])
    assert last is not None
    assert last.signature == plan.points[0].network
    assert [step for step, _ in read_steps(Store(tmp_path), plan, plan.points[0], ACCURACY)] == [1, 2]


def test_a_stage_that_only_codes_has_the_curve_of_what_it_codes() -> None:
    plan = plan_trials(*SMALL_MLP, "compression=[magnitude,huffman]")
    last = find_last_training(plan, plan.points[0])
    assert last is not None
    assert last.stage_config["step"]["method"] == "pruning/magnitude"
    plan = plan_trials(*SMALL_MLP, "compression=xz")
    last = find_last_training(plan, plan.points[0])
    assert last is not None
    assert last.stage == "train"


def test_a_running_stage_tells_what_it_has_done_so_far(tmp_path: Path) -> None:
    plan = plan_trials(*SMALL_MLP, *PRUNED)
    store = Store(tmp_path)
    assert read_steps(store, plan, plan.points[0], ACCURACY) == []
    first, second = epoch("magnitude 1", 1, 0.5), epoch("magnitude 2", 1, 0.625)
    write_curve(store, plan, first, second, '{"phase": "magnitude 2", "ep')
    assert read_steps(store, plan, plan.points[0], ACCURACY) == [(1, 0.5), (2, 0.625)]


def test_an_epoch_that_was_run_again_after_a_kill_counts_once(tmp_path: Path) -> None:
    plan = plan_trials(*SMALL_MLP)
    again = epoch("train", 2, 0.75, seconds=4.0)
    write_curve(Store(tmp_path), plan, epoch("train", 1, 0.5), epoch("train", 2, 0.75), again, epoch("train", 3, 0.875))
    steps = read_steps(Store(tmp_path), plan, plan.points[0], ACCURACY)
    assert steps == [(1, 0.5), (2, 0.75), (3, 0.875)]


def test_an_epoch_without_a_figure_is_a_step_without_a_value(tmp_path: Path) -> None:
    plan = plan_trials(*SMALL_MLP)
    lines = [epoch("train", 1, None), epoch("train", 2, float("nan")), epoch("train", 3, 0.5)]
    write_curve(Store(tmp_path), plan, *lines)
    assert read_steps(Store(tmp_path), plan, plan.points[0], ACCURACY) == [(3, 0.5)]


def test_where_nothing_trains_there_are_no_steps(tmp_path: Path) -> None:
    plan = plan_trials(*SMALL_MLP, "compression=xz")
    plan = Plan({signature: replace(node, work=0.0) for signature, node in plan.nodes.items()}, plan.points)
    assert find_last_training(plan, plan.points[0]) is None
    assert read_steps(Store(tmp_path), plan, plan.points[0], ACCURACY) == []


def test_training_keeps_a_curve_of_accuracy_alone() -> None:
    check_has_curve(ACCURACY)
    with pytest.raises(UserError) as error:
        check_has_curve(find_measure("loss"))
    assert str(error.value) == "search.pruner: no curve is kept of loss, only of accuracy; write search/pruner=none"
