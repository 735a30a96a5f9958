"""`plan`, `show` and `compare` say how much of a network methods can work on."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command_lines import Call
from convarium.workers.fresh_process import kill_fresh_processes

Json = dict[str, Any]
MODULE = """
from torch import nn
from convarium.architectures.builder import Builder

class Rows(nn.Module):
    def __init__(self, channels, classes, side):
        super().__init__()
        self.reader = nn.GRU(channels * side, 12, batch_first=True)
        self.hidden, self.head = nn.Linear(12, 12), nn.Linear(12, classes)

    def forward(self, images):
        rows = images.permute(0, 2, 1, 3).flatten(2)
        return self.head(self.hidden(self.reader(rows)[0].mean(1)).relu())

NET = Builder(Rows, {})
"""
NETWORK = """source: own
name: 'rows:NET'
in_chans: null
num_classes: null
img_size: null
stem: native
weights: null
kwargs: {}
"""
GRU, LAYERS = 3 * 12 * (8 + 12), 12 * 12 + 12 * 10
SHARE = LAYERS / (GRU + LAYERS)
SAID = f"methods work on {100 * SHARE:.1f} % of its weights; the rest stays as it is (GRU {100 - 100 * SHARE:.1f} %)"
LINE = (
    "architecture=rows", "dataset=digits", "dataset.train_size=60", "recipe.epochs=1", "compression=none,magnitude",
    "compression.magnitude.epochs=0",
)  # fmt: skip
COVERED = ("architecture=mlp", *LINE[1:])


@pytest.fixture
def read(write: Callable[[str, str], Path], call: Call) -> Iterator[Callable[..., Json]]:
    """Call a command in a folder with a network of rows; its JSON."""
    kill_fresh_processes()  # one that earlier tests started in this process does not know this folder
    write("rows.py", MODULE)
    write("conf/architecture/rows.yaml", NETWORK)

    def called(*arguments: str) -> Json:
        code, out, err = call(*arguments, "--json")
        assert code == 0, err
        found: Json = json.loads(out)
        return found

    yield called
    sys.modules.pop("rows", None)


def test_plan_says_it_where_it_builds_the_networks(read: Callable[..., Json], call: Call) -> None:
    (told,) = read("plan", *LINE)["networks"]
    assert told == {"architecture": "rows:NET", "coverage": pytest.approx(SHARE), "uncovered": {"GRU": 1 - SHARE}}
    assert f"rows:NET: {SAID}" in call("plan", *LINE)[1]
    assert "networks" not in read("plan", *LINE, "--fast")
    assert "methods work on" not in call("plan", *LINE, "--fast")[1]


def test_a_network_that_is_covered_has_the_number_and_no_line(read: Callable[..., Json], call: Call) -> None:
    assert [one["coverage"] for one in read("plan", *COVERED)["networks"]] == [1.0]
    assert "methods work on" not in call("plan", *COVERED)[1]


def test_show_and_the_table_say_what_was_found_when_it_was_measured(read: Callable[..., Json], call: Call) -> None:
    runs = read("run", *LINE, "hydra/launcher=basic", "runtime.workers=1")["runs"]
    rows = read("compare", *LINE)["rows"]
    assert [row["coverage"] for row in rows] == pytest.approx([SHARE, SHARE])
    assert f"rows:NET: {SAID}." in " ".join(call("compare", *LINE)[1].split())
    for run in runs:
        assert read("show", run["signature"])["coverage"] == pytest.approx(SHARE)
        assert f"coverage: {SAID}" in call("show", run["signature"])[1]
