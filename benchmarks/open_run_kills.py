"""Kill -9 at random moments of an open run that grows: a new controller takes it over, and nothing is lost.

    python benchmarks/open_run_kills.py [--kills 200] [--seed 0]

The stages are those of the tests: ten epochs of a tenth of a second, each with a checkpoint. The plan holds three of
them at a time, for two workers. Kills hit the controller or one of its workers. Whoever is killed is replaced: a
controller by the same command, a worker by its controller. It prints how often stages were begun.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from convarium.store.store import Store
from convarium.workers.stored_runs import find_living_runs

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}
STAGES_PER_KILL, EPOCHS, WORKERS = 1, 10, 2
PAUSE_SECONDS = (0.2, 2.0)  # before a kill


def main() -> None:
    """Disturb one run, leave another alone, and print the counts of the disturbed one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    stages = STAGES_PER_KILL * options.kills
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        kills = disturb(root / "disturbed", root / "journal", stages, options.kills, random.Random(options.seed))
        start(root / "undisturbed", root / "other_journal", stages).wait()
        begun = Counter(line.split()[0] for line in (root / "journal").read_text().splitlines())
        is_equal = read_files(root / "disturbed") == read_files(root / "undisturbed")
        failed = len(list((root / "disturbed").glob("*/*/failed.json")))
        runs = len(list((root / "disturbed" / "runs").iterdir()))
    print("| kills | stages | begun once | twice | oftener | failed | runs left | results equal |")
    print("|---|---|---|---|---|---|---|---|")
    times = Counter(begun.values())
    oftener = sum(count for number, count in times.items() if number > 2)
    hits = f"{kills['controller']} of controllers, {kills['worker']} of workers"
    counts = [times[1], times[2], oftener, failed, runs, "yes" if is_equal else "no"]
    print(f"| {hits} | {stages} | {' | '.join(map(str, counts))} |")


def disturb(store: Path, journal: Path, stages: int, kills: int, rng: random.Random) -> Counter[str]:
    """Run all stages, killing somebody now and then; return who was hit how often."""
    hits: Counter[str] = Counter()
    process = start(store, journal, stages)
    while hits.total() < kills and process.poll() is None:
        time.sleep(rng.uniform(*PAUSE_SECONDS))
        runs = [run for _, run in find_living_runs(Store(store)) if run is not None]
        workers = [worker.pid for run in runs for worker in run.find_living_workers()]
        victim = rng.choice([process.pid, *workers])
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        hits["controller" if victim == process.pid else "worker"] += 1
        if victim == process.pid:
            process.wait()
            process = start(store, journal, stages)
    if process.wait() != 0:
        raise SystemExit("the run did not come to its end")
    return hits


def start(store: Path, journal: Path, stages: int) -> "subprocess.Popen[bytes]":
    """Start a controller."""
    numbers = [str(stages), str(EPOCHS), str(WORKERS)]
    return subprocess.Popen([sys.executable, "-m", "store.fake_open_run", store, journal, *numbers], env=ENVIRONMENT)


def read_files(store: Path) -> dict[str, bytes]:
    """Return what is stored of each stage and must not depend on kills."""
    return {path.parent.name: path.read_bytes() for path in store.glob("*/*/network.cvm")}


if __name__ == "__main__":
    main()
