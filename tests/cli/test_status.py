"""From another terminal one sees how far a sweep is, what runs where, and what failed."""

import json
from collections.abc import Callable
from pathlib import Path

from command_lines import ONE_WORKER, SMALL_MLP, Call
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from stages.stage_harness import plan_command_line, plan_command_nodes

POINT = (*SMALL_MLP, "seed=0,1")
SWEEP = "description: a try\nexpected_time: seconds\ngrids:\n  - [architecture=mlp, dataset=digits, 'seed=0,1']\n"


def test_what_is_done_runs_or_failed_is_told(call: Call, here: Path) -> None:
    assert call("run", *POINT[:-1], "seed=0", *ONE_WORKER)[0] == 0
    node = next(node for node in plan_command_nodes(*POINT) if node.name.endswith("s1"))
    folder = Store(Path("outputs/store")).folder_of(node)
    (folder / "work.0").mkdir(parents=True)
    lease = LeaseManager("another run").take(folder)
    assert lease is not None
    (folder / "curves.jsonl").write_text('{"phase": "train", "epoch": 3, "epochs": 8, "loss": 0.25}\n')

    code, out, _ = call("status", "--json", *POINT)
    found = json.loads(out)
    assert code == 0
    assert (found["points"], found["done"], found["stages_left"], found["failed"]) == (2, 1, 2, [])
    (running,) = found["running"]
    assert (running["stage"], running["epoch"], running["epochs"], running["loss"]) == ("train", 3, 8, 0.25)
    assert "3/8" in call("status", *POINT)[1]

    lease.release()
    (folder / "failed.json").write_text('{"error": "loss became NaN", "run": "another run"}')
    found = json.loads(call("status", "--json", *POINT)[1])
    assert found["running"] == []
    assert [one["error"] for one in found["failed"]] == ["loss became NaN"]
    assert "loss became NaN" in call("status", *POINT)[1]


def test_asked_for_nothing_it_tells_of_what_runs(call: Call, here: Path) -> None:
    store = Store(Path("outputs/store"))
    store.prepare()
    assert call("status")[1] == "nothing runs in outputs/store\n"
    run = Run.begin(plan_command_line(*POINT), store, 1)
    found = json.loads(call("status", "--json")[1])
    assert (found["points"], found["done"], found["stages_left"]) == (2, 0, 4)
    assert call("status")[1].startswith("0 of 2 points done, 4 stages left")
    run.remove()
    assert json.loads(call("status", "--json")[1])["points"] == 0


def test_failures_are_told_with_when_and_where_the_last_at_the_end(call: Call, here: Path) -> None:
    store = Store(Path("outputs/store"))
    nodes = [node for node in plan_command_nodes(*POINT) if node.stage == "train"]
    for ended, node in zip(("2026-01-02", "2026-01-01"), nodes, strict=True):
        store.folder_of(node).mkdir(parents=True)
        record = {"error": f"failed on {ended}", "run": "", "ended": ended, "host": "there", "cause": "lost node"}
        (store.folder_of(node) / "failed.json").write_text(json.dumps(record))
    found = json.loads(call("status", "--json", *POINT)[1])["failed"]
    assert [(one["ended"], one["host"]) for one in found] == [("2026-01-01", "there"), ("2026-01-02", "there")]
    assert {(one["cause"], one["log"]) for one in found} == {("lost node", None)}
    out = call("status", *POINT)[1]
    assert out.endswith("failed on 2026-01-02 (2026-01-02 on there)\n")
    assert out.splitlines()[-1].startswith("failed (lost node): train ")


def test_a_failure_is_told_with_its_log(call: Call, here: Path) -> None:
    store = Store(Path("outputs/store"))
    node = next(node for node in plan_command_nodes(*POINT) if node.stage == "train")
    folder = store.folder_of(node)
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("all of it\n")
    (folder / "failed.json").write_text(json.dumps({"error": "it failed", "run": "", "cause": "error"}))
    (found,) = json.loads(call("status", "--json", *POINT)[1])["failed"]
    assert (found["cause"], found["log"]) == ("error", str(folder / "log.txt"))
    assert f"failed: train {node.name}: it failed; its log: {folder / 'log.txt'}\n" in call("status", *POINT)[1]


def test_a_sweep_may_be_named_alone(call: Call, write: Callable[[str, str], Path]) -> None:
    write("sweeps/tried.yaml", SWEEP)
    assert call("status", "tried") == call("status", "sweep=tried")
    assert call("status", "tried")[1].startswith("0 of 2 points done, 4 stages left, about ")
    code, _, error = call("status", "tired")
    assert (code, error) == (2, "convarium: sweep=tired: no such sweep (did you mean tried?)\n")
