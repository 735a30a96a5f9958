"""Rows of the comparison come early, and the run takes no longer for it."""

from pathlib import Path

import pytest

from convarium.planning.plan import Node, Plan
from convarium.store.store import Store
from convarium.workers.ready_nodes import PlanMonitor


def make_node(stage: str, name: str, *parents: Node) -> Node:
    signatures = tuple(parent.signature for parent in parents)
    return Node(stage, 1, {"name": name}, signatures, None, name, work=float(stage in ("train", "compress")))


def make_sweep(methods: int = 4, seeds: int = 3) -> Plan:
    """A dense network for each seed, and as many compressed ones as there are methods; all are measured."""
    dense = [make_node("train", f"dense{seed}") for seed in range(seeds)]
    nodes = [*dense, *(make_node("measure", f"measure {one.name}", one, one) for one in dense)]
    for method in range(methods):
        for one in dense:
            network = make_node("compress", f"method{method} {one.name}", one)
            nodes += [network, make_node("measure", f"measure {network.name}", network, one)]
    return Plan({node.signature: node for node in nodes}, ())


def list_order(plan: Plan, monkeypatch: pytest.MonkeyPatch, workers: int = 1, worker_number: int = 0) -> list[str]:
    """Return the names of all nodes in the order in which a worker that nobody helps takes them."""
    done: set[str] = set()
    monkeypatch.setattr(Store, "select_finished", lambda self, signatures: done & set(signatures))
    monkeypatch.setattr(Store, "find_failures", lambda self, signatures, run: {})
    monitor = PlanMonitor(plan, workers, worker_number)
    names = []
    while ready := monitor.read_state(Store(Path("nowhere")), "run").ready:
        done.add(ready[0].signature)
        names.append(ready[0].name)
    return names


def test_the_first_compressed_row_stands_after_four_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list_order(make_sweep(), monkeypatch)
    assert names[:4] == ["dense0", "measure dense0", "method0 dense0", "measure method0 dense0"]


def test_one_worker_measures_each_network_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list_order(make_sweep(), monkeypatch)
    assert names[1::2] == [f"measure {name}" for name in names[::2]]


def test_a_chain_that_has_begun_is_finished_before_another_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = make_node("train", "dense")
    nodes = [dense]
    for chain in "ab":
        first = make_node("compress", f"{chain}1", dense)
        second = make_node("compress", f"{chain}2", first)
        nodes += [first, second, make_node("measure", f"measure {chain}", second, dense)]
    plan = Plan({node.signature: node for node in nodes}, ())
    assert list_order(plan, monkeypatch) == ["dense", "a1", "a2", "measure a", "b1", "b2", "measure b"]


def test_the_shortest_pipeline_gives_the_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = make_node("train", "dense")
    first = make_node("compress", "first of two", dense)
    second = make_node("compress", "second of two", first)
    alone = make_node("compress", "alone", dense)
    measures = [make_node("measure", f"measure {one.name}", one, dense) for one in (dense, second, alone)]
    plan = Plan({node.signature: node for node in (dense, first, second, alone, *measures)}, ())
    assert list_order(plan, monkeypatch)[:4] == ["dense", "measure dense", "alone", "measure alone"]


def test_further_workers_train_first_what_most_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list_order(make_sweep(), monkeypatch, workers=2, worker_number=1)
    assert [name for name in names if "measure" not in name][:3] == ["dense0", "dense1", "dense2"]
    assert names[1] == "measure dense0"


def test_the_last_networks_of_several_workers_go_before_their_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    for worker_number in (0, 1):
        names = list_order(make_sweep(), monkeypatch, 2, worker_number)
        last_compression = max(index for index, name in enumerate(names) if name.startswith("method"))
        assert len(names) - last_compression > 2, "measurements are left, which even out the workers' ends"
