"""docs/how-to/workers.md: a run, and a worker that comes to it."""

import re
import shlex
from pathlib import Path

from command_lines import Call
from convarium.store.store import Store
from convarium.workers.run_file import Run
from stages.stage_harness import plan_command_line

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "workers.md").read_text(encoding="utf-8")
SMALL = ("dataset.train_size=200", "recipe.epochs=1")


def test_a_worker_makes_what_the_page_s_run_asks_for(call: Call) -> None:
    lines = [
        shlex.split(line) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
    ]
    (_, run_command, *overrides), (_, work_command, run_folder) = lines[:2]
    assert (run_command, work_command) == ("run", "work")
    store, plan = Store(Path("outputs/store")), plan_command_line(*overrides, *SMALL)
    store.prepare()
    run = Run.begin(plan, store, workers=2)
    assert call(work_command, run_folder.replace("RUN", run.id)) == (0, "nothing is left for this worker\n", "")
    assert {done["signature"] for done in store.read_records()} == plan.nodes.keys()
    run.remove()
    code, _, error = call(run_command, *overrides, *SMALL)
    assert (code, error.count("to run")) == (0, 0), "all is stored"
