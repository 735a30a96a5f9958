"""Ranks on a host that nothing can find by its name."""

from pathlib import Path

import pytest

from cluster.cluster_run import NOTHING_LEFT, begin_run, start_worker
from cluster.conftest import StartHost
from convarium.store.store import Store
from store.fake_run import make_fake_node

pytestmark = pytest.mark.xdist_group("cluster")


def test_ranks_meet_on_a_host_whose_name_nobody_knows(start_host: StartHost, tmp_path: Path) -> None:
    root = tmp_path / "store"
    node = make_fake_node("shared", stage="share", how="")
    node.runtime["devices"] = 2
    run = begin_run(root, node)
    worker = start_worker(start_host("a-name-nobody-knows", folders=[root]), run, root)
    assert worker.wait()[:2] == (0, NOTHING_LEFT)
    record = Store(root).find_record(node.signature)
    assert record is not None
    assert record["ranks"] == 2
