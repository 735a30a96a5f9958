"""A check runs its sweep, holds the figures against what is claimed, and stays visible."""

import json
from collections.abc import Callable

import pytest

Call = Callable[..., tuple[int, str, str]]
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
    ended, out, _ = call("--check", "learning_both", "--json", "runtime.workers=1", "runtime.threads=1")
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
    code, _, error = call("--check", "learning_both", "runtime.workers=1", "runtime.threads=1")
    assert code == 2
    assert error.endswith(
        "convarium: the check of learning_both needs one measured row of quantization/kmeans; its sweep has 0\n"
    )


def test_a_metric_that_is_not_there_is_a_mistake(call: Call, write: Write) -> None:
    write("sweeps/checks/learning_both.yaml", CHECK.format(holds="ratio>=2").replace("metric: ratio", "metric: ration"))
    code, _, error = call("--check", "learning_both", "runtime.workers=1", "runtime.threads=1")
    assert code == 2
    assert error.endswith("convarium: the check of learning_both: no metric 'ration' (did you mean ratio?)\n")
