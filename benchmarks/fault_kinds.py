"""The faults of `faults.py`: each takes the scene, does harm once, and returns when the harm is over."""

import errno
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from disturbed_sweep import DisturbedSweep, find_processes

FULL_SECONDS = 10.0
AWAY_SECONDS = 60.0
VIEW_SECONDS = 5.0
HELP_SECONDS = 20.0
URGENT_CPUS = 4  # all that the two nodes have
LEAVE_SECONDS = 150.0  # Slurm looks at time limits every half a minute
FILLER_BYTES = 1 << 20

Victim = TypeVar("Victim")


@dataclass(frozen=True)
class Place:
    """Where sweeps are disturbed.

    Attributes:
        scratch: a folder for files that no result depends on.
        disk: a small one, for stores.
        environment: of the commands, beside this process's own.
        slurm: whose jobs the workers are; None where they are processes.
        host_class: of a host that is a set of namespaces.
        rng: chooses faults, moments and victims.
    """

    scratch: Path
    disk: Path
    environment: Mapping[str, str]
    slurm: Any
    host_class: Any
    rng: random.Random


@dataclass(frozen=True)
class Scene:
    """A command that goes on, and where."""

    sweep: DisturbedSweep
    place: Place

    @property
    def slurm(self) -> Any:
        """Whose jobs the workers are; None where they are processes."""
        return self.place.slurm

    def choose_job(self) -> str:
        """Choose one of the jobs that run; wait for one."""
        return self.choose(self._list_running_jobs)

    def wait_while(self, is_so: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait while something is so, but not for ever."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and is_so():
            time.sleep(0.1)

    def has_job(self, job: str) -> bool:
        """Whether processes of a job may be there."""
        return job in [each for each, _, _ in self.slurm.list_jobs("RUNNING,COMPLETING")]

    def _list_running_jobs(self) -> list[str]:
        return [job for job, _, _ in self.slurm.list_jobs("RUNNING") if "_" in job]

    def choose(self, find: Callable[[], Sequence[Victim]], seconds: float = 120.0) -> Victim:
        """Choose one of those that are found, as soon as there is one."""
        end = time.monotonic() + seconds
        while not (found := find()):
            if self.sweep.is_done:
                raise NothingToHarm
            if time.monotonic() > end:
                raise SystemExit("there was nothing to harm for too long")
            self.sweep.type_again()
            bring_jobs_back(self)
            time.sleep(0.1)
        return self.place.rng.choice(found)


class NothingToHarm(Exception):
    """The sweep has come to its end before a victim was there."""


def kill_worker(scene: Scene) -> None:
    """Kill a worker, and not what started it."""
    is_process = scene.slurm is None
    words = ("run_worker(", str(scene.sweep.store)) if is_process else (f"{sys.executable} -m convarium work",)
    # What started a job's worker, srun, has its whole command line in its own.
    os.kill(scene.choose(lambda: find_processes(sys.executable, *words)), signal.SIGKILL)


def kill_controller(scene: Scene) -> None:
    """Kill the command; processes that are its workers end with it."""
    scene.sweep.process.kill()
    scene.sweep.process.wait()
    if scene.slurm is None:
        scene.wait_while(lambda: bool(scene.sweep.find_stages_at_work()))


def kill_rank(scene: Scene) -> None:
    """Kill one of the processes that share a training."""
    os.kill(scene.choose(lambda: find_processes(sys.executable, "import run_rank")), signal.SIGKILL)


def fill_disk(scene: Scene) -> None:
    """Leave no byte on the store's disk for a while."""
    filler = scene.place.disk / "filler"
    end = time.monotonic() + FULL_SECONDS
    with filler.open("wb", buffering=0) as file:
        while time.monotonic() < end:
            try:
                file.write(bytes(FILLER_BYTES))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                _fill_rest(file)
                time.sleep(0.05)
    filler.unlink()


def help_with_old_views(scene: Scene) -> None:
    """Have another host work with them for a while, to which the disk shows what was seconds ago."""
    run_file = scene.choose(lambda: list(scene.sweep.store.glob("runs/*/run.json")))
    scratch = Path(tempfile.mkdtemp(dir=scene.place.scratch))
    host = scene.place.host_class("other", scratch, folders=[scene.sweep.store])
    try:
        view = host.mount_view(scene.sweep.store, VIEW_SECONDS)
        worker = host.start_python("-m", "convarium", "work", view / run_file.parent.relative_to(scene.sweep.store))
        time.sleep(HELP_SECONDS)
        for pid in find_processes(sys.executable, "-m convarium work", str(view)):
            os.kill(pid, signal.SIGTERM)  # what entered the host passes nothing on, and gets it too
        with suppress(ProcessLookupError):
            worker.wait(60.0)
    finally:
        host.close()


def requeue_job(scene: Scene) -> None:
    """Have Slurm begin a job again."""
    job = scene.choose_job()
    scene.slurm.call("scontrol", "requeue", job)
    scene.wait_while(lambda: scene.has_job(job))


def cancel_job(scene: Scene) -> None:
    """Cancel a job as a user may."""
    job = scene.choose_job()
    scene.slurm.call("scancel", job)
    scene.wait_while(lambda: scene.has_job(job))


def lose_node(scene: Scene) -> None:
    """Have Slurm lose the node of a job, with all its jobs, and find it again."""
    job = scene.choose_job()
    scene.slurm.lose_node(job)
    scene.wait_while(lambda: scene.has_job(job))


def preempt_jobs(scene: Scene) -> None:
    """Have an urgent job take all processors."""
    scene.choose_job()
    earlier_jobs = _list_urgent_jobs(scene)
    scene.slurm.submit("--partition=urgent", f"--ntasks={URGENT_CPUS}", "--wrap=sleep 1")
    scene.choose(lambda: sorted(_list_urgent_jobs(scene) - earlier_jobs))


def _list_urgent_jobs(scene: Scene) -> set[str]:
    """Return the jobs that are no run's and have started."""
    return {job for job, _, _ in scene.slurm.list_jobs("RUNNING,COMPLETING,COMPLETED") if "_" not in job}


def end_time(scene: Scene) -> None:
    """Leave a job less time than its notice is long; return when it has left."""
    job = scene.choose_job()
    *hours, minutes, _ = scene.slurm.call("squeue", "-h", "-r", "-j", job, "-o", "%M").strip().split(":")
    limit = int(minutes) + 60 * int(hours[0] if hours else 0) + 1
    scene.slurm.call("scontrol", "update", f"jobid={job}", f"TimeLimit={limit}")
    scene.wait_while(lambda: scene.has_job(job), LEAVE_SECONDS)


def stop_slurm(scene: Scene) -> None:
    """Have slurmctld be away for a minute."""
    scene.slurm.stop_controller()
    time.sleep(AWAY_SECONDS)
    scene.slurm.start_controller()


def bring_jobs_back(scene: Scene) -> None:
    """Let jobs that wait to begin again do so at once and with their time back: Slurm itself holds them two minutes."""
    if scene.slurm is not None:
        scene.slurm.hurry("TimeLimit=60")


def _fill_rest(file: Any) -> None:
    with suppress(OSError):
        while True:
            file.write(bytes(512))


# How often of a hundred.
LOCAL_FAULTS: dict[str, tuple[Callable[[Scene], None], int]] = {
    "kill -9 of a worker": (kill_worker, 54),
    "kill -9 of the controller": (kill_controller, 36),
    f"full disk for {FULL_SECONDS:.0f} s": (fill_disk, 5),
    f"a worker on another host whose views are {VIEW_SECONDS:.0f} s old": (help_with_old_views, 5),
}
SLURM_FAULTS: dict[str, tuple[Callable[[Scene], None], int]] = {
    "kill -9 of a worker": (kill_worker, 20),
    "kill -9 of the controller": (kill_controller, 13),
    "`scontrol requeue`": (requeue_job, 14),
    "`scancel`": (cancel_job, 14),
    "preemption": (preempt_jobs, 12),
    "time limit": (end_time, 9),
    "loss of a node": (lose_node, 7),
    f"`slurmctld` away for {AWAY_SECONDS:.0f} s": (stop_slurm, 3),
    f"full disk for {FULL_SECONDS:.0f} s": (fill_disk, 4),
    f"a worker on another host whose views are {VIEW_SECONDS:.0f} s old": (help_with_old_views, 4),
}
RANK_FAULTS: dict[str, tuple[Callable[[Scene], None], int]] = {
    "kill -9 of a rank": (kill_rank, 60),
    "kill -9 of a worker": (kill_worker, 20),
    "kill -9 of the controller": (kill_controller, 20),
}
