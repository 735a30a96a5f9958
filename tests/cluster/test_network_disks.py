"""Hosts whose disk shows them what was a while ago, or whose clocks are wrong."""

from pathlib import Path

import pytest

from cluster.cluster_run import IMPATIENT_WORK, NOTHING_LEFT, begin_run, count_begun, start_worker
from cluster.conftest import MountDisk, StartHost
from cluster.impatient_work import TIMEOUT_SECONDS
from store.fake_run import launch_in_thread, make_fake_sweep, read_stored_results, run_plan_silently
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")
VIEW_SECONDS = 5.0
COMMAND_CODE = """
import sys; from pathlib import Path; from store.fake_run import *
from convarium.workers.local_backend import build_local_backend
plan, store = make_fake_sweep(Path(sys.argv[2]), width=6, seconds=0.1), Store(Path(sys.argv[1]))
statuses = controller.run_plan(plan, store, build_local_backend, 2, build_progress_display(True))
print({status.state for status in statuses.values()})
"""
CONTROLLER_CODE = """
import sys; from dataclasses import replace; from pathlib import Path; from store.fake_run import *
from convarium.workers.local_backend import build_local_backend; from cluster.impatient_work import shorten_leases
shorten_leases()
journal = Path(sys.argv[2])
long = replace(make_fake_node("long", journal=journal, seconds=float(sys.argv[3])), work=1e9)
plan = make_fake_plan(long, *(make_fake_node(f"short-{index}", journal=journal) for index in range(60)))
def build_backend(run):
    print(run.folder, flush=True)
    return build_local_backend(run)
statuses = controller.run_plan(plan, Store(Path(sys.argv[1])), build_backend, 1, build_progress_display(True))
print({status.state for status in statuses.values()})
"""
TIMES_CODE = """
import sys, time; from pathlib import Path
file = Path(sys.argv[1]); file.write_text("written now")
assert file.stat().st_mtime_ns % 10**9 == 0; print(file.stat().st_mtime - time.time())
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal on a disk without faults."""
    (tmp_path / "plain").mkdir()
    return tmp_path / "plain" / "journal"


def test_hosts_with_old_views_of_the_store_make_each_of_17_results_once(
    start_host: StartHost, tmp_path: Path, journal: Path
) -> None:
    plan = make_fake_sweep(journal, width=6, seconds=0.1)
    run = begin_run(tmp_path / "store", *plan.nodes.values())
    hosts = [start_host(name, folders=[run.store, journal.parent]) for name in ("first", "second")]
    views = [host.mount_view(run.store, VIEW_SECONDS) for host in hosts]
    workers = [start_worker(host, run, view) for host, view in zip(hosts, views, strict=True)]
    assert [worker.wait()[:2] for worker in workers] == [(0, NOTHING_LEFT)] * 2
    assert len(plan.nodes) == 17
    assert count_begun(journal) == {node.name: 1 for node in plan.nodes.values()}
    run_plan_silently(plan, tmp_path / "calm", launch_in_thread, workers=1)
    assert read_stored_results(run.store) == read_stored_results(tmp_path / "calm")


def test_two_commands_of_hosts_with_old_views_share_the_work_and_leave_nothing_behind(
    start_host: StartHost, tmp_path: Path, journal: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    hosts = [start_host(name, folders=[root, journal.parent]) for name in ("first", "second")]
    commands = [host.start_python("-c", COMMAND_CODE, host.mount_view(root, VIEW_SECONDS), journal) for host in hosts]
    assert [command.wait()[:2] for command in commands] == [(0, "{'done'}\n")] * 2
    assert set(count_begun(journal).values()) == {1}
    wait_until(lambda: not any((root / "runs").iterdir()))
    assert not any(root.rglob("lease.*"))


def test_clocks_that_are_wrong_hide_no_result_and_take_no_living_lease_over(
    start_host: StartHost, mount_coarse_disk: MountDisk, tmp_path: Path, journal: Path
) -> None:
    """One host is an hour ahead; the disk tells whole seconds, five behind."""
    disk = mount_coarse_disk("-5s")
    now = start_host("now", folders=[disk.folder, journal.parent], disk=disk)
    ahead = start_host("ahead", folders=[disk.folder, journal.parent], disk=disk, clock="+3600s")
    times = float(ahead.start_python("-c", TIMES_CODE, disk.folder / "file").wait()[1])
    assert -3607 < times < -3604, "these clocks are not as wrong as they should be"
    root = disk.folder / "store"
    controller = ahead.start_python("-c", CONTROLLER_CODE, root, journal, 1.5 * TIMEOUT_SECONDS)
    wait_until(lambda: count_begun(journal)["long"] == 1)
    run_folder = controller.read_line()
    helper = now.start_python(*IMPATIENT_WORK, run_folder)
    assert controller.wait()[:2] == (0, "{'done'}\n")
    assert helper.wait()[0] == 0
    names = ["long", *(f"short-{index}" for index in range(60))]
    assert count_begun(journal) == dict.fromkeys(names, 1)
