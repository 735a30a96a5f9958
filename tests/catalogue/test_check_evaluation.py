"""A check runs its sweep, holds the figures against what is claimed, and stays visible."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from command_lines import ONE_WORKER, Call

Write = Callable[[str, str], object]
CHECK = """
description: fewer weights
expected_time: seconds
check:
  chain: [pruning/magnitude]
  metric: ratio
  published: 9
  unit: times fewer bytes
  direction: higher
  holds: [{holds}]
grids:
  - [architecture=mlp, dataset=digits, dataset.train_size=200, recipe.epochs=1, compression=pruning/magnitude,
     compression.magnitude.rounds=1, compression.magnitude.epochs=0, 'seed=0,1']
"""


@pytest.mark.parametrize(("holds", "code"), [("ratio>=2", 0), ("ratio>=90", 1)])
def test_the_verdict_is_told_at_once_and_later(holds: str, code: int, call: Call, write: Write) -> None:
    write("sweeps/checks/learning_both.yaml", CHECK.format(holds=holds))
    ended, out, _ = call("--check", "learning_both", "--json", *ONE_WORKER)
    (row,) = json.loads(out)["rows"]
    assert ended == code
    assert row["ours"]["holds"] is (code == 0)
    assert row["ours"]["missed"] == ([] if code == 0 else [holds])
    assert 2 < row["ours"]["figure"] < 90
    assert len(row["ours"]["signatures"]) == 2
    _, listed, _ = call("--section", "4.1.1", "--json")
    assert row in json.loads(listed)["rows"]


def test_a_claim_about_a_row_that_its_sweep_does_not_have_is_a_mistake(call: Call, write: Write) -> None:
    text = CHECK.format(holds="ratio>=2").replace("chain: [pruning/magnitude]", "chain: [quantization/kmeans]")
    write("sweeps/checks/learning_both.yaml", text)
    code, _, error = call("--check", "learning_both", *ONE_WORKER)
    assert code == 2
    assert error.endswith(
        "convarium: the check of learning_both needs one measured row of quantization/kmeans; its sweep has 0\n"
    )


def test_a_metric_that_is_not_there_is_a_mistake(call: Call, write: Write) -> None:
    write("sweeps/checks/learning_both.yaml", CHECK.format(holds="ratio>=2").replace("metric: ratio", "metric: ration"))
    code, _, error = call("--check", "learning_both", *ONE_WORKER)
    assert code == 2
    assert error.endswith("convarium: the check of learning_both: no metric 'ration' (did you mean ratio?)\n")


CONTROLLED = """
description: a claim with everything a check may ask
expected_time: seconds
check:
  chain: [pruning/magnitude]
  metric: {metric}
  of_dense: {of_dense}
  published: 0.1
  unit: of the dense network's
  direction: lower
  holds: []
  most_lost: {lost}
  least_shown: {shown}
  better_than: {better}
grids:
  - [architecture=mlp, dataset=digits, dataset.train_size=200, recipe.epochs=4,
     'compression=none,pruning/magnitude,pruning/random', compression.magnitude.rounds=1,
     compression.magnitude.epochs=0, compression.magnitude.sparsity=0.9, compression.random.rounds=1,
     compression.random.epochs=0, compression.random.sparsity=0.9, 'seed=0,1']
"""
EASY = {"metric": "nonzeros", "of_dense": "true", "lost": 100, "shown": -100, "better": "[[pruning/random]]"}
HARD = {"metric": "accuracy_delta_pp", "of_dense": "false", "lost": -100, "shown": 99, "better": "[[]]"}


def controlled(call: Call, write: Write, asked: dict[str, object]) -> tuple[int, dict[str, Any]]:
    write("sweeps/checks/learning_both.yaml", CONTROLLED.format(**asked))
    code, out, error = call("--check", "learning_both", "--json", *ONE_WORKER)
    assert code < 2, error
    (row,) = json.loads(out)["rows"]
    return code, row


def test_a_check_may_ask_for_a_share_a_loss_an_interval_and_a_control(call: Call, write: Write) -> None:
    code, row = controlled(call, write, EASY)
    assert (code, row["status"], row["ours"]["missed"]) == (0, "check holds", [])
    assert 0.05 < row["ours"]["figure"] < 0.15
    code, row = controlled(call, write, HARD)
    assert (code, row["status"]) == (1, "check fails")
    assert row["ours"]["figure"] == row["ours"]["accuracy_delta_pp"] < 0
    lost, interval, dense = row["ours"]["missed"]
    assert lost.startswith("at least 100 pp gained (gained ")
    assert interval.startswith("the interval of the difference above +99 (from ")
    assert dense.startswith("test accuracy above that of dense (")


def test_a_verdict_of_another_check_is_no_verdict(call: Call, write: Write) -> None:
    controlled(call, write, EASY)
    write("sweeps/checks/learning_both.yaml", CONTROLLED.format(**HARD))
    _, out, _ = call("--section", "4.1.1", "--json")
    (row,) = [row for row in json.loads(out)["rows"] if row["id"] == "learning_both"]
    assert row["ours"] is None
    assert row["status"] == "built"


def test_a_control_that_the_sweep_does_not_have_is_a_mistake(call: Call, write: Write) -> None:
    write("sweeps/checks/learning_both.yaml", CONTROLLED.format(**{**EASY, "better": "[[coding/xz]]"}))
    code, _, error = call("--check", "learning_both", *ONE_WORKER)
    assert code == 2
    assert error.endswith("is to be better than coding/xz; its sweep has no such row\n")
