"""`run --retry` does again what is remembered as failed, or timed on a busy machine; of the asked points only."""

import json
from collections.abc import Callable
from pathlib import Path

from convarium.compose.points import compose_points
from convarium.planning.stage_graph import build_plan
from convarium.store.store import Store

Call = Callable[..., tuple[int, str, str]]
SMALL = ("architecture=mlp", "dataset=digits", "dataset.train_size=200", "recipe.epochs=1")
HERE = ("runtime.workers=1", "runtime.threads=1", "hydra/launcher=basic")
BUDGET = (*SMALL, "compression=kmeans", "budget.bytes=250")


def test_what_was_not_reachable_is_tried_again(call: Call) -> None:
    assert call("run", *BUDGET, *HERE)[0] == 2
    (row,) = json.loads(call("ls", "--failed", "--json")[1])["results"]
    code, _, error = call("run", *BUDGET, *HERE)
    assert (code, "not reachable" in error) == (2, True)
    assert json.loads(call("ls", "--failed", "--json")[1])["results"] == [row]
    code, _, error = call("run", "--retry", "failed", *BUDGET, *HERE)
    assert (code, error.splitlines()[0]) == (2, "--retry failed: 1 forgotten")
    (again,) = json.loads(call("ls", "--failed", "--json")[1])["results"]
    assert again["started"] > row["started"]


def test_void_times_are_taken_again(call: Call) -> None:
    line = (*SMALL, "measurement.executors=[eager]")
    assert call("run", *line, *HERE)[0] == 0
    (point,) = build_plan(compose_points(line).check_points()).points
    file = Store(Path("outputs/store")).find_folder(point.times[0])
    assert file is not None
    record = json.loads((file / "done.json").read_text())
    void = {**record, "result": {**record["result"], "void": True}}
    (file / "done.json").write_text(json.dumps(void))
    *_, error = call("run", "--json", "--retry", "void", *line, *HERE)
    assert error.splitlines()[0] == "--retry void: 1 forgotten"
    assert json.loads((file / "done.json").read_text())["started"] > record["started"]


def test_another_word_is_one_line_and_runs_nothing(call: Call) -> None:
    code, out, error = call("run", "--retry", "all", *SMALL)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "argument --retry: invalid choice: 'all' (choose from 'failed', 'void')" in error
    assert not Path("outputs").exists()


def test_a_checkpoint_that_was_cut_off_costs_a_line_of_the_log(call: Call) -> None:
    node = next(iter(build_plan(compose_points(SMALL).check_points()).nodes.values()))
    folder = Store(Path("outputs/store")).folder_of(node)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "train.ckpt").write_bytes(b"PK\x03\x04 cut off")
    assert call("run", *SMALL, *HERE)[0] == 0
    lines = call("show", node.signature, "--log")[1].splitlines()
    (told,) = [line for line in lines if "train.ckpt is damaged and is left out" in line]
    assert "WARNING" in told
