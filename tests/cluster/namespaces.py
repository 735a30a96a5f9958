"""Namespaces of this machine, each set of which ends with one process.

That process ends with its standard input, and what runs and is mounted in its namespaces ends with it: so nothing is
left, even where the tests themselves are killed.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from waiting import wait_until

KINDS = ("--uts", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")


class NamespacesUnavailable(Exception):
    """This machine can't make what was asked for; the text says why."""


class Namespaces:
    """A set of namespaces.

    Args:
        script: of a shell that is their first process; it prints "ready" and ends with `cat`.
        arguments: of the script.
        inside: other namespaces, whose mounts are seen in these.
        has_one_cpu: whether all that runs in them shares one CPU.

    Raises:
        NamespacesUnavailable: the script did not get ready.
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        inside: "Namespaces | None" = None,
        has_one_cpu: bool = False,
    ) -> None:
        on_cpu = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))] if has_one_cpu else []
        as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        enter = [] if inside is None else inside.build_command()
        command = [*on_cpu, *enter, "unshare", *as_root, *KINDS, "sh", "-c", script, "sh", *arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise NamespacesUnavailable(self._process.communicate()[1].strip())
        self._first_pid = self._process.pid
        wait_until(self._find_first_process)

    def build_command(self, *command: str) -> list[str]:
        """Return the command line that runs a command in them."""
        return ["nsenter", "--target", str(self._first_pid), "--all", *command]

    def call(self, *command: str) -> None:
        """Run a command in them and wait for its end.

        Raises:
            NamespacesUnavailable: it failed.
        """
        done = subprocess.run(self.build_command(*command), capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise NamespacesUnavailable(f"{command[0]}: {done.stderr.strip()}")

    def _find_first_process(self) -> bool:
        if _is_first_process(self._first_pid):
            return True
        self._first_pid = find_child(self._first_pid)
        return False

    def close(self) -> None:
        """End them."""
        try:
            self._process.communicate(timeout=10)  # closes the standard input
        except subprocess.TimeoutExpired:
            os.kill(self._first_pid, signal.SIGKILL)
            self._process.communicate()


def find_child(pid: int) -> int:
    """Return the process that the main thread of a process has started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _is_first_process(pid: int) -> bool:
    """Whether a process is number 1 of the namespace that it lives in."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (numbers,) = [line.split()[1:] for line in lines if line.startswith("NSpid:")]
    return numbers[-1] == "1" and len(numbers) > 1
