"""Controllers of an open run, of which one after another takes it over, and workers that follow its plan."""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers.backend import Job
from convarium.workers.lease import LeaseLost, LeaseManager
from convarium.workers.lease_file import LEASE_PREFIX
from convarium.workers.open_plan import PLAN_NAME_PATTERN, Version
from convarium.workers.open_run import OpenRun, OpenRunSettings
from convarium.workers.places import take_place
from convarium.workers.plan_follower import PlanFollower
from convarium.workers.run_file import Run
from convarium.workers.run_folder import RUN_FILE
from convarium.workers.run_owner import read_owned_run_id, take_owner
from random_schedules.disk_seam import Disk, put_seam, use_disk
from random_schedules.fake_processes import put_fake_processes
from random_schedules.scheduler import Actor, BrokenInvariant, Plague, Schedule
from store.fake_run import make_fake_node, make_fake_plan

HOSTS = ("a", "b")
NODES = 4
THINK_SECONDS = (0.0, 5.0, 60.0)


class IdleBackend:
    """A backend without jobs: here the workers come by themselves."""

    def submit(self, count: int) -> Sequence[Job]:
        return ()

    def states(self) -> Sequence[Job]:
        return ()

    def cancel(self) -> None:
        pass


class ControllerSchedule:
    """A search that asks for one node more at a time; who controls it may crash or sleep through its lease."""

    def __init__(self, seed: int, root: Path, plague: Plague) -> None:
        self.schedule = Schedule(seed, plague)
        self.store = Store(root / "store")
        self.local = root / "hosts"
        self.owner_folder = self.store.root / "searches" / "one"
        self.disk = Disk(self.schedule, str(self.store.root), str(self.local))
        self.disk.watchers.append(self._watch_change)
        self.disk.list_watchers.append(self._watch_listing)
        self.schedule.on_crash = self._replace
        self._nodes = [make_fake_node(f"node-{index}") for index in range(NODES)]
        self._lease_numbers: dict[Actor, int] = {}
        self._has_looked: dict[Actor, bool] = {}
        self._is_complete = False
        self._followed: dict[str, Plan] = {}
        self._newest_seen: dict[tuple[str, str], Version] = {}  # when an actor listed a run's folder last

    def run(self) -> None:
        """Run to the end.

        Raises:
            BrokenInvariant: a controller changed the run that it had lost, or a worker went back to an older plan.
        """
        self.owner_folder.mkdir(parents=True)
        with put_seam(), use_disk(self.disk), put_fake_processes(self.schedule, self.local):
            self.store.prepare()
            for host in HOSTS:
                self.schedule.add(f"controller-{host}", host, self._control)
                self.schedule.add(f"worker-{host}", host, self._follow, is_mortal=False)
            self.schedule.run()
        for name, plan in self._followed.items():
            if len(plan.nodes) != NODES:
                raise BrokenInvariant(
                    f"schedule {self.schedule.seed}: {name} follows {len(plan.nodes)} of {NODES} nodes"
                )

    def _replace(self, actor: Actor) -> None:
        self.schedule.add(f"{actor.name}+", actor.host, self._control, delay=self.schedule.random.uniform(0, 60))

    def _control(self) -> None:
        leases = LeaseManager("search")
        while not self._is_complete:
            owner = take_owner(self.store.root, self.owner_folder, leases)
            if owner is None:
                self.schedule.sleep(5.0)
                continue
            assert self.schedule.running is not None
            self._lease_numbers[self.schedule.running] = owner.lease.number
            try:
                run = OpenRun.begin_or_attach(owner, self.store, OpenRunSettings(workers=1), lambda run: IdleBackend())
                for count in range(1, NODES + 1):
                    run.change_plan(make_fake_plan(*self._nodes[:count]))
                    self.schedule.sleep(self.schedule.random.choice(THINK_SECONDS))
                while not self._have_workers_ended:  # as a search looks at its run, and writes it anew where it is gone
                    run.change_plan(make_fake_plan(*self._nodes))
                    self.schedule.sleep(60.0)
                self._is_complete = True
                owner.release()
            except LeaseLost:
                continue
            except UserError:  # the folder of its run is gone
                with suppress(LeaseLost):
                    owner.check()
                    raise

    @property
    def _have_workers_ended(self) -> bool:
        return all(actor.is_ended for actor in self.schedule.actors if actor.name.startswith("worker"))

    def _follow(self) -> None:
        while True:
            run = self._find_run()
            if run is not None and self._follow_run(run):
                return
            self.schedule.sleep(1.0)

    def _find_run(self) -> Run | None:
        run_id = read_owned_run_id(self.owner_folder)
        try:
            return Run.read(self.store.root / "runs" / run_id / RUN_FILE) if run_id else None
        except UserError:
            return None

    def _follow_run(self, run: Run) -> bool:
        """Follow a run's plan until it is complete; return False where the run is over before."""
        assert self.schedule.running is not None
        name = self.schedule.running.name
        try:
            place = take_place(run)
            follower = PlanFollower(run)
        except UserError:
            return False
        assert place is not None
        version = follower._version
        while not run.is_stopped:
            follower.follow()
            if follower._version < version:
                self.schedule.break_off(f"{name} goes back from {version} to {follower._version}")
            if follower._version < self._newest_seen.get((name, str(run.folder)), version):
                self.schedule.break_off(f"{name} follows {follower._version}, and has seen a newer plan")
            version = follower._version
            self._followed[name] = follower.plan
            if len(follower.plan.nodes) == NODES:
                place.leave()
                return True
            self.schedule.sleep(1.0)
        return False

    def _watch_listing(self, folder: str, names: list[str]) -> None:
        actor = self.schedule.running
        if folder == str(self.owner_folder) and actor in self._lease_numbers:
            numbers = [int(name.removeprefix(LEASE_PREFIX)) for name in names if name.startswith(LEASE_PREFIX)]
            self._has_looked[actor] = max(numbers, default=None) == self._lease_numbers[actor]
        matches = filter(None, map(PLAN_NAME_PATTERN.fullmatch, names))
        versions = [(int(match[1]), int(match[2])) for match in matches]
        if actor is not None and versions:
            self._newest_seen[actor.name, folder] = max(versions)

    def _watch_change(self, operation: str, path: str) -> None:
        """Check that who changes the plan has looked since the last change, and saw that the run is its own."""
        actor = self.schedule.running
        name = path.rpartition("/")[2]
        match = PLAN_NAME_PATTERN.fullmatch(name)
        if match is None or operation == "unlink":
            return
        if (int(match[1]), int(match[2])) == (self._lease_numbers[actor], 0):
            return  # the first one
        if not self._has_looked.get(actor, False):
            self.schedule.break_off(f"{actor.name} writes {name}, not knowing whose the run is")
        self._has_looked[actor] = False


def run_controller_schedule(seed: int, root: Path) -> None:
    """Run the schedule of a seed in a new folder.

    Raises:
        BrokenInvariant: something that must hold does not.
    """
    chance = random.Random(seed)
    plague = Plague(
        switch_share=chance.choice((0.05, 0.3, 0.8)),
        misfortunes=chance.choice((0, 2, 4)),
        misfortune_share=chance.choice((0.005, 0.02)),
        lost_reply_share=chance.choice((0.0, 0.1)),
        view_seconds=chance.choice((0.0, 3.0, 20.0)),
    )
    ControllerSchedule(seed, root, plague).run()
