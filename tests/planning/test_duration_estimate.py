from dataclasses import replace
from pathlib import Path

import pytest

from convarium.planning.duration_estimate import estimate_default_seconds, estimate_plan_seconds, summarize_plan
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.store import disk
from convarium.store.store import Store


def _node(stage: str, name: str, parents: tuple[Node, ...] = (), work: float = 0.0, **own: object) -> Node:
    return Node(stage, 1, {"name": name, **own}, tuple(one.signature for one in parents), None, name, {}, work)


def _chain(seed: int, architecture: str = "lenet5") -> tuple[list[Node], PlannedPoint]:
    train = _node("train", f"t{seed}", work=1000.0, architecture={"name": architecture}, seed=seed)
    network = _node("compress", f"c{seed}", (train,), 500.0, step={"method": "pruning/magnitude"}, seed=seed)
    measure = _node("measure", f"m{seed}", (network, train), seed=seed)
    signatures = (network.signature, train.signature, measure.signature)
    return [train, network, measure], PlannedPoint((), {"seed": seed}, *signatures)


def _plan(*chains: tuple[list[Node], PlannedPoint]) -> Plan:
    nodes = {node.signature: node for chain, _ in chains for node in chain}
    return Plan(nodes, tuple(point for _, point in chains))


def _store(root: Path, node: Node, seconds: float) -> None:
    folder = Store(root).folder_of(node)
    folder.mkdir(parents=True)
    fields = {
        "stage": node.stage,
        "version": node.version,
        "stage_config": node.stage_config,
        "parents": list(node.parents),
    }
    named = {"format": 2, "signature": node.signature, "name": node.name, "fingerprint": None, "work": node.work}
    made = {"started": "", "seconds": seconds, "result": {"metrics": {}}}
    disk.publish_json(folder / "done.json", {**named, **fields, **made})


def test_nothing_stored(tmp_path: Path) -> None:
    plan = _plan(_chain(0), _chain(1))
    found = summarize_plan(plan, Store(tmp_path), [{"overrides": ["a=b"], "error": "no"}])
    seconds = found.pop("estimated_seconds")
    assert found == {
        "points": 2,
        "stored": 0,
        "to_run": 2,
        "invalid": [{"overrides": ["a=b"], "error": "no"}],
        "stages": {name: {"stored": 0, "to_run": 2} for name in ("train", "compress", "measure")},
    }
    assert seconds == round(sum(map(estimate_default_seconds, plan.nodes.values())))


def test_what_is_stored_tells_what_the_rest_will_cost(tmp_path: Path) -> None:
    stored, missing = _chain(0), _chain(1)
    for node, seconds in zip(stored[0], (100.0, 30.0, 7.0), strict=True):
        _store(tmp_path, node, seconds)
    found = summarize_plan(_plan(stored, missing), Store(tmp_path), [])
    assert (found["stored"], found["to_run"], found["estimated_seconds"]) == (1, 1, 137)
    assert found["stages"]["train"] == {"stored": 1, "to_run": 1}


def test_the_same_architecture_tells_more_than_another(tmp_path: Path) -> None:
    _store(tmp_path, _chain(0)[0][0], 100.0)
    _store(tmp_path, _chain(0, "resnet20")[0][0], 900.0)
    train, point = _chain(1, "resnet20")[0][0], _chain(1, "resnet20")[1]
    only = Plan({train.signature: train}, (replace(point, network=train.signature, measure=train.signature),))
    assert summarize_plan(only, Store(tmp_path), [])["estimated_seconds"] == 900


def test_a_policy_that_takes_time_tells_of_trainings_by_it_alone(tmp_path: Path) -> None:
    recipes: tuple[dict[str, str], ...] = ({}, {"policy": "rand_augment"})
    usual, slow = (
        [
            _node("train", f"t{seed}", work=1000.0, architecture={"name": "lenet5"}, recipe=recipe, seed=seed)
            for seed in (0, 1)
        ]
        for recipe in recipes
    )
    _store(tmp_path, usual[0], 100.0)
    _store(tmp_path, slow[0], 300.0)
    for missing, seconds in ((usual[1], 100), (slow[1], 300)):
        point = PlannedPoint((), {}, missing.signature, missing.signature, missing.signature)
        plan = Plan({missing.signature: missing}, (point,))
        assert summarize_plan(plan, Store(tmp_path), [])["estimated_seconds"] == seconds


@pytest.mark.parametrize(("workers", "seconds"), [(1, 548), (2, 274), (4, 137), (40, 137)])
def test_workers_share_the_work_but_a_chain_stays_a_chain(tmp_path: Path, workers: int, seconds: int) -> None:
    for node, spent in zip(_chain(0)[0], (100.0, 30.0, 7.0), strict=True):
        _store(tmp_path, node, spent)
    plan = _plan(*(_chain(seed) for seed in range(1, 5)))
    assert summarize_plan(plan, Store(tmp_path), [], workers)["estimated_seconds"] == seconds


def test_what_runs_for_longer_than_it_should_takes_nothing_from_what_others_need(tmp_path: Path) -> None:
    for node, seconds in zip(_chain(0)[0], (100.0, 30.0, 7.0), strict=True):
        _store(tmp_path, node, seconds)
    plan = _plan(_chain(1))
    train = next(node for node in plan.nodes.values() if node.stage == "train")
    for spent_seconds, seconds in ((0.0, 137.0), (40.0, 97.0), (1000.0, 37.0)):
        spent = {train.signature: spent_seconds}
        left = estimate_plan_seconds(plan, Store(tmp_path), list(plan.nodes.values()), 1, spent)
        assert left == pytest.approx(seconds)


def test_all_stored_costs_nothing(tmp_path: Path) -> None:
    chain = _chain(0)
    for node in chain[0]:
        _store(tmp_path, node, 1.0)
    assert summarize_plan(_plan(chain), Store(tmp_path), [])["estimated_seconds"] == 0
