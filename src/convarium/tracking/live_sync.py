"""Sync to a tracker while a run goes on: one child process writes it, and its failure never disturbs the run."""

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

CHILD_TIMEOUT_SECONDS = 60.0  # for which the child may be silent once the run is over
SYNC_HINT = "nothing is lost, `convarium sync` completes it"


@contextmanager
def sync_during_run(tracking: Mapping[str, Any], plan: Plan, store: Store, sweep: str | None) -> Iterator[None]:
    """Write a run's results to a tracker while it goes on, if tracking is on; print a problem to stderr at the end.

    Raises:
        UserError: the tracker's address is invalid, before anything runs.
    """
    if tracking["name"] == "none":
        yield
        return
    uri = resolve_tracker_address(tracking["uri"], store.root)
    with TemporaryDirectory() as folder:
        plan_file = write_plan(plan, Path(folder))
        request = {
            "uri": uri,
            "experiment": tracking["experiment"],
            "plan": str(plan_file),
            "store": str(store.root.resolve()),
            "sweep": sweep,
        }
        process = LiveSyncProcess(request)
        try:
            yield
        except BaseException:  # a run that fails or is interrupted does not wait: the child finishes alone
            process.close_input()
            raise
        problem = process.wait_for_problem()
        if problem:
            print(f"convarium: {problem}; {SYNC_HINT}", file=sys.stderr)


class LiveSyncProcess:
    """The child process that syncs, and the last message that was read from it."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        command = build_python_command("from convarium.tracking.live_sync_process import main; main()")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # so that the terminal's Ctrl-C is not sent to it
        )
        self._last_message = ""
        self._last_message_time = time.monotonic()
        self._write_input(json.dumps(request) + "\n")
        self._reader_thread = threading.Thread(target=self._read_messages, daemon=True, name="live sync messages")
        self._reader_thread.start()

    def close_input(self) -> None:
        """Tell the child that the run is over: it syncs once more and ends."""
        with suppress(OSError):
            self._input.close()

    def wait_for_problem(self) -> str:
        """Wait for the child's end as long as it makes progress; return what went wrong, "" if nothing did."""
        self.close_input()
        self._last_message_time = time.monotonic()
        while self._process.poll() is None:
            if time.monotonic() - self._last_message_time > CHILD_TIMEOUT_SECONDS:
                self._process.kill()
                self._process.wait()
                return f"the tracker has not got on for {CHILD_TIMEOUT_SECONDS:.0f} s"
            time.sleep(0.05)
        self._reader_thread.join(1.0)
        if not self._last_message and self._process.returncode:
            return f"the writer to the tracker ended with {self._process.returncode}"
        return self._last_message

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
            self._last_message = line.strip()
            self._last_message_time = time.monotonic()
