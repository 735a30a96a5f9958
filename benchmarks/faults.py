"""Faults over a sweep of 36 points on Slurm or with local workers: the same command ends with the same files.

    python benchmarks/faults.py [--backend slurm|local] [--stages real|fake|ranks] [--faults 100] [--minutes 90]
        [--seed 0] [--store-mib 600]

Two jobs of a Slurm of two nodes, or four local workers, make the stages. Real ones: LeNet-5 on 1,500 images of mnist5k,
twelve methods, three seeds (75 stages). Fake ones: 36 chains of two stages of the tests, of ten epochs of 0.3 s, each
with a checkpoint. "ranks": six points of the real ones under `runtime.devices=2`, of which ranks are killed.

One fault comes after another, each when as many workers as before the last one have brought a stage further, to another
checkpoint or to its end, and none is at work on what a fault has met since its last checkpoint. A command that was
killed, or that says that something is missing, is typed again. A sweep that is done is compared with an undisturbed
one, and begun again in an empty store. Needs root for the store's own small disk (a tmpfs); `slurm` what
tests/cluster/slurm needs.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from convarium.host.room import FOLDER_VARIABLE
from disturbed_sweep import DisturbedSweep, StageWatch, read_contents
from fault_kinds import LOCAL_FAULTS, RANK_FAULTS, SLURM_FAULTS, NothingToHarm, Place, Scene, bring_jobs_back

sys.path[0] = str(Path(__file__).parents[1] / "tests")  # in place of this folder, whose store.py would hide theirs

METHODS = (
    "none,magnitude,random,kmeans,uniform,levels,bwn,xz,svd,"
    "[magnitude,kmeans],[magnitude,kmeans,huffman],[magnitude,levels,arithmetic]"
)
NETWORK = (
    "architecture=lenet5", "dataset=mnist5k", "dataset.train_size=1500", "recipe.epochs=4", "recipe.batch_size=8",
)  # fmt: skip
RUN = (sys.executable, "-m", "convarium", "run", *NETWORK, "seed=0,1,2")
SWEEP = (*RUN, f"compression={METHODS}")
RANK_SWEEP = (*RUN, "compression=none,magnitude", "runtime.devices=2")
WORKERS: Mapping[str, tuple[str, ...]] = {
    "local": ("runtime.workers=4", "runtime.threads=1"),
    "slurm": (
        "runtime.workers=2", "hydra/launcher=slurm", "hydra.launcher.squeue_seconds=1",
        "hydra.launcher.signal_delay_s=60", "hydra.launcher.timeout_min=60",
    ),
}  # fmt: skip
STORE = "runtime.store="
FAKE_CODE = """
import sys; from pathlib import Path
from cluster.slurm.slurm_runs import build_slurm_backend, make_fake_chains
from convarium.store.store import Store
from convarium.workers.controller import run_plan
from convarium.workers.local_backend import LocalBackend
from convarium.workers.progress import build_progress_display
_, backend, workers, store = sys.argv
build, scheduler = (build_slurm_backend(), "slurm") if backend == "slurm" else (LocalBackend, None)
plan = make_fake_chains(None, width=36, epochs=10, seconds=0.3)
settings = {"idle_minutes": 0.1, "scheduler": scheduler}
statuses = run_plan(plan, Store(Path(store)), build, int(workers), build_progress_display(quiet=True), **settings)
sys.exit(any(status.state != "done" for status in statuses.values()))
"""
FAKE_SWEEP = (sys.executable, "-c", FAKE_CODE)
PAUSE_SECONDS = (0.5, 8.0)  # before a fault
GO_ON_SECONDS = 600.0  # after which a stage counts as lost
FINISH_SECONDS = 1200.0
Faults = Mapping[str, tuple[Callable[[Scene], None], int]]


@dataclass(frozen=True)
class Sweep:
    """A command that is disturbed, one that makes the same undisturbed, and the faults; a store completes each."""

    command: Sequence[str]
    calm_command: Sequence[str]
    faults: Faults


@dataclass
class Tally:
    """What came of the faults.

    Attributes:
        due: when no further fault is begun, in monotonic time.
        seconds, begun_again, typed_again: of each fault, by its name.
        too_often: stages that were begun more than twice between two checkpoints.
        broken: what else is not as it must be, in words.
    """

    due: float
    seconds: dict[str, list[float]] = field(default_factory=dict)
    begun_again: dict[str, list[int]] = field(default_factory=dict)
    typed_again: dict[str, list[int]] = field(default_factory=dict)
    too_often: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    sweeps: int = 0

    def note(self, name: str, seconds: float, begun_again: int, typed_again: int) -> None:
        """Add a fault."""
        self.seconds.setdefault(name, []).append(seconds)
        self.begun_again.setdefault(name, []).append(begun_again)
        self.typed_again.setdefault(name, []).append(typed_again)

    @property
    def count(self) -> int:
        """How many faults there were."""
        return sum(map(len, self.seconds.values()))


def main() -> int:
    """Print the table; return 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=list(WORKERS), default="local")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=90.0, help="after which no fault is begun")
    parser.add_argument("--stages", choices=["real", "fake", "ranks"], default="real")
    parser.add_argument("--store-mib", type=int, default=600)
    options = parser.parse_args()
    tally = Tally(time.monotonic() + 60 * options.minutes)
    with tempfile.TemporaryDirectory() as name, mount_disk(Path(name), options.store_mib) as disk, ExitStack() as stack:
        (Path(name) / "room").mkdir()
        environment = {FOLDER_VARIABLE: f"{name}/room", "PYTHONPATH": sys.path[0]}
        slurm = None
        if options.backend == "slurm":
            slurm = stack.enter_context(start_slurm(Path(name) / "slurm"))
            environment |= slurm.environment
        host_class = import_module("cluster.hosts").Host
        place = Place(Path(name), disk, environment, slurm, host_class, random.Random(options.seed))
        try:
            sweep = build_sweep(options.stages, options.backend)
            disturb(place, sweep, choose_faults(sweep.faults, options.faults, place.rng), tally)
        finally:
            print_table(tally)
    return 1 if tally.broken or tally.too_often else 0


def build_sweep(stages: str, backend: str) -> Sweep:
    """Return the sweep that is disturbed."""
    faults = SLURM_FAULTS if backend == "slurm" else LOCAL_FAULTS
    if stages == "fake":
        workers = "2" if backend == "slurm" else "4"
        return Sweep((*FAKE_SWEEP, backend, workers, ""), (*FAKE_SWEEP, "local", "4", ""), faults)
    command, kinds = (RANK_SWEEP, RANK_FAULTS) if stages == "ranks" else (SWEEP, faults)
    return Sweep((*command, *WORKERS[backend], STORE), (*command, *WORKERS["local"], STORE), kinds)


@contextmanager
def mount_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a small disk for stores; it is seen by what is started afterwards."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@contextmanager
def start_slurm(folder: Path) -> Iterator[Any]:
    """Start a Slurm of two nodes."""
    folder.mkdir()
    slurm = import_module("cluster.slurm.slurm_cluster").SlurmCluster(folder)
    try:
        yield slurm
    finally:
        slurm.close()


def choose_faults(faults: Faults, count: int, rng: random.Random) -> list[str]:
    """Return the names of as many faults as fall to these kinds of `count`, each kind at least once."""
    names = [name for name, (_, share) in faults.items() for _ in range(max(1, round(share * count / 100)))]
    rng.shuffle(names)
    return names


def disturb(place: Place, line: Sweep, names: Sequence[str], tally: Tally) -> None:
    """Run a sweep undisturbed, then with the faults, as often as it takes until all have happened."""
    remaining = list(names)
    if time.monotonic() < tally.due:
        expected = make_expected(place, line)
    while remaining and time.monotonic() < tally.due:
        with begin_sweep(place, line.command) as sweep:
            scene, watch = Scene(sweep, place), StageWatch(sweep.store)
            while remaining and time.monotonic() < tally.due:
                try:
                    inflict(scene, watch, remaining[0], line.faults, tally)
                except NothingToHarm:
                    break
                remaining.pop(0)
            finish(scene)
            watch.look()
            tally.too_often += sorted(watch.too_often)
            check(scene, expected, tally)


@contextmanager
def begin_sweep(place: Place, command: Sequence[str]) -> Iterator[DisturbedSweep]:
    """Type a command for an empty store, which is removed in the end; what it left running ends with it."""
    sweep = DisturbedSweep(place.scratch, place.disk / "store", command, place.environment)
    try:
        yield sweep
    finally:
        sweep.process.kill()
        sweep.process.wait()
        shutil.rmtree(sweep.store)


def make_expected(place: Place, line: Sweep) -> dict[str, str]:
    """Return what a sweep stores that nothing happens to."""
    with begin_sweep(place, line.calm_command) as calm:
        if calm.process.wait(FINISH_SECONDS) != 0:
            raise SystemExit("the undisturbed sweep failed")
        return read_contents(calm.store)


def inflict(scene: Scene, watch: StageWatch, name: str, faults: Faults, tally: Tally) -> None:
    """Let a fault happen, and wait until as many workers as before have brought a stage further."""
    time.sleep(scene.place.rng.uniform(*PAUSE_SECONDS))
    scene.choose(lambda: _find_stages_to_meet(scene, watch), GO_ON_SECONDS)
    worker_count = len(scene.sweep.find_stages_at_work())
    watch.look()
    again, typed = watch.begun_count - watch.stage_count, scene.sweep.typed_count
    faults[name][0](scene)
    ended = time.monotonic()
    watch.over_at = time.time()
    watch.forget_workers()
    while len(watch.workers) < worker_count and not scene.sweep.is_done:
        if time.monotonic() - ended > GO_ON_SECONDS:
            raise SystemExit(f"after {name} the work did not go on")
        tend(scene)
        watch.look()
    figures = (watch.begun_count - watch.stage_count - again, scene.sweep.typed_count - typed)
    tally.note(name, time.monotonic() - ended, *figures)
    oftener = f", begun too often so far: {', '.join(watch.too_often)}" if watch.too_often else ""
    print(f"{tally.count}. {name}: {tally.seconds[name][-1]:.1f} s, {figures}{oftener}", file=sys.stderr, flush=True)


def _find_stages_to_meet(scene: Scene, watch: StageWatch) -> Sequence[Path]:
    """Return the stages at work; none as long as a fault would meet one twice between two checkpoints."""
    watch.looked_at = time.time()
    folders = scene.sweep.find_stages_at_work()
    return [] if watch.has_second_run(folders) else folders


def tend(scene: Scene) -> None:
    """Do what a user and a patient Slurm would."""
    scene.sweep.type_again()
    bring_jobs_back(scene)
    time.sleep(0.1)


def finish(scene: Scene) -> None:
    """Wait for the sweep's end."""
    end = time.monotonic() + FINISH_SECONDS
    while not scene.sweep.is_done:
        if time.monotonic() > end:
            raise SystemExit("the sweep did not come to its end")
        tend(scene)


def check(scene: Scene, expected: Mapping[str, str], tally: Tally) -> None:
    """Note what is not as an undisturbed sweep leaves it."""
    tally.sweeps += 1
    store = scene.sweep.store
    found = read_contents(store)
    tally.broken += [f"lost: {name}" for name in expected if name not in found]
    tally.broken += [f"differs: {name}" for name in found if expected.get(name) != found[name]]
    tally.broken += [f"failed: {path.parent.name}" for path in store.glob("*/*/failed.json")]
    tally.broken += [f"left: {path.name}" for path in store.glob("*/*/lease.*")]
    if scene.slurm is not None:
        time.sleep(15.0)
        tally.broken += [f"in the queue: {job}" for job, _, _ in scene.slurm.list_jobs("PENDING")]
        # A node tells that a job is over again and again, ever more seldom, where slurmctld was away meanwhile.
        scene.wait_while(lambda: bool(scene.slurm.list_jobs()), 180.0)
        tally.broken += [f"in the queue: {' '.join(job)}" for job in scene.slurm.list_jobs()]


def print_table(tally: Tally) -> None:
    """Print a line for each fault, and what came of all."""
    print("| fault | how many | seconds until the work went on: median | most | stages begun again | typed again |")
    print("|---|---|---|---|---|---|")
    for name, seconds in tally.seconds.items():
        again, typed = sum(tally.begun_again[name]), sum(tally.typed_again[name])
        print(f"| {name} | {len(seconds)} | {median(seconds):.1f} | {max(seconds):.1f} | {again} | {typed} |")
    oftener = f"begun more than twice between two checkpoints: {', '.join(tally.too_often) or 'none'}"
    print(
        f"\n{tally.count} faults over {tally.sweeps} sweeps; {oftener}; broken: {'; '.join(tally.broken) or 'nothing'}."
    )


if __name__ == "__main__":
    sys.exit(main())
