"""What `convarium doctor` finds on hosts whose disks and clocks have faults."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.conftest import MountDisk, StartHost
from cluster.hosts import Host

pytestmark = pytest.mark.xdist_group("cluster")


def examine(host: Host, root: Path) -> tuple[int, dict[str, Any]]:
    """Run the command on a host; return its exit code and its checks by their names."""
    code, out, error = host.start_python("-m", "convarium", "doctor", "--json", f"runtime.store={root}").wait()
    assert error == ""
    return code, {check["name"]: check for check in json.loads(out)["checks"]}


def test_a_disk_of_whole_seconds_whose_clock_is_a_little_wrong_is_good_enough(
    start_host: StartHost, mount_coarse_disk: MountDisk
) -> None:
    disk = mount_coarse_disk("-5s")
    host = start_host("here", folders=[disk.folder], disk=disk)
    code, checks = examine(host, disk.folder / "store")
    assert checks["times of files"]["message"] == "a file's time is kept to 1 s"
    assert checks["clock of the disk"]["message"] in [f"it is {seconds} s behind this host's" for seconds in (5, 6)]
    assert {name for name, check in checks.items() if not check["ok"]} == {"free room"}, "the disk has 32 MiB"
    assert code == 1
    assert not (disk.folder / "store").exists()


def test_a_host_that_is_an_hour_ahead_is_told_so(start_host: StartHost, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    code, checks = examine(start_host("ahead", folders=[tmp_path / "disk"], clock="+3600s"), tmp_path / "disk")
    assert [name for name, check in checks.items() if not check["ok"]] == ["clock of the disk"]
    assert checks["clock of the disk"]["message"].startswith(
        "it is 3,600 s behind this host's: no result depends on it"
    )
    assert code == 1


def test_a_network_disk_with_old_views_is_ok(start_host: StartHost, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    host = start_host("here", folders=[tmp_path / "disk"])
    view = host.mount_view(tmp_path / "disk", seconds=5.0)
    code, checks = examine(host, view)
    assert [check["message"] for check in checks.values() if not check["ok"]] == []
    assert code == 0
    assert not any((tmp_path / "disk").iterdir())


def test_a_tmp_that_is_mounted_for_one_job_is_not_the_host_s(start_host: StartHost, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    host = start_host("job", folders=[tmp_path / "disk"])
    assert examine(host, tmp_path / "disk")[0] == 0
    host.mount_private_tmp()
    code, checks = examine(host, tmp_path / "disk")
    assert [name for name, check in checks.items() if not check["ok"]] == ["/tmp"]
    assert "/tmp is not the whole host's" in checks["/tmp"]["message"]
    assert code == 1
