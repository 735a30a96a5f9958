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

from convarium.children import python_command
from convarium.store.plan import Plan
from convarium.store.store import Store
from convarium.tracking.address import address

PATIENCE_SECONDS = 60.0  # without a word of the child, once the run is over
COMPLETES = "nothing is lost, `convarium sync` completes it"


@contextmanager
def followed(tracking: Mapping[str, Any], plan: Plan, store: Store, sweep: str | None) -> Iterator[None]:
    """Follow what a run does meanwhile, if tracking is on; at the end, say on stderr if that did not work out.

    Raises:
        UserError: the tracker's address is none, before anything runs.
    """
    if tracking["name"] == "none":
        yield
        return
    told = {"uri": address(tracking["uri"], store.root), "experiment": tracking["experiment"]}
    with TemporaryDirectory() as folder:
        plan.write(Path(folder) / "plan.json")
        places = {"plan": str(Path(folder) / "plan.json"), "store": str(store.root.resolve()), "sweep": sweep}
        child = Child(told | places)
        try:
            yield
        except BaseException:
            child.leave()
            raise
        if trouble := child.ended():
            print(f"convarium: {trouble}; {COMPLETES}", file=sys.stderr)


class Child:
    """The process that follows, and the last word that was heard of it."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        command = python_command("from convarium.tracking.follower import main; main()")
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=null, text=True, start_new_session=True
        )
        self._word, self._heard = "", time.monotonic()
        self._say(json.dumps(request) + "\n")
        self._listener = threading.Thread(target=self._listen, daemon=True, name="follower")
        self._listener.start()

    def leave(self) -> None:
        """Let it finish what it is at, alone."""
        with suppress(OSError):
            self._input.close()

    def ended(self) -> str:
        """Wait while it gets on; return what went wrong, "" if nothing did."""
        self.leave()
        self._heard = time.monotonic()
        while self._process.poll() is None:
            if time.monotonic() - self._heard > PATIENCE_SECONDS:
                self._process.kill()
                self._process.wait()
                return f"the tracker has not got on for {PATIENCE_SECONDS:.0f} s"
            time.sleep(0.05)
        self._listener.join(1.0)
        return self._word or (
            f"the writer to the tracker ended with {self._process.returncode}" if self._process.returncode else ""
        )

    @property
    def _input(self) -> IO[str]:
        assert self._process.stdin is not None, "it is a pipe"
        return self._process.stdin

    def _say(self, text: str) -> None:
        with suppress(OSError):
            self._input.write(text)
            self._input.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None, "it is a pipe"
        for line in self._process.stdout:
            self._word, self._heard = line.strip(), time.monotonic()
