"""One process that plays many: actors are threads of which one runs at a time, and a seeded chance decides which.

An actor gives up its turn at its file operations and sleeps (`Schedule.step`, `Schedule.sleep`). Time is a number that
the schedule moves. A crashed actor does nothing any more: each further operation of it raises `Crashed`.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from os import close
from random import Random
from typing import NoReturn, Protocol

from convarium.host.process import Process

STEP_SECONDS = 0.02
HEARTBEAT_SECONDS = 10.0
STALL_SECONDS = (60.0, 600.0)  # some shorter than a lease's time out, some longer
SLOW_SECONDS = (0.0, 60.0)
JUMP_SECONDS = (0.0, 10.0, 60.0)  # by which all oversleep, when nobody else runs
OVERSLEEP_SECONDS = (0.0, 0.0, 20.0)  # a short sleep oversleeps less
MAX_STEPS = 20_000
TRACE_LENGTH = 60


class Crashed(BaseException):
    """The process of this actor is dead."""


class BrokenInvariant(AssertionError):
    """What must hold in every schedule does not hold in this one."""


class Heartbeat(Protocol):
    """What a lease's thread does every ten seconds."""

    def beat(self) -> None:
        """Rewrite the lease's file."""

    def belongs_to(self, folder: str, number: int) -> bool:
        """Whether it is that of a lease."""


@dataclass(frozen=True)
class Plague:
    """What may befall the actors of a schedule.

    Attributes:
        switch_share: how often another actor may go on after a step.
        misfortunes: how many crashes and stalls there are at most.
        misfortune_share: how often one comes at a step; at a sleep, where processes spend their time, ten times that.
        slow_share: how often a step takes long, while the process lives on and its heartbeats go out.
        lost_reply_share: how often the reply to a link is lost, so that it is said to exist already.
        view_seconds: for how long a host may show an older view of what others changed.
        mtime_seconds: by which the disk tells times of change.
    """

    switch_share: float = 0.3
    misfortunes: int = 2
    misfortune_share: float = 0.003
    slow_share: float = 0.01
    lost_reply_share: float = 0.02
    view_seconds: float = 20.0
    mtime_seconds: float = 1.0


@dataclass(eq=False)
class Actor:
    """A process that is played.

    Attributes:
        wake_time: before which it does not go on.
        beats: its leases' heartbeats.
        last_beat: when it last could send them.
    """

    name: str
    process: Process
    work: Callable[[], None]
    is_mortal: bool = True
    wake_time: float = 0.0
    is_stalled: bool = False
    is_dead: bool = False
    is_ended: bool = False
    last_beat: float = 0.0
    beats: list[Heartbeat] = field(default_factory=list)
    descriptors: set[int] = field(default_factory=set)
    turn: threading.Lock = field(default_factory=threading.Lock)
    thread: int = 0

    @property
    def host(self) -> str:
        """Its host's name."""
        return self.process.host


class Schedule:
    """Lets actors go on in an order that its seed decides.

    Args:
        on_crash: called with an actor that crashed, may add another in its place.

    Attributes:
        running: the actor whose turn it is, None outside the schedule.
    """

    def __init__(self, seed: int, plague: Plague) -> None:
        self.seed, self.plague = seed, plague
        self.random = Random(seed)
        self.now = 1000.0
        self.actors: list[Actor] = []
        self.running: Actor | None = None
        self.on_crash: Callable[[Actor], None] = lambda actor: None
        self.trace: deque[str] = deque(maxlen=TRACE_LENGTH)
        self._steps = 0
        self._misfortunes = 0
        self._error: BaseException | None = None
        self._end = threading.Lock()

    def add(self, name: str, host: str, work: Callable[[], None], delay: float = 0.0, is_mortal: bool = True) -> Actor:
        """Add an actor that begins after `delay` seconds."""
        process = Process(host, f"boot-{host}", "", 10_000 + len(self.actors), str(len(self.actors)))
        actor = Actor(name, process, work, is_mortal, wake_time=self.now + delay, last_beat=self.now)
        actor.turn.acquire()
        self.actors.append(actor)
        threading.Thread(target=self._play, args=(actor,), daemon=True).start()
        return actor

    def run(self) -> None:
        """Let all actors go on until each has ended.

        Raises:
            BrokenInvariant: one of them found something that must not be, or they don't come to an end.
        """
        self._end.acquire()
        self._hand_over(self._choose())
        self._end.acquire()
        self.running = None
        if self._error is not None:
            lines = "\n".join(self.trace)
            raise BrokenInvariant(f"schedule {self.seed}: {self._error}\n{lines}") from self._error

    def step(self, told: str) -> None:
        """Let chance decide who goes on before the running actor does what is told."""
        actor = self._get_living()
        self._steps += 1
        self.now += STEP_SECONDS
        self.trace.append(f"{self.now:9.2f} {actor.name} {told}")
        if self._steps > MAX_STEPS:
            self.break_off("the actors don't come to an end")
        self._strike(actor, self.plague.misfortune_share)
        if self.random.random() < self.plague.slow_share:
            actor.wake_time = max(actor.wake_time, self.now + self.random.uniform(*SLOW_SECONDS))
        if actor.is_dead or actor.wake_time > self.now or self.random.random() < self.plague.switch_share:
            self._give_turn(actor)

    def sleep(self, seconds: float) -> None:
        """Let others go on while the running actor sleeps."""
        actor = self._get_living()
        actor.wake_time = self.now + seconds + self.random.choice(OVERSLEEP_SECONDS) * min(1.0, seconds)
        self._strike(actor, 10 * self.plague.misfortune_share)
        self._give_turn(actor)

    def is_actor_calling(self) -> bool:
        """Whether the calling thread is the actor whose turn it is."""
        return self.running is not None and self.running.thread == threading.get_ident()

    def find_process(self, pid: int) -> Actor | None:
        """Return the actor with a process id, None where it is dead or there is none."""
        return next((actor for actor in self.actors if actor.process.pid == pid and not actor.is_dead), None)

    def break_off(self, told: str) -> NoReturn:
        """End the schedule: the running actor has found what must not be."""
        self._abort(BrokenInvariant(told))
        raise Crashed

    def _get_living(self) -> Actor:
        assert self.running is not None
        if self.running.is_dead:
            raise Crashed
        return self.running

    def _strike(self, actor: Actor, share: float) -> None:
        """Let the running actor crash or stall, if chance wants it."""
        if self._misfortunes == self.plague.misfortunes or self.random.random() >= share or not actor.is_mortal:
            return
        self._misfortunes += 1
        if self.random.random() < 0.5:
            actor.is_stalled = True
            actor.wake_time = self.now + self.random.uniform(*STALL_SECONDS)
            self.trace.append(f"{self.now:9.2f} {actor.name} STALLS until {actor.wake_time:.0f}")
        else:
            self.trace.append(f"{self.now:9.2f} {actor.name} CRASHES")
            self._kill(actor)
            self.on_crash(actor)

    def _kill(self, actor: Actor) -> None:
        actor.is_dead = True
        actor.wake_time = 0.0
        for descriptor in actor.descriptors:  # which releases its locks
            with suppress(OSError):
                close(descriptor)

    def _give_turn(self, actor: Actor) -> None:
        chosen = self._choose()
        if chosen is not actor:
            self._hand_over(chosen)
            actor.turn.acquire()
        if actor.is_dead:
            raise Crashed

    def _hand_over(self, actor: Actor) -> None:
        self.running = actor
        actor.is_stalled = False
        actor.turn.release()

    def _choose(self) -> Actor:
        living = [actor for actor in self.actors if not actor.is_ended]
        awake = [actor for actor in living if actor.wake_time <= self.now]
        if not awake:
            self.now = min(actor.wake_time for actor in living) + self.random.choice(JUMP_SECONDS)
            awake = [actor for actor in living if actor.wake_time <= self.now]
        self._send_heartbeats()
        return self.random.choice(awake)

    def _send_heartbeats(self) -> None:
        for actor in self.actors:
            is_due = self.now - actor.last_beat >= HEARTBEAT_SECONDS
            # Who only just wakes from a stall has not beaten yet.
            if is_due and not (actor.is_stalled or actor.is_dead or actor.is_ended):
                actor.last_beat = self.now
                running, self.running = self.running, None
                for heartbeat in actor.beats:
                    heartbeat.beat()
                self.running = running

    def _play(self, actor: Actor) -> None:
        actor.thread = threading.get_ident()
        actor.turn.acquire()
        try:
            if not actor.is_dead:
                actor.work()
        except Crashed:
            pass
        except BaseException as error:
            self._abort(error)
        actor.is_ended = True
        if all(other.is_ended for other in self.actors):
            self._end.release()
        else:
            self._hand_over(self._choose())

    def _abort(self, error: BaseException) -> None:
        """Keep the first error and let all actors end."""
        if self._error is None:
            self._error = error
        for actor in self.actors:
            if not actor.is_dead:
                self._kill(actor)
