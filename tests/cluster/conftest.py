"""Hosts and disks for a test, which end with it."""

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from cluster.disks import CoarseDisk
from cluster.hosts import Host
from cluster.namespaces import NamespacesUnavailable

PROGRAMS = ("unshare", "nsenter", "bindfs", "fuse2fs", "mke2fs", "faketime")
StartHost = Callable[..., Host]
MountDisk = Callable[[str], CoarseDisk]


@pytest.fixture(scope="session")
def hosts_are_here(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where there can be no hosts; found by making one with a network disk."""
    try:
        _try_host(tmp_path_factory.mktemp("trial"))
    except NamespacesUnavailable as reason:
        (pytest.fail if os.environ.get("CLUSTER") == "required" else pytest.skip)(f"no hosts: {reason}")


@pytest.fixture
def start_host(hosts_are_here: None, tmp_path: Path) -> Iterator[StartHost]:
    """Start hosts by their names."""
    hosts: list[Host] = []

    def start(name: str, **options: object) -> Host:
        scratch = tmp_path / f"tmp-of-{name}"
        scratch.mkdir()
        hosts.append(Host(name, scratch, **options))  # type: ignore[arg-type]
        return hosts[-1]

    yield start
    for host in hosts:
        host.close()


@pytest.fixture
def mount_coarse_disk(hosts_are_here: None, tmp_path: Path) -> Iterator[MountDisk]:
    """Mount disks by how much their clocks are wrong."""
    disks: list[CoarseDisk] = []
    numbers = count()

    def mount(clock: str) -> CoarseDisk:
        scratch = tmp_path / f"coarse-{next(numbers)}"
        scratch.mkdir()
        disks.append(CoarseDisk(scratch, clock))
        return disks[-1]

    yield mount
    for disk in disks:
        disk.close()


def _try_host(folder: Path) -> None:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise NamespacesUnavailable(f"{', '.join(missing)} missing: apt-get install bindfs faketime fuse2fs")
    (folder / "tmp").mkdir()
    (folder / "source").mkdir()
    host = Host("trial", folder / "tmp", [folder / "source"])
    try:
        host.mount_view(folder / "source", 1.0)
    finally:
        host.close()
