"""The room of one host, with processes that share it for ever and others that wait to be alone in it."""

import random
from pathlib import Path
from unittest.mock import patch

from convarium.host import process
from convarium.host.process import Process
from convarium.host.room import DOOR_SECONDS, HostRoom, RoomPlace
from random_schedules.disk_seam import Disk, put_seam, use_disk
from random_schedules.scheduler import Actor, Plague, Schedule

SHORT_STAY_SECONDS, LONG_STAY_SECONDS = 20.0, 5000.0
LATENESS_SECONDS = 1600.0  # what sleepers that oversleep, and two waiters that stall, add to a wait


class RoomSchedule:
    """Sharers that enter again and again until every waiter has had the room to itself."""

    def __init__(self, seed: int, root: Path) -> None:
        chance = random.Random(seed)
        plague = Plague(
            switch_share=chance.choice((0.1, 0.5)),
            misfortunes=chance.choice((0, 2)),
            misfortune_share=0.002,
            slow_share=0.0,
        )
        self.schedule = Schedule(seed, plague)
        self.root = root
        self.disk = Disk(self.schedule, str(root / "store"), str(root))
        self.waiters_left = chance.choice((1, 2))
        self.occupants: dict[Actor, bool] = {}
        self.wait_start = self.schedule.now
        self._sharers = chance.choice((2, 3, 5))
        self._pause_seconds = chance.choice((0.0, 1.0))  # with none and five sharers the room is hardly ever empty
        self._has_long_stay = chance.random() < 0.5
        self.schedule.on_crash = self._replace

    def run(self) -> None:
        """Run to the end.

        Raises:
            BrokenInvariant: one shares the room who must be alone, a waiter never gets it, or the door is long shut.
        """
        self.root.mkdir(parents=True)
        for number in range(self._sharers):
            self.schedule.add(f"sharer-{number}", "a", self._share)
        if self._has_long_stay:
            self.schedule.add("long", "a", self._stay_long, is_mortal=False)
        for number in range(self.waiters_left):
            self.schedule.add(f"waiter-{number}", "a", self._wait, delay=self.schedule.random.uniform(0, 50))
        with put_seam(), use_disk(self.disk), patch.object(process, "_identify_process", self._identify_process):
            self.schedule.run()

    def _identify_process(self, pid: int) -> Process:
        assert self.schedule.running is not None
        return self.schedule.running.process

    def _replace(self, actor: Actor) -> None:
        work = self._wait if actor.name.startswith("waiter") else self._share
        self.schedule.add(f"{actor.name}+", "a", work, delay=1.0)

    def _share(self) -> None:
        room = HostRoom(self.root)
        refused_since = self.schedule.now
        while self.waiters_left:
            place = room.try_enter()
            if place is not None:
                self._stay(place, self.schedule.random.uniform(0.5, 1) * SHORT_STAY_SECONDS)
                refused_since = self.schedule.now
            elif any(self.occupants.values()):
                refused_since = self.schedule.now
            elif self.schedule.now - refused_since > self._find_longest_wait():
                self.schedule.break_off("the door was shut for more than half of the time")
            self.schedule.sleep(self._pause_seconds if place else self.schedule.random.uniform(0, 1))

    def _find_longest_wait(self) -> float:
        return DOOR_SECONDS + LATENESS_SECONDS + (self.schedule.now - self.wait_start) / 2

    def _stay_long(self) -> None:
        room = HostRoom(self.root)
        while (place := room.try_enter()) is None:
            self.schedule.sleep(1.0)
        self._stay(place, LONG_STAY_SECONDS)

    def _wait(self) -> None:
        room = HostRoom(self.root)
        while (place := room.wait_alone(lambda: True)) is None:
            self.schedule.sleep(1.0)
        self._stay(place, 1.0)
        self.waiters_left -= 1

    def _stay(self, place: RoomPlace, seconds: float) -> None:
        actor = self.schedule.running
        assert actor is not None
        others = {other: is_alone for other, is_alone in self.occupants.items() if not other.is_dead}
        if others and (place.is_alone or any(others.values())):
            self.schedule.break_off(f"{actor.name} and {[other.name for other in others]} are in the room, one alone")
        self.occupants[actor] = place.is_alone
        self.schedule.sleep(seconds)
        del self.occupants[actor]
        place.leave()


def run_room_schedule(seed: int, root: Path) -> None:
    """Run the schedule of a seed in a new folder.

    Raises:
        BrokenInvariant: something that must hold does not.
    """
    RoomSchedule(seed, root).run()
