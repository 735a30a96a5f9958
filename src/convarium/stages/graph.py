"""From points to the graph of stages they ask for."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Protocol

from convarium.config.point import Reference
from convarium.seeds import stream
from convarium.store.plan import Node, Plan, PlannedPoint
from convarium.store.provenance import cpu_model

VERSIONS = {"train": 1, "compress": 1, "measure": 1, "time": 1}
MAIN_KNOBS = ("sparsity", "bits", "rank")

Json = dict[str, Any]


class Point(Protocol):
    """One composed and checked configuration (convarium.config.point)."""

    @property
    def overrides(self) -> tuple[str, ...]: ...
    @property
    def config(self) -> Json: ...
    @property
    def references(self) -> tuple[Reference, ...]: ...


def plan(points: Iterable[Point]) -> Plan:
    """Build the graph of everything `points` need; shared stages appear once."""
    nodes: dict[str, Node] = {}
    planned = tuple(_plan_point(point, nodes) for point in points)
    return Plan(nodes=nodes, points=planned)


def _plan_point(point: Point, nodes: dict[str, Node]) -> PlannedPoint:
    config = point.config
    dense = _add(nodes, _train(config))
    network = dense
    for position in range(len(config["compression"])):
        references = sorted((one for one in point.references if one.step == position), key=lambda one: one.name)
        others = [_refer(nodes, one, config) for one in references]
        left_out = {"name", *(one.name for one in references)}
        network = _add(nodes, _compress(config, position, (network, *others), left_out))
    parents = (network, dense)
    measure = _add(nodes, _measure(config, parents))
    time = _add(nodes, _time(config, parents)) if config["measurement"]["time"] else None
    return PlannedPoint(
        overrides=point.overrides, config=config, network=network, dense=dense, measure=measure, time=time
    )


def _add(nodes: dict[str, Node], node: Node) -> str:
    return nodes.setdefault(node.signature, node).signature


def _train(config: Json) -> Node:
    own = {key: config[key] for key in ("architecture", "task", "recipe", "seed")} | {"dataset": _data(config)}
    return _node("train", config, own, (), config["recipe"]["epochs"], ())


def _refer(nodes: dict[str, Node], reference: Reference, config: Json) -> str:
    """Add the network a step refers to, and return its signature: the same however it was named."""
    if reference.config is not None:
        return _add(nodes, _train(reference.config))
    for fields in reference.chain:
        chain = {**fields, "parents": tuple(fields["parents"])}
        signature = _add(nodes, Node(**chain, runtime=_runtime(config, fields["stage"])))
    return signature


def _compress(config: Json, position: int, parents: tuple[str, ...], left_out: set[str]) -> Node:
    steps = config["compression"][: position + 1]
    own = {
        "step": {key: value for key, value in steps[-1].items() if key not in left_out},
        "dataset": _data(config),
        "task": config["task"],
        "recipe": {key: value for key, value in config["recipe"].items() if key != "epochs"},
        "seed": stream(config["seed"], "step", position),
    }
    epochs = steps[-1].get("epochs", 0) * steps[-1].get("rounds", 1)
    return _node("compress", config, own, parents, epochs, steps)


def _measure(config: Json, parents: tuple[str, ...]) -> Node:
    own = {"dataset": _data(config), "task": config["task"]}
    return _node("measure", config, own, parents, 0, config["compression"])


def _time(config: Json, parents: tuple[str, ...]) -> Node:
    settings = {key: value for key, value in config["measurement"].items() if key != "time"}
    host = {"cpu": cpu_model(), "executor": f"torch {version('torch')}"}
    return _node("time", config, {"measurement": settings, "host": host}, parents, 0, config["compression"])


def _node(
    stage: str, config: Json, own: Json, parents: tuple[str, ...], epochs: int, steps: Iterable[Mapping[str, Any]]
) -> Node:
    dataset = config["dataset"]
    return Node(
        stage=stage,
        version=VERSIONS[stage],
        own=own,
        parents=parents,
        fingerprint=dataset.get("fingerprint"),
        name=readable(config, steps),
        runtime=_runtime(config, stage),
        work=float(epochs * (dataset.get("train_size") or dataset.get("images", {}).get("train", 1))),
    )


def _runtime(config: Json, stage: str) -> Json:
    """Where and how a stage runs: no part of what it is."""
    return {
        "root": config["dataset"].get("root"),
        "accelerator": config["runtime"]["accelerator"],
        "threads": config["runtime"]["threads"],
        "alone": stage == "time",
    }


def _data(config: Json) -> Json:
    return {key: value for key, value in config["dataset"].items() if key != "root"}


def readable(config: Json, steps: Iterable[Mapping[str, Any]]) -> str:
    """A short name for people: `lenet5-mnist5k-magnitude0.9-kmeans5-s0`."""
    parts = [config["architecture"]["name"], config["dataset"]["name"], *map(_step_name, steps), f"s{config['seed']}"]
    text = "-".join(parts)
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)[:100]


def _step_name(step: Mapping[str, Any]) -> str:
    knob = next((step[key] for key in MAIN_KNOBS if isinstance(step.get(key), int | float)), "")
    return f"{step['method'].rpartition('/')[2]}{knob}"
