"""`run --retry` does again what is remembered as failed, or timed on a busy machine; of the asked points only."""

import json
from pathlib import Path

import pytest

from command_lines import IN_PROCESS, SMALL_MLP, Call, Pretend
from convarium.stages import time
from convarium.store.store import Store
from stages.stage_harness import plan_command_nodes

RECORDED_RACE = {"latency_ms": 1.0, "dense_ms": 1.0, "speedup": 1.0, "spread": 1.1, "peak_memory_bytes": 100}
BUDGET = (*SMALL_MLP, "compression=kmeans", "budget.bytes=250")


def test_what_was_not_reachable_is_tried_again(call: Call) -> None:
    assert call("run", *BUDGET, *IN_PROCESS)[0] == 2
    (row,) = json.loads(call("ls", "--failed", "--json")[1])["results"]
    code, _, error = call("run", *BUDGET, *IN_PROCESS)
    assert (code, "not reachable" in error) == (2, True)
    assert json.loads(call("ls", "--failed", "--json")[1])["results"] == [row]
    code, _, error = call("run", "--retry", "failed", *BUDGET, *IN_PROCESS)
    assert (code, error.splitlines()[0]) == (2, "--retry failed: 1 forgotten")
    (again,) = json.loads(call("ls", "--failed", "--json")[1])["results"]
    assert again["started"] > row["started"]


def test_void_times_are_taken_again(call: Call, pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks stay as they are stored; the race is a recorded one, as how long it takes is no matter here."""
    line = (*SMALL_MLP, "measurement.executors=[eager]")
    asked, store = pretend(line), Store(Path("outputs/store"))
    records = {name: store.folder_of(node) / "done.json" for name, node in asked.nodes.items()}
    file, raced = records[asked.points[0].times[0]], []
    void = json.loads(file.read_text())
    file.write_text(json.dumps({**void, "result": {**void["result"], "void": True}}))
    before = {name: record.read_text() for name, record in records.items()}
    monkeypatch.setattr(time, "_run_race", lambda paths, *_: raced.append(paths) or RECORDED_RACE)
    *_, error = call("run", "--json", "--retry", "void", *line, *IN_PROCESS)
    assert error.splitlines()[0] == "--retry void: 1 forgotten"
    assert len(raced) == time.RACE_PROCESSES
    found = json.loads(file.read_text())
    assert found["started"] > void["started"]
    assert (found["result"]["void"], found["result"]["metrics"]["latency_ms"]) == (False, 1.0)
    changed = {name for name, record in records.items() if record.read_text() != before[name]}
    assert changed == {asked.points[0].times[0]}


def test_another_word_is_one_line_and_runs_nothing(call: Call) -> None:
    code, out, error = call("run", "--retry", "all", *SMALL_MLP)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "argument --retry: invalid choice: 'all' (choose from 'failed', 'void')" in error
    assert not Path("outputs").exists()


def test_a_checkpoint_that_was_cut_off_costs_a_line_of_the_log(call: Call) -> None:
    node = plan_command_nodes(*SMALL_MLP)[0]
    folder = Store(Path("outputs/store")).folder_of(node)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "train.ckpt").write_bytes(b"PK\x03\x04 cut off")
    assert call("run", *SMALL_MLP, *IN_PROCESS)[0] == 0
    lines = call("show", node.signature, "--log")[1].splitlines()
    (told,) = [line for line in lines if "train.ckpt is damaged and is left out" in line]
    assert "WARNING" in told
