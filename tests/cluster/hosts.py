"""Hosts that are namespaces of this one: a name, process ids, mounts and a /tmp of their own, and a clock."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.disks import CoarseDisk, build_clock_environment
from cluster.namespaces import Namespaces, find_child
from convarium.host.room import FOLDER_VARIABLE
from store.fake_run import ROOT, SUBPROCESS_ENVIRONMENT

SHARED_TMP = Path("/tmp")
NETWORK_FOLDER = SHARED_TMP / "network"
# Gathers what the host sees of the outer /tmp in a new one, which then takes its place.
SCRIPT = """
set -e; cd /; hostname "$1"; tmp=$2; shift 2
mount -n -t tmpfs tmpfs "$tmp"; chmod 1777 "$tmp"
for path; do mkdir -p "$tmp${path#/tmp}"; mount -n --rbind "$path" "$tmp${path#/tmp}"; done
mount -n --move "$tmp" /tmp
echo ready; exec cat > /dev/null
"""
PRIVATE_TMP_SCRIPT = """
set -e; cd /tmp; mkdir .4711; chmod 1777 .4711
for path in */; do mkdir ".4711/$path"; mount -n --rbind "$path" ".4711/$path"; done
mount -n --rbind .4711 /tmp
"""


class Host:
    """A host of a cluster.

    Args:
        name: the host's name.
        scratch: an empty folder, for the host's own use.
        folders: those of the outer /tmp that the host sees at the same paths, beside this repository.
        clock: by how much its clock is wrong, as faketime writes it ("+3600s").
        disk: one that this host sees too.
    """

    def __init__(
        self,
        name: str,
        scratch: Path,
        folders: Sequence[Path] = (),
        clock: str | None = None,
        disk: CoarseDisk | None = None,
    ) -> None:
        # The host's own /tmp, and not the folder of this test session, is where its room lies.
        self._environment = {key: text for key, text in SUBPROCESS_ENVIRONMENT.items() if key != FOLDER_VARIABLE}
        if clock is not None:
            self._environment |= build_clock_environment(clock)
            self._environment["PYTHONPATH"] += f":{Path(__file__).with_name('wrong_clock')}"
        seen = [path for path in (ROOT, Path(sys.prefix), *folders) if path.is_relative_to(SHARED_TMP)]
        inside = None if disk is None else disk.namespaces
        self._namespaces = Namespaces(SCRIPT, [name, str(scratch), *map(str, seen)], inside)

    def mount_view(self, source: Path, seconds: float) -> Path:
        """Mount one of the host's folders as a client of a network disk does, whose views are so many seconds old.

        Returns where; the folder itself is not seen there any more.
        """
        view = NETWORK_FOLDER / source.name
        self._namespaces.call("mkdir", "-p", str(view))
        timeouts = ",".join(f"{kind}_timeout={seconds}" for kind in ("attr", "entry", "negative"))
        self._namespaces.call("bindfs", "-o", timeouts, str(source), str(view))
        self._namespaces.call("umount", "-n", "--lazy", str(source))
        return view

    def replace_processor(self, model: str) -> None:
        """Give the host a processor of another model."""
        script = 'echo "model name : $1" > /tmp/cpuinfo; mount --bind /tmp/cpuinfo /proc/cpuinfo'
        self._namespaces.call("sh", "-c", script, "sh", model)

    def mount_private_tmp(self) -> None:
        """Mount a part of a disk on /tmp, as a scheduler does for a job; folders that are seen there are so further."""
        self._namespaces.call("sh", "-c", PRIVATE_TMP_SCRIPT)

    def start_python(self, *arguments: object) -> "HostProcess":
        """Start this repository's Python."""
        return HostProcess(
            subprocess.Popen(
                self._namespaces.build_command(sys.executable, *map(str, arguments)),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def close(self) -> None:
        """End all that runs on the host; its mounts go with it."""
        self._namespaces.close()


class HostProcess:
    """A process on a host.

    Args:
        entering: what has entered the host and waits for the process.
    """

    def __init__(self, entering: "subprocess.Popen[str]") -> None:
        self._entering = entering

    def kill(self) -> None:
        """Kill the process with signal 9, and nothing else of its host."""
        os.kill(find_child(self._entering.pid), signal.SIGKILL)

    def read_line(self) -> str:
        """Return the next line that it prints."""
        assert self._entering.stdout is not None
        return self._entering.stdout.readline().rstrip("\n")

    def wait(self, seconds: float = 120.0) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr once it has ended."""
        out, error = self._entering.communicate(timeout=seconds)
        return self._entering.returncode, out, error
