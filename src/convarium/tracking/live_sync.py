"""While a run goes on one child process writes what gets done to a tracker; nothing that befalls it touches the run."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from convarium.child_process import build_python_command
from convarium.planning.plan import Plan
from convarium.planning.plan_file import write_plan
from convarium.store.store import Store
from convarium.tracking.tracker_address import resolve_tracker_address

CHILD_TIMEOUT_SECONDS = 60.0  # without a word of the child, once the run is over
SYNC_HINT = "nothing is lost, `convarium sync` completes it"


@contextmanager
def sync_during_run(tracking: Mapping[str, Any], plan: Plan, store: Store, sweep: str | None) -> Iterator[None]:
    """Follow what a run does meanwhile, if tracking is on; at the end, say on stderr if that did not work out.

    Raises:
        UserError: the tracker's address is none, before anything runs.
    """
    if tracking["name"] == "none":
        yield
        return
    told = {"uri": resolve_tracker_address(tracking["uri"], store.root), "experiment": tracking["experiment"]}
    with TemporaryDirectory() as folder:
        plan_file = write_plan(plan, Path(folder))
        places = {"plan": str(plan_file), "store": str(store.root.resolve()), "sweep": sweep}
        child = LiveSyncProcess(told | places)
        try:
            yield
        except BaseException:
            child.close_input()
            raise
        if trouble := child.wait_for_problem():
            print(f"convarium: {trouble}; {SYNC_HINT}", file=sys.stderr)


class LiveSyncProcess:
    """The process that follows, and the last word that was heard of it."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        command = build_python_command("from convarium.tracking.live_sync_process import main; main()")
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=null, text=True, start_new_session=True
        )
        self._last_message, self._last_message_time = "", time.monotonic()
        self._write_input(json.dumps(request) + "\n")
        self._reader_thread = threading.Thread(target=self._read_messages, daemon=True, name="follower")
        self._reader_thread.start()

    def close_input(self) -> None:
        """Let it finish what it is at, alone."""
        with suppress(OSError):
            self._input.close()

    def wait_for_problem(self) -> str:
        """Wait while it gets on; return what went wrong, "" if nothing did."""
        self.close_input()
        self._last_message_time = time.monotonic()
        while self._process.poll() is None:
            if time.monotonic() - self._last_message_time > CHILD_TIMEOUT_SECONDS:
                self._process.kill()
                self._process.wait()
                return f"the tracker has not got on for {CHILD_TIMEOUT_SECONDS:.0f} s"
            time.sleep(0.05)
        self._reader_thread.join(1.0)
        return self._last_message or (
            f"the writer to the tracker ended with {self._process.returncode}" if self._process.returncode else ""
        )

    @property
    def _input(self) -> IO[str]:
        assert self._process.stdin is not None, "it is a pipe"
        return self._process.stdin

    def _write_input(self, text: str) -> None:
        with suppress(OSError):
            self._input.write(text)
            self._input.flush()

    def _read_messages(self) -> None:
        assert self._process.stdout is not None, "it is a pipe"
        for line in self._process.stdout:
            self._last_message, self._last_message_time = line.strip(), time.monotonic()
