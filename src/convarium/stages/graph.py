"""From points to the graph of stages they ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from convarium.config.point import Reference
from convarium.names import packages
from convarium.seeds import stream
from convarium.stages import clock
from convarium.store.plan import Node, Plan, PlannedPoint

VERSIONS = {"train": 2, "compress": 2, "measure": 2, "execute": 1, "time": 3}
MAIN_KNOBS = ("sparsity", "channels_removed", "rank_fraction", "bits", "quant_max")

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
    network = dense = _dense(nodes, point)
    for position in range(len(config["compression"])):
        others = [_refer(nodes, one, config) for one in _references(point, position)]
        network = _add(nodes, _compress(point, position, (network, *others)))
    parents = (network, dense)
    measure = _add(nodes, _measure(config, parents))
    ran = {executor: _executions(nodes, config, executor, parents) for executor in config["measurement"]["executors"]}
    times = [_add(nodes, _time(config, setting, parents, ran)) for setting in clock.settings(config)]
    return PlannedPoint(
        overrides=point.overrides,
        config=config,
        network=network,
        dense=dense,
        measure=measure,
        executions=tuple(own for own, *_ in filter(None, ran.values())),
        times=tuple(times),
    )


def _executions(nodes: dict[str, Node], config: Json, executor: str, parents: tuple[str, str]) -> tuple[str, ...]:
    """Add the quality of a network under an executor, and of its dense one where the executor's models are kept."""
    if executor == clock.EAGER:
        return ()
    own = _add(nodes, _execute(config, executor, parents[0], config["compression"]))
    return (own, _add(nodes, _execute(config, executor, parents[1], ()))) if executor in clock.EXPORTED else (own,)


def _add(nodes: dict[str, Node], node: Node) -> str:
    """Add a node, and note which outside packages its files may name: those that it or what it starts from names."""
    if node.signature not in nodes:
        inherited = (nodes[parent].runtime["allow"] for parent in node.parents)
        node.runtime["allow"] = sorted(packages(node.stage_config).union(*inherited))
        nodes[node.signature] = node
    return node.signature


def _dense(nodes: dict[str, Node], point: Point) -> str:
    """Add the network that the point begins with: adopted, or trained."""
    adopted = next((one for one in point.references if one.step < 0), None)
    return _refer(nodes, adopted, point.config) if adopted else _add(nodes, _train(point.config))


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


def _compress(point: Point, position: int, parents: tuple[str, ...]) -> Node:
    config, steps = point.config, point.config["compression"][: position + 1]
    own = {
        "step": _identity(point, position),
        "dataset": _data(config),
        "task": config["task"],
        "recipe": {key: value for key, value in config["recipe"].items() if key != "epochs"},
        "seed": stream(config["seed"], "step", position),
        "references": [one.name for one in _references(point, position)],
        **(_to_solve(point, position) if "budget" in steps[-1] else {}),
    }
    return _node("compress", config, own, parents, epochs(steps[-1]), steps)


def _references(point: Point, position: int) -> list[Reference]:
    return sorted((one for one in point.references if one.step == position), key=lambda one: one.name)


def _identity(point: Point, position: int) -> Json:
    """A step as it is hashed: the networks it refers to are parents, and its name decides nothing."""
    step = point.config["compression"][position]
    return _without(step, ("name", *(one.name for one in _references(point, position))))


def _to_solve(point: Point, position: int) -> Json:
    """What a budget depends on beside the step itself: the steps that follow, and for a latency the host."""
    steps = point.config["compression"]
    following = [_identity(point, later) for later in range(position + 1, len(steps))]
    timed = steps[position]["budget"]["quantity"] == "latency"
    return {"following": following, **({"time": clock.time(clock.first(point.config))} if timed else {})}


def epochs(step: Mapping[str, Any]) -> int:
    """Return how many epochs a step trains in all its phases."""

    def number(value: int | str) -> int:
        return int(step[value]) if isinstance(value, str) else value

    return sum(number(phase.get("repeat", 1)) * number(phase.get("epochs", 0)) for phase in step["phases"])


def _without(step: Json, names: Iterable[str]) -> Json:
    """Return the step without its knobs of these names ("teacher", or "kd.teacher": one of the term kd)."""
    kept = dict(step)
    for name in names:
        key, _, inner = name.partition(".")
        kept[key] = _without(kept[key], (inner,)) if inner else None
    return {key: value for key, value in kept.items() if key not in names}


def _measure(config: Json, parents: tuple[str, ...]) -> Node:
    own = {"dataset": _data(config), "task": config["task"]}
    return _node("measure", config, own, parents, 0, config["compression"])


def _execute(config: Json, executor: str, network: str, steps: Iterable[Mapping[str, Any]]) -> Node:
    own = clock.execution(executor, _data(config), config["task"])
    return _called(_node("execute", config, own, (network,), 0, steps), executor)


def _time(config: Json, setting: Json, parents: tuple[str, str], ran: Mapping[str, tuple[str, ...]]) -> Node:
    """The time of a network, raced against the dense one; of models that were kept, those very ones race."""
    kept = ran[setting["executor"]] if setting["executor"] in clock.EXPORTED else ()
    node = _node("time", config, clock.time(setting), (*parents, *kept), 0, config["compression"])
    return _called(node, setting["executor"], f"{setting['batch']}x")


def _called(node: Node, *words: str) -> Node:
    return replace(node, name="-".join((node.name, *words)))


def _node(
    stage: str, config: Json, own: Json, parents: tuple[str, ...], epochs: int, steps: Iterable[Mapping[str, Any]]
) -> Node:
    dataset = config["dataset"]
    return Node(
        stage=stage,
        version=VERSIONS[stage],
        stage_config=own,
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
    name = step["method"].rpartition("/")[2]
    if "budget" in step:
        return f"{name}-{step['budget']['value']:g}{step['budget']['quantity']}"
    knob = next((step[key] for key in MAIN_KNOBS if isinstance(step.get(key), int | float)), "")
    return f"{name}{'-' if knob != '' and name[-1].isdigit() else ''}{knob}"
