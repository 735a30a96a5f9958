"""From another terminal one sees how far a sweep is, what runs where, and what failed."""

import json
from collections.abc import Callable
from pathlib import Path

from convarium.cli.points import ask
from convarium.stages.graph import plan
from convarium.store.lease import Leases
from convarium.store.store import Store

Call = Callable[..., tuple[int, str, str]]
POINT = ("architecture=mlp", "dataset=digits", "dataset.train_size=200", "recipe.epochs=1", "seed=0,1")
SWEEP = "description: a try\nexpected_time: seconds\ngrids:\n  - [architecture=mlp, dataset=digits, 'seed=0,1']\n"


def test_what_is_done_runs_or_failed_is_told(call: Call, here: Path) -> None:
    assert call("run", *POINT[:-1], "seed=0", "runtime.workers=1", "runtime.threads=1")[0] == 0
    node = next(node for node in plan(ask(POINT).accepted()).nodes.values() if node.name.endswith("s1"))
    folder = Store(Path("outputs/store")).folder(node)
    (folder / "work.0").mkdir(parents=True)
    lease = Leases("another run").take(folder)
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


def test_a_sweep_may_be_named_alone(call: Call, write: Callable[[str, str], Path]) -> None:
    write("sweeps/tried.yaml", SWEEP)
    assert call("status", "tried") == call("status", "sweep=tried")
    assert call("status", "tried")[1].startswith("0 of 2 points done, 4 stages left, about ")
    code, _, error = call("status", "tired")
    assert (code, error) == (2, "convarium: sweep=tired: no such sweep (did you mean tried?)\n")
