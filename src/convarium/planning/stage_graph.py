"""From points to the graph of stages they ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from convarium.config.point import Reference
from convarium.lookup import find_named_packages
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.seeds import derive_seed
from convarium.stages import timing_config
from convarium.stages.compress import STAGE as COMPRESS
from convarium.stages.compress import CompressConfig
from convarium.stages.declaration import StageConfig, StageDeclaration, find_stages
from convarium.stages.execute import STAGE as EXECUTE
from convarium.stages.measure import STAGE as MEASURE
from convarium.stages.measure import MeasureConfig
from convarium.stages.time import STAGE as TIME
from convarium.stages.train import STAGE as TRAIN
from convarium.stages.train import TrainConfig

MAIN_KNOBS = ("sparsity", "channels_removed", "rank_fraction", "bits", "quant_max")

Json = dict[str, Any]


class PointLike(Protocol):
    """One composed and checked configuration (convarium.config.point)."""

    @property
    def overrides(self) -> tuple[str, ...]: ...
    @property
    def config(self) -> Json: ...
    @property
    def references(self) -> tuple[Reference, ...]: ...


def build_plan(points: Iterable[PointLike]) -> Plan:
    """Build the graph of everything `points` need; shared stages appear once."""
    nodes: dict[str, Node] = {}
    planned = tuple(_plan_point(point, nodes) for point in points)
    return Plan(nodes=nodes, points=planned)


def _plan_point(point: PointLike, nodes: dict[str, Node]) -> PlannedPoint:
    config = point.config
    network = dense = _add_dense(nodes, point)
    for position in range(len(config["compression"])):
        others = [_add_reference(nodes, one, config) for one in _list_references(point, position)]
        network = _add_node(nodes, _build_compress_node(point, position, (network, *others)))
    parents = (network, dense)
    measure = _add_node(nodes, _build_measure_node(config, parents))
    ran = {
        executor: _add_executions(nodes, config, executor, parents) for executor in config["measurement"]["executors"]
    }
    times = [
        _add_node(nodes, _build_time_node(config, setting, parents, ran))
        for setting in timing_config.list_time_settings(config)
    ]
    return PlannedPoint(
        overrides=tuple(map(str, point.overrides)),
        config=config,
        network=network,
        dense=dense,
        measure=measure,
        executions=tuple(own for own, *_ in filter(None, ran.values())),
        times=tuple(times),
    )


def _add_executions(nodes: dict[str, Node], config: Json, executor: str, parents: tuple[str, str]) -> tuple[str, ...]:
    """Add the quality of a network under an executor, and of its dense one where the executor's models are kept."""
    if executor == timing_config.EAGER_EXECUTOR:
        return ()
    network = _add_node(nodes, _build_execute_node(config, executor, parents[0], config["compression"]))
    if executor not in timing_config.EXPORTED_EXECUTORS:
        return (network,)
    return network, _add_node(nodes, _build_execute_node(config, executor, parents[1], ()))


def _add_node(nodes: dict[str, Node], node: Node) -> str:
    """Add a node, and note which outside packages its files may name: those that it or what it starts from names."""
    if node.signature not in nodes:
        inherited = (nodes[parent].runtime["allow"] for parent in node.parents)
        node.runtime["allow"] = sorted(find_named_packages(node.stage_config).union(*inherited))
        nodes[node.signature] = node
    return node.signature


def _add_dense(nodes: dict[str, Node], point: PointLike) -> str:
    """Add the network that the point begins with: adopted, or trained."""
    adopted = next((one for one in point.references if one.step_index < 0), None)
    return (
        _add_reference(nodes, adopted, point.config) if adopted else _add_node(nodes, _build_train_node(point.config))
    )


def _build_train_node(config: Json) -> Node:
    stage_config = TrainConfig(
        architecture=config["architecture"],
        task=config["task"],
        recipe=config["recipe"],
        seed=config["seed"],
        dataset=_drop_dataset_root(config),
    )
    return _build_node(TRAIN, config, stage_config, (), config["recipe"]["epochs"], ())


def _add_reference(nodes: dict[str, Node], reference: Reference, config: Json) -> str:
    """Add the network a step refers to, and return its signature: the same however it was named."""
    if reference.config is not None:
        return _add_node(nodes, _build_train_node(reference.config))
    for fields in reference.node_fields:
        chain = {**fields, "parents": tuple(fields["parents"])}
        signature = _add_node(nodes, Node(**chain, runtime=_select_runtime_fields(config, fields["stage"])))
    return signature


def _build_compress_node(point: PointLike, position: int, parents: tuple[str, ...]) -> Node:
    config, steps = point.config, point.config["compression"][: position + 1]
    stage_config = CompressConfig(
        step=_strip_unhashed_knobs(point, position),
        dataset=_drop_dataset_root(config),
        task=config["task"],
        recipe={key: value for key, value in config["recipe"].items() if key != "epochs"},
        seed=derive_seed(config["seed"], "step", position),
        references=[one.knob for one in _list_references(point, position)],
        **(_collect_budget_inputs(point, position) if "budget" in steps[-1] else {}),
    )
    return _build_node(COMPRESS, config, stage_config, parents, count_epochs(steps[-1]), steps)


def _list_references(point: PointLike, position: int) -> list[Reference]:
    return sorted((one for one in point.references if one.step_index == position), key=lambda one: one.knob)


def _strip_unhashed_knobs(point: PointLike, position: int) -> Json:
    """A step as it is hashed: the networks it refers to are parents, and its name decides nothing."""
    step = point.config["compression"][position]
    return _drop_knobs(step, ("name", *(one.knob for one in _list_references(point, position))))


def _collect_budget_inputs(point: PointLike, position: int) -> Json:
    """What a budget depends on beside the step itself: the steps that follow, and for a latency the host."""
    steps = point.config["compression"]
    following = [_strip_unhashed_knobs(point, later) for later in range(position + 1, len(steps))]
    timed = steps[position]["budget"]["quantity"] == "latency"
    setting = timing_config.select_latency_setting(point.config)
    return {"following": following, "time": timing_config.build_time_config(setting).to_json() if timed else None}


def count_epochs(step: Mapping[str, Any]) -> int:
    """Return how many epochs a step trains in all its phases."""

    def number(value: int | str) -> int:
        return int(step[value]) if isinstance(value, str) else value

    return sum(number(phase.get("repeat", 1)) * number(phase.get("epochs", 0)) for phase in step["phases"])


def _drop_knobs(step: Json, names: Iterable[str]) -> Json:
    """Return the step without its knobs of these names ("teacher", or "kd.teacher": one of the term kd)."""
    kept = dict(step)
    for name in names:
        key, _, inner = name.partition(".")
        kept[key] = _drop_knobs(kept[key], (inner,)) if inner else None
    return {key: value for key, value in kept.items() if key not in names}


def _build_measure_node(config: Json, parents: tuple[str, ...]) -> Node:
    stage_config = MeasureConfig(dataset=_drop_dataset_root(config), task=config["task"])
    return _build_node(MEASURE, config, stage_config, parents, 0, config["compression"])


def _build_execute_node(config: Json, executor: str, network: str, steps: Iterable[Mapping[str, Any]]) -> Node:
    stage_config = timing_config.build_execute_config(executor, _drop_dataset_root(config), config["task"])
    return _append_to_name(_build_node(EXECUTE, config, stage_config, (network,), 0, steps), executor)


def _build_time_node(
    config: Json, setting: Json, parents: tuple[str, str], executions: Mapping[str, tuple[str, ...]]
) -> Node:
    """The time of a network, raced against the dense one; of models that were kept, those very ones race."""
    kept = executions[setting["executor"]] if setting["executor"] in timing_config.EXPORTED_EXECUTORS else ()
    stage_config = timing_config.build_time_config(setting)
    node = _build_node(TIME, config, stage_config, (*parents, *kept), 0, config["compression"])
    return _append_to_name(node, setting["executor"], f"{setting['batch']}x")


def _append_to_name(node: Node, *words: str) -> Node:
    return replace(node, name="-".join((node.name, *words)))


def _build_node(
    stage: StageDeclaration,
    config: Json,
    stage_config: StageConfig,
    parents: tuple[str, ...],
    epochs: int,
    steps: Iterable[Mapping[str, Any]],
) -> Node:
    dataset = config["dataset"]
    return Node(
        stage=stage.name,
        version=stage.version,
        stage_config=stage_config.to_json(),
        parents=parents,
        fingerprint=dataset.get("fingerprint"),
        name=format_node_name(config, steps),
        runtime=_select_runtime_fields(config, stage.name),
        work=float(epochs * (dataset.get("train_size") or dataset.get("images", {}).get("train", 1))),
    )


def _select_runtime_fields(config: Json, stage: str) -> Json:
    """Where and how a stage runs: no part of what it is."""
    return {
        "root": config["dataset"].get("root"),
        "accelerator": config["runtime"]["accelerator"],
        "threads": config["runtime"]["threads"],
        "alone": find_stages()[stage].needs_quiet_host,
    }


def _drop_dataset_root(config: Json) -> Json:
    return {key: value for key, value in config["dataset"].items() if key != "root"}


def format_node_name(config: Json, steps: Iterable[Mapping[str, Any]]) -> str:
    """A short name for people: `lenet5-mnist5k-magnitude0.9-kmeans5-s0`."""
    parts = [
        config["architecture"]["name"],
        config["dataset"]["name"],
        *map(_format_step_name, steps),
        f"s{config['seed']}",
    ]
    text = "-".join(parts)
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)[:100]


def _format_step_name(step: Mapping[str, Any]) -> str:
    name = step["method"].rpartition("/")[2]
    if "budget" in step:
        return f"{name}-{step['budget']['value']:g}{step['budget']['quantity']}"
    knob = next((step[key] for key in MAIN_KNOBS if isinstance(step.get(key), int | float)), "")
    return f"{name}{'-' if knob != '' and name[-1].isdigit() else ''}{knob}"
