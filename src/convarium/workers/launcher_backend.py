"""One of Hydra's launchers as a backend: it blocks while its jobs run, and tells nothing about one of them."""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from convarium.workers.backend import Job
from convarium.workers.fresh_process import kill_fresh_processes
from convarium.workers.run_file import Run

CANCEL_GRACE_SECONDS = 3.0

Launcher = Callable[[list[list[str]]], None]


class LauncherBackend:
    """Calls a launcher in a thread; until it returns, all its jobs count as running.

    Args:
        launcher: blocks while workers run `run_worker(file, number)` for each of its jobs, which are the overrides
            `+runtime.plan=<file>` and `+runtime.worker=<number>`. What it returns or raises proves nothing about the
            results.
    """

    def __init__(self, run: Run, launcher: Launcher) -> None:
        self._run = run
        self._launcher = launcher
        self._launches: list[Launch] = []
        self._submitted_count = 0

    def submit(self, count: int) -> None:
        """Call the launcher for so many workers."""
        numbers = range(self._submitted_count, self._submitted_count + count)
        self._submitted_count += count
        jobs = [[f"+runtime.plan={self._run.file}", f"+runtime.worker={number}"] for number in numbers]
        launch = Launch(self._launcher, jobs)
        self._launches.append(launch)
        launch.start()

    def states(self) -> Sequence[Job]:
        """Return the jobs of all calls; the error is what the launcher raised."""
        jobs = []
        for index, launch in enumerate(self._launches):
            state = "ended" if launch.has_ended.is_set() else "running"
            jobs += [Job(f"{index}.{number}", state, launch.error) for number in range(launch.job_count)]
        return jobs

    def cancel(self) -> None:
        """Interrupt a call that goes on, and give it a moment to return."""
        for launch in self._launches:
            if not launch.has_ended.is_set():
                launch.interrupt()
                # A worker in this process that waits for a fresh process sees the interrupt only when that has ended.
                kill_fresh_processes()
                launch.has_ended.wait(CANCEL_GRACE_SECONDS)


class Launch(threading.Thread):
    """A call of the launcher in the background.

    Attributes:
        job_count: how many workers it starts.
        error: what the launcher raised, None if nothing.
        has_ended: set when the launcher has returned or raised.
    """

    def __init__(self, launcher: Launcher, jobs: list[list[str]]) -> None:
        super().__init__(daemon=True, name="launch")
        self._launcher, self._jobs = launcher, jobs
        self.job_count = len(jobs)
        self.error: BaseException | None = None
        self.has_ended = threading.Event()  # in place of join(), which after a Ctrl-C takes the thread for ended

    def run(self) -> None:
        """Call the launcher and keep what it raises."""
        # The controller alone hears a hangup, and tells its workers to leave. Processes started from this thread
        # inherit its mask, so that the hangup kills none of them in the middle of a stage.
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            self._launcher(self._jobs)
        except BaseException as error:
            self.error = error
        finally:
            self.has_ended.set()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the launcher, as soon as it runs its next Python instruction."""
        # Python raises it for Ctrl-C in the main thread only, and `threading` can't raise anything in another thread.
        if self.ident is not None:
            exception_type = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), exception_type)
