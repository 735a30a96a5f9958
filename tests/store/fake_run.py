"""Plans of fake stages, ways to launch their workers, and a program that runs such a plan."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from convarium.planning.plan import Node, Plan
from convarium.store.store import Store
from convarium.workers import controller
from convarium.workers.launcher_backend import Launcher, LauncherBackend
from convarium.workers.node_status import NodeStatus
from convarium.workers.progress import build_progress_display
from convarium.workers.progress_display import ProgressDisplay
from convarium.workers.run_file import Run
from convarium.workers.worker_process import run_worker

Launch = Launcher
ROOT = Path(__file__).resolve().parents[2]
SUBPROCESS_ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}


def make_fake_node(
    name: str, parents: Iterable[Node] = (), *, stage: str = "step", journal: Path | None = None, **own: Any
) -> Node:
    """A fake stage; `own` overrides its knobs."""
    knobs: dict[str, Any] = {"name": name, "seed": 0, "epochs": 1, "seconds": 0.0, "fresh": False}
    return Node(
        stage=f"store.fake_stage:{stage}",
        version=1,
        stage_config=knobs | own,
        parents=tuple(parent.signature for parent in parents),
        fingerprint=None,
        name=name,
        runtime={"root": str(journal) if journal else None},
        work=1.0,
    )


def make_fake_plan(*nodes: Node) -> Plan:
    """A plan that wants all its nodes, parents given first."""
    return Plan({node.signature: node for node in nodes}, ())


def make_fake_sweep(journal: Path | None = None, *, width: int = 3, seconds: float = 0.1, epochs: int = 3) -> Plan:
    """As many chains of three stages as `width`, two of which share their first stage; one uses fresh processes."""
    nodes: list[Node] = []
    for index in range(width):
        knobs: dict[str, Any] = {"journal": journal, "epochs": epochs, "seconds": seconds}
        first = make_fake_node(f"train-{max(index - 1, 0)}", **knobs)
        second = make_fake_node(f"compress-{index}", [first], **knobs)
        third = make_fake_node(f"measure-{index}", [second, first], **{**knobs, "epochs": 1}, fresh=True)
        nodes += [first, second, third]
    return make_fake_plan(*nodes)


def run_plan_silently(plan: Plan, root: Path, launch: Launch, workers: int = 2) -> dict[str, NodeStatus]:
    """Run a plan silently."""
    return run_plan_with(build_progress_display(True), plan, root, launch, workers)


def run_plan_with(
    display: ProgressDisplay, plan: Plan, root: Path, launch: Launch, workers: int = 2
) -> dict[str, NodeStatus]:
    """Run a plan with what shows its progress."""
    return controller.run_plan(plan, Store(root), lambda run: LauncherBackend(run, launch), workers, display)


def begin_fake_run(plan: Plan, root: Path, workers: int) -> Run:
    """Begin a run, to which a test brings the workers."""
    store = Store(root)
    store.prepare()
    return Run.begin(plan, store, workers)


def launch_in_thread(jobs: list[list[str]]) -> None:
    """One worker after the other, as Hydra's basic launcher does."""
    for job in jobs:
        run_worker(*_parse_job(job))


def launch_in_processes(jobs: list[list[str]]) -> None:
    """A process for each worker."""
    code = "import sys; from pathlib import Path; from convarium.workers.worker_process import run_worker; "
    code += "run_worker(Path(sys.argv[1]), int(sys.argv[2]))"
    commands = [[sys.executable, "-c", code, *map(str, _parse_job(job))] for job in jobs]
    processes = [subprocess.Popen(command, env=SUBPROCESS_ENVIRONMENT) for command in commands]
    for process in processes:
        process.wait()


def launch_in_joblib(jobs: list[list[str]]) -> None:
    """Joblib's pool, as Hydra's launcher uses it."""
    from joblib import Parallel, delayed

    Parallel(n_jobs=len(jobs))(delayed(run_worker)(*_parse_job(job)) for job in jobs)


def read_stored_results(root: Path) -> dict[str, Any]:
    """All that is stored and must not depend on kills: result and files by name, curves included."""
    found: dict[str, Any] = {}
    for done in Store(root).read_records():
        folder = Store(root).find_folder(done["signature"])
        assert folder is not None
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("done.json", "log.txt")}
        found[done["signature"]] = (done["name"], done["result"], files)
    return found


def _parse_job(job: list[str]) -> tuple[Path, int]:
    values = dict(text.lstrip("+").split("=", 1) for text in job)
    return Path(values["runtime.plan"]), int(values["runtime.worker"])


def main() -> None:
    """`python -m store.fake_run STORE JOURNAL LAUNCH`: run the sweep; print how its nodes ended."""
    root, journal, launch = Path(sys.argv[1]), Path(sys.argv[2]), globals()[sys.argv[3]]
    statuses = run_plan_silently(make_fake_sweep(journal), root, launch)
    print(json.dumps(sorted(status.state for status in statuses.values())))


if __name__ == "__main__":
    main()
