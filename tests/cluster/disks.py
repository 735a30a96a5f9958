"""A disk that tells times coarsely and by a clock of its own, and what makes a clock wrong."""

import subprocess
from pathlib import Path

from cluster.namespaces import Namespaces

FAKETIME_LIBRARY = "/usr/$LIB/faketime/libfaketimeMT.so.1"  # $LIB is for the loader, which knows the machine's
IMAGE_BYTES = 32 << 20
# NO_FAKE_STAT: files' times are the disk's. DONT_FAKE_MONOTONIC: only the date of a host is wrong.
CLOCK_SETTINGS = {"LD_PRELOAD": FAKETIME_LIBRARY, "NO_FAKE_STAT": "1", "DONT_FAKE_MONOTONIC": "1"}
SCRIPT = """
set -e; cd "$1"
env $2 fuse2fs -f image disk > /dev/null 2>&1 &
until mountpoint -q disk; do sleep 0.05; kill -0 $!; done
echo ready; exec cat > /dev/null
"""


def build_clock_environment(clock: str) -> dict[str, str]:
    """Return the variables under which a program's clock is wrong by `clock`, as faketime writes it ("+3600s")."""
    return {**CLOCK_SETTINGS, "FAKETIME": clock}


class CoarseDisk:
    """A disk that tells times by whole seconds; hosts that are made with it see it.

    Args:
        scratch: an empty folder.
        clock: by how much its clock is wrong ("-5s").

    Attributes:
        folder: where it is mounted, for those hosts.
        namespaces: in which it is mounted.
    """

    def __init__(self, scratch: Path, clock: str) -> None:
        self.folder = scratch / "disk"
        self.folder.mkdir()
        image = scratch / "image"
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        # An inode of 128 bytes has no room for fractions of seconds.
        command = ["mke2fs", "-q", "-t", "ext4", "-I", "128", "-O", "^has_journal", "-E", "root_owner", str(image)]
        subprocess.run(command, check=True, capture_output=True)
        settings = " ".join(f"{key}={text}" for key, text in build_clock_environment(clock).items())
        self.namespaces = Namespaces(SCRIPT, [str(scratch), settings])

    def close(self) -> None:
        """Unmount it."""
        self.namespaces.close()
