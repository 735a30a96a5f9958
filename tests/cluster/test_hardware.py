"""Hosts of different processors that work for one run."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.cluster_run import NOTHING_LEFT, begin_run, start_worker
from cluster.conftest import StartHost
from convarium.host.hardware import find_package_version
from convarium.store.store import Store
from store.fake_run import make_fake_node

pytestmark = pytest.mark.xdist_group("cluster")
MODELS = {"old": "Old Processor", "new": "New Processor"}


def test_each_host_makes_what_is_for_its_processor(start_host: StartHost, tmp_path: Path) -> None:
    root = tmp_path / "store"
    parent = make_fake_node("parent")
    nodes = [make_fake_node(f"{name}-{index}", [parent], seconds=0.1) for name in MODELS for index in range(4)]
    executor = find_package_version("torch")
    bound_nodes = [
        replace(node, runtime={**node.runtime, "hardware": {"cpu": MODELS[node.name[:3]], "executor": executor}})
        for node in nodes
    ]
    run = begin_run(root, parent, *bound_nodes)
    workers = []
    for name, model in MODELS.items():
        host = start_host(name, folders=[root])
        host.replace_processor(model)
        workers.append(start_worker(host, run, root))
    assert [worker.wait()[:2] for worker in workers] == [(0, NOTHING_LEFT)] * 2
    records = [record for record in Store(root).read_records() if record["name"] != "parent"]
    assert len(records) == len(nodes)
    for record in records:
        assert record["name"].startswith(record["host"]["name"])
        assert record["host"]["cpu"] == MODELS[record["host"]["name"]]
