"""A worker that is killed on another host, where nobody here can see that it is dead."""

import time
from pathlib import Path

import pytest

from cluster.cluster_run import IMPATIENT_WORK, NOTHING_LEFT, begin_run, count_begun, start_worker
from cluster.conftest import StartHost
from cluster.impatient_work import HEARTBEAT_SECONDS, TIMEOUT_SECONDS
from convarium.store.store import Store
from store.fake_run import make_fake_node
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")


def test_its_stage_is_taken_over_after_the_timeout_and_meanwhile_it_is_said_who_is_waited_for(
    start_host: StartHost, tmp_path: Path
) -> None:
    root, journal = tmp_path / "store", tmp_path / "plain" / "journal"
    journal.parent.mkdir()
    slow = make_fake_node("slow", journal=journal, epochs=20, seconds=0.2)
    run = begin_run(root, slow)
    doomed, other = (start_host(name, folders=[root, journal.parent]) for name in ("doomed", "other"))
    victim = start_worker(doomed, run, root, IMPATIENT_WORK)
    wait_until(lambda: any(Store(root).folder_of(slow).glob("checkpoints/state.json")))
    survivor = start_worker(other, run, root, IMPATIENT_WORK)
    wait_until(lambda: any(run.places_folder.glob("other-0/lease.*")))
    victim.kill()
    killed_at = time.monotonic()
    wait_until(lambda: bool(run.read_wait_notices()))
    (line,) = run.read_wait_notices()
    assert line.startswith("waits for doomed process ")
    assert ", which makes store.fake_stage:step slow (taken over when nothing was heard of it for " in line
    wait_until(lambda: count_begun(journal)["slow"] == 2)
    assert time.monotonic() - killed_at > TIMEOUT_SECONDS - 2 * HEARTBEAT_SECONDS
    assert survivor.wait()[:2] == (0, NOTHING_LEFT)
    assert not run.read_wait_notices()
