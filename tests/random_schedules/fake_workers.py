"""Workers of a run as actors of a schedule, with what must hold whatever the schedule is."""

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from convarium.errors import ProcessKilled
from convarium.host.hardware import Hardware
from convarium.host.process import current_process
from convarium.planning.plan import Node, Plan
from convarium.store.result_folder import FAILURE_FILE, NETWORK_FILE, RECORD_FILE
from convarium.store.store import Store
from convarium.workers import run_stage, stage_call, worker
from convarium.workers.backend import Job
from convarium.workers.death import Death
from convarium.workers.lease import LEASE_TIMEOUT_SECONDS, LeaseManager
from convarium.workers.lease_file import LEASE_PREFIX
from convarium.workers.run_file import Run
from convarium.workers.runtime import Parent, Runtime
from convarium.workers.supervisor import WorkerSupervisor
from convarium.workers.worker import Worker
from random_schedules.disk_seam import REAL, Disk, put_seam, use_disk
from random_schedules.fake_processes import put_fake_processes
from random_schedules.scheduler import Actor, BrokenInvariant, Plague, Schedule
from store.fake_run import make_fake_node, make_fake_plan

HOSTS = ("a", "b")
WORKERS = 3
EPOCHS = 2
KILL_SHARE = 0.2
MARKER_SHARE = 0.5
FREE_NAMES = (".", "work.", LEASE_PREFIX, "log.txt")  # drafts, an owner's own folder, leases, a log of all attempts


@dataclass(frozen=True)
class Taken:
    """A lease as it was taken: whether the result was there by then, and whether it was the highest of its folder."""

    number: int
    was_done: bool
    was_highest: bool


class Observer:
    """Sees every change and listing of the actors, and says what must not be.

    Attributes:
        taken: by actor and folder, the lease that it took last.
        takers: by folder and number, who took a lease last.
        link_times: by folder and number, when that was.
        listed_at: by actor and folder, when it listed the folder last.
        owned: by actor and folder, whether its lease was the highest when it listed the folder last, and whether it has
            changed nothing since that others read.
        in_room: by host, who is in the middle of a stage, and whether it must be alone.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.taken: dict[tuple[Actor, str], Taken] = {}
        self.owned: dict[tuple[Actor, str], bool] = {}
        self.takers: dict[tuple[str, int], Actor] = {}
        self.link_times: dict[tuple[str, int], float] = {}
        self.listed_at: dict[tuple[Actor, str], float] = {}
        self.in_room: dict[str, list[tuple[Actor, bool]]] = {}
        self.published: dict[str, int] = {}

    def note_listing(self, folder: str, names: list[str]) -> None:
        """Remember whether the running actor saw that it owns a folder."""
        self.listed_at[self._actor, folder] = self._schedule.now
        taken = self.taken.get((self._actor, folder))
        if taken is not None:
            is_highest = taken.number == max(_parse_lease_numbers(names), default=None)
            self.owned[self._actor, folder] = is_highest and self.takers[folder, taken.number] is self._actor

    def note_change(self, operation: str, path: str) -> None:
        """Check that whoever writes what is published owns the folder, and looked right before."""
        folder, _, name = path.rpartition("/")
        if name.startswith(LEASE_PREFIX) and operation == "link":
            self._note_lease(folder, int(name.removeprefix(LEASE_PREFIX)))
        if name == RECORD_FILE:
            self._check_publishing(operation, folder)
        if (self._actor, folder) in self.owned and not name.startswith(FREE_NAMES):
            self.owned[self._actor, folder] = False  # it has to look again before the record

    @property
    def _actor(self) -> Actor:
        assert self._schedule.running is not None
        return self._schedule.running

    def _note_lease(self, folder: str, number: int) -> None:
        names = REAL.listdir(folder)
        numbers = sorted(_parse_lease_numbers(names))
        if number == numbers[-1] and len(numbers) > 1:
            self._check_takeover(folder, numbers[-2])
        self.taken[self._actor, folder] = Taken(number, RECORD_FILE in names, number == numbers[-1])
        self.takers[folder, number] = self._actor
        self.link_times[folder, number] = self._schedule.now

    def _check_takeover(self, folder: str, number: int) -> None:
        """Check that the lease which is taken over was not in living hands when its taker looked at it last."""
        owner = self.takers[folder, number]
        is_released = _is_released(Path(folder) / f"{LEASE_PREFIX}{number}")
        looked_at = self.listed_at[self._actor, folder]
        signs = [self.link_times[folder, number]]
        signs += [moment for beat in owner.beats if beat.belongs_to(folder, number) for moment in beat.sent_at]
        seen_signs = [moment for moment in signs if moment <= looked_at]
        if not seen_signs and RECORD_FILE in REAL.listdir(folder):
            return  # it looked at one of the same number, which was removed when the result was stored
        # The last heartbeats may lie on the disk and not be seen by the taker yet.
        is_silent = looked_at - max(seen_signs) >= LEASE_TIMEOUT_SECONDS - self._schedule.plague.view_seconds
        if not (owner.is_dead or is_released or is_silent):
            self._schedule.break_off(f"{self._actor.name} takes {folder}, which {owner.name} still has")

    def _check_publishing(self, operation: str, folder: str) -> None:
        if operation != "link":
            self._schedule.break_off(f"{operation} of a record: of two records the first must win")
        self.published[folder] = self.published.get(folder, 0) + 1
        self.check_ownership(folder, "publishes")

    def check_ownership(self, folder: str, told: str) -> None:
        """Check that the running actor owned a folder when it looked last."""
        if not self.owned.get((self._actor, folder), False):
            self._schedule.break_off(f"{self._actor.name} {told} {folder}, which it knows to be another's")

    def begin_stage(self, folder: str, is_alone: bool) -> None:
        """Check that a stage may begin: not done, no other owner, and a room as it needs it."""
        actor = self._actor
        taken = self.taken[actor, folder]
        if taken.was_done:
            self._schedule.break_off(f"{actor.name} runs {folder} again, which was done before it had the lease")
        if not taken.was_highest:
            self._schedule.break_off(f"{actor.name} runs {folder} under a lease that never owned it")
        for other, other_is_alone in self.in_room.get(actor.host, []):
            if not other.is_dead and (is_alone or other_is_alone):
                self._schedule.break_off(
                    f"{actor.name} and {other.name} share {actor.host}, one of which must be alone"
                )
        self.in_room.setdefault(actor.host, []).append((actor, is_alone))

    def end_stage(self) -> None:
        """Note that the running actor's stage has ended, well or not."""
        actor = self._actor
        self.in_room[actor.host] = [entry for entry in self.in_room[actor.host] if entry[0] is not actor]


def _parse_lease_numbers(names: Iterable[str]) -> list[int]:
    return [int(name.removeprefix(LEASE_PREFIX)) for name in names if name.startswith(LEASE_PREFIX)]


def _is_released(lease_file: Path) -> bool:
    with REAL.open_file(lease_file, "rb") as file:
        return b'"released": true' in file.read()


class NoJobs:
    """A backend that never started a worker: here they are actors."""

    def submit(self, count: int) -> None:
        raise AssertionError("workers are actors")

    def states(self) -> list[Job]:
        return []

    def cancel(self) -> None:
        raise AssertionError("workers are actors")


class NoFailures(list[str]):
    """The failures of workers, of which there must be none."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule

    def append(self, line: str) -> None:
        self._schedule.break_off(f"a stage failed: {line}")


class WorkerSchedule:
    """A run of a small plan by workers of two hosts, some of which crash or stall, on a disk whose views may be old."""

    def __init__(self, seed: int, root: Path, plague: Plague) -> None:
        self.schedule = Schedule(seed, plague)
        self.store = Store(root / "store")
        self.local = root / "hosts"
        self.disk = Disk(self.schedule, str(self.store.root), str(self.local))
        self.observer = Observer(self.schedule)
        self.plan = build_plan()
        self.failures = NoFailures(self.schedule)
        self.disk.watchers.append(self.observer.note_change)
        self.disk.list_watchers.append(self.observer.note_listing)
        self.schedule.on_crash = self._replace
        self.kills_left = max(0, 2 - plague.misfortunes)

    def run(self) -> None:
        """Run to the end.

        Raises:
            BrokenInvariant: something that must hold does not.
        """
        with put_seam(), use_disk(self.disk), self._put_fakes():
            self.store.prepare()
            self.run_file = Run.begin(self.plan, self.store, WORKERS)
            for number in range(WORKERS):
                self._add_worker(number, HOSTS[number % len(HOSTS)], delay=self.schedule.random.uniform(0, 2))
            # Not always: where they mark every dead owner's lease nobody takes one over for its silence.
            if self.schedule.random.random() < MARKER_SHARE:
                self.schedule.add("supervisor", HOSTS[0], self._supervise)
            if self.schedule.random.random() < MARKER_SHARE:
                self.schedule.add("job watch", HOSTS[1], self._watch_jobs)
            self.schedule.run()
        self._check_end()

    def _add_worker(self, number: int, host: str, delay: float) -> None:
        name = f"worker-{len(self.schedule.actors)}"
        self.schedule.add(name, host, lambda: self._work(number), delay)

    def _work(self, number: int) -> None:
        Worker(Run.read(self.run_file.file), self.failures, number).run_ready_nodes()

    def _supervise(self) -> None:
        """Look now and then for dead owners on this host, as the controller of local workers does."""
        supervisor = WorkerSupervisor(Run.read(self.run_file.file), self.store, NoJobs())
        for node in self._visit_nodes():
            supervisor._release_dead_owner(node)

    def _watch_jobs(self) -> None:
        """Mark leases of dead owners on any host, some time after they were read, as Slurm's word comes late."""
        leases = LeaseManager(self.run_file.id)
        for node in self._visit_nodes():
            folder = self.store.folder_of(node)
            lease_info = leases.read(folder)
            self.schedule.sleep(self.schedule.random.choice((0.0, 15.0)))
            if lease_info is not None and lease_info.owner is not None:
                is_gone = self.schedule.find_process(lease_info.owner.pid) is None
                if lease_info.state != "released" and is_gone:
                    leases.mark_dead(folder, lease_info.token, Death(host=lease_info.owner.host))

    def _visit_nodes(self) -> Iterator[Node]:
        """Yield the nodes that are not stored, again and again until all are."""
        while unstored := [node for node in self.plan.nodes.values() if not self._holds_result(node)]:
            yield self.schedule.random.choice(unstored)
            self.schedule.sleep(5.0)

    def _holds_result(self, node: Node) -> bool:
        return (self.store.folder_of(node) / RECORD_FILE).exists()

    def _replace(self, actor: Actor) -> None:
        self._add_worker(int(actor.process.start) % WORKERS, actor.host, self.schedule.random.uniform(0, 30))

    def _check_end(self) -> None:
        for node in self.plan.nodes.values():
            folder = self.store.folder_of(node)
            names = REAL.listdir(folder) if folder.exists() else []
            if RECORD_FILE not in names or FAILURE_FILE in names:
                raise BrokenInvariant(f"schedule {self.schedule.seed}: {node.name} is lost: {names}")
            if (folder / NETWORK_FILE).read_text() != node.name or self.observer.published[str(folder)] != 1:
                raise BrokenInvariant(f"schedule {self.schedule.seed}: {node.name} was not published once and whole")
            leases = [folder / name for name in names if name.startswith(LEASE_PREFIX)]
            # A worker that crashes after its record leaves its own for the next run, marked or not.
            if leases and all(map(_is_released, leases)):
                raise BrokenInvariant(f"schedule {self.schedule.seed}: a lease of nobody is left of {node.name}")

    @contextmanager
    def _put_fakes(self) -> Iterator[None]:
        provenance = SimpleNamespace(
            reset_peak_memory=lambda: None,
            read_device_name=lambda: "cpu",
            measure_peak_memory_bytes=lambda: 0,
            collect_provenance=dict,
        )
        with (
            put_fake_processes(self.schedule, self.local),
            patch.object(worker, "read_hardware", lambda: Hardware("cpu", None, ())),
            patch.object(worker, "random", random.Random(self.schedule.seed)),
            patch.object(run_stage, "provenance", provenance),
            patch.object(stage_call, "provenance", provenance),
            patch.object(run_stage, "capture_stage_output", lambda *arguments, **options: nullcontext()),
            patch.object(run_stage, "build_stage_config", lambda stage, config: config),
            patch.object(stage_call, "load_stage", lambda stage, threads: self._run_stage),
        ):
            yield

    def _run_stage(self, config: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
        """Do nothing, with a checkpoint after each epoch."""
        folder = str(runtime.folder.parent)
        self.observer.begin_stage(folder, config["alone"])
        try:
            self._kill_process_perhaps()
            for epoch in range(EPOCHS):
                self.schedule.sleep(self.schedule.random.choice((0.0, 1.0, 30.0)))
                runtime.check_lease()
                self.observer.check_ownership(folder, "keeps a checkpoint of")
                draft = runtime.checkpoint_folder / f"draft.{current_process().pid}"
                draft.write_text(str(epoch))
                draft.replace(runtime.checkpoint_folder / "state")
                runtime.note_checkpoint()
            (runtime.folder / NETWORK_FILE).write_text(config["name"])
        finally:
            self.observer.end_stage()
        return {"metrics": {}}

    def _kill_process_perhaps(self) -> None:
        """Let a process of the stage be killed; a third death without a checkpoint would fail it."""
        if self.kills_left and self.schedule.random.random() < KILL_SHARE:
            self.kills_left -= 1
            raise ProcessKilled("rank 1 was killed", "killed")


def build_plan() -> Plan:
    """Return a plan of a training, a compression and a measurement that needs its host alone."""
    train = make_fake_node("train", stage="step", alone=False)
    compress = make_fake_node("compress", [train], stage="step", alone=False)
    time = make_fake_node("time", [train], stage="step", alone=True)
    time.runtime["alone"] = True
    return make_fake_plan(train, compress, time)


def run_worker_schedule(seed: int, root: Path) -> None:
    """Run the schedule of a seed in a new folder.

    Raises:
        BrokenInvariant: something that must hold does not.
    """
    chance = random.Random(seed)
    plague = Plague(
        switch_share=chance.choice((0.05, 0.3, 0.8)),
        misfortunes=chance.choice((0, 1, 2)),
        misfortune_share=chance.choice((0.002, 0.01)),
        lost_reply_share=chance.choice((0.0, 0.1)),
        view_seconds=chance.choice((0.0, 3.0, 20.0)),
        mtime_seconds=chance.choice((0.001, 1.0, 2.0)),
    )
    WorkerSchedule(seed, root, plague).run()
