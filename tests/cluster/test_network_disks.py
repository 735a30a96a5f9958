"""Hosts whose disk shows them what was a while ago, or whose clocks are wrong."""

import time
from pathlib import Path

import pytest

from cluster.cluster_run import IMPATIENT_WORK, NOTHING_LEFT, begin_run, count_begun, start_worker, wait_until
from cluster.conftest import MountDisk, StartHost
from cluster.impatient_work import TIMEOUT_SECONDS
from convarium.store.store import Store
from store.fake_run import launch_in_thread, make_fake_node, make_fake_sweep, read_stored_results, run_plan_silently

pytestmark = pytest.mark.xdist_group("cluster")
VIEW_SECONDS = 5.0


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
    assert [worker.wait() for worker in workers] == [(0, NOTHING_LEFT, "")] * 2
    assert len(plan.nodes) == 17
    assert count_begun(journal) == {node.name: 1 for node in plan.nodes.values()}
    run_plan_silently(plan, tmp_path / "calm", launch_in_thread, workers=1)
    assert read_stored_results(run.store) == read_stored_results(tmp_path / "calm")


def test_clocks_that_are_wrong_hide_no_result_and_take_no_living_lease_over(
    start_host: StartHost, mount_coarse_disk: MountDisk, tmp_path: Path, journal: Path
) -> None:
    """One host is an hour ahead; the disk tells whole seconds, five behind."""
    disk = mount_coarse_disk("-5s")
    now = start_host("now", folders=[disk.folder, journal.parent], disk=disk)
    ahead = start_host("ahead", folders=[disk.folder, journal.parent], disk=disk, clock="+3600s")
    nodes = list(make_fake_sweep(journal, width=6, seconds=0.1).nodes.values())
    long = make_fake_node("long", journal=journal, epochs=1, seconds=1.5 * TIMEOUT_SECONDS)
