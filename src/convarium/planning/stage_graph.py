"""From points to the graph of the stages that they ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from convarium.config.point import Reference
from convarium.lookup import find_named_packages
from convarium.planning.node_names import format_node_name
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.seeds import derive_seed
from convarium.stages import timing_config
from convarium.stages.compress import STAGE as COMPRESS
from convarium.stages.compress import CompressConfig
from convarium.stages.declaration import StageConfig, StageDeclaration, find_stages
from convarium.stages.execute import STAGE as EXECUTE
from convarium.stages.measure import STAGE as MEASURE
from convarium.stages.measure import MeasureConfig
from convarium.stages.score import STAGE as SCORE
from convarium.stages.score import ScoreConfig
from convarium.stages.time import STAGE as TIME
from convarium.stages.train import STAGE as TRAIN
from convarium.stages.train import TrainConfig

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


def build_trial_plan(points: Iterable[PointLike]) -> Plan:
    """Build the graph of what a search's trials need: their networks, each scored and neither measured nor timed.

    The stages that make a network are those of `build_plan`, so that a run finds the networks of trials stored.
    """
    nodes: dict[str, Node] = {}
    planned = tuple(_plan_trial(point, nodes) for point in points)
    return Plan(nodes=nodes, points=planned)


def _plan_trial(point: PointLike, nodes: dict[str, Node]) -> PlannedPoint:
    network, dense = _add_networks(nodes, point)
    score = _add_node(nodes, _build_score_node(point.config, (network, dense)))
    overrides = tuple(map(str, point.overrides))
    return PlannedPoint(overrides, config=point.config, network=network, dense=dense, measure=score)


def _plan_point(point: PointLike, nodes: dict[str, Node]) -> PlannedPoint:
    config = point.config
    network, dense = parents = _add_networks(nodes, point)
    measure = _add_node(nodes, _build_measure_node(config, parents))
    executors = config["measurement"]["executors"]
    executions = {executor: _add_executions(nodes, config, executor, parents) for executor in executors}
    settings = timing_config.list_time_settings(config)
    times = [_add_node(nodes, _build_time_node(config, setting, parents, executions)) for setting in settings]
    return PlannedPoint(
        overrides=tuple(map(str, point.overrides)),
        config=config,
        network=network,
        dense=dense,
        measure=measure,
        executions=tuple(signatures[0] for signatures in executions.values() if signatures),
        times=tuple(times),
    )


def _add_networks(nodes: dict[str, Node], point: PointLike) -> tuple[str, str]:
    """Add the stages that make a point's network; return the signatures of the network and of the dense one."""
    config = point.config
    dense = _add_dense(nodes, point)
    network = dense
    for position in range(len(config["compression"])):
        references = [_add_reference(nodes, reference, config) for reference in _list_references(point, position)]
        network = _add_node(nodes, _build_compress_node(point, position, (network, *references)))
    return network, dense


def _add_executions(nodes: dict[str, Node], config: Json, executor: str, parents: tuple[str, str]) -> tuple[str, ...]:
    """Add the quality of a network under an executor, and of its dense network if the executor's models are kept.

    Returns:
        The signatures, that of the network first; none for the eager executor, under which `measure` runs.
    """
    if executor == timing_config.EAGER_EXECUTOR:
        return ()
    network, dense = parents
    execution = _add_node(nodes, _build_execute_node(config, executor, network, config["compression"]))
    if executor not in timing_config.EXPORTED_EXECUTORS:
        return (execution,)
    dense_execution = _add_node(nodes, _build_execute_node(config, executor, dense, ()))
    return execution, dense_execution


def _add_node(nodes: dict[str, Node], node: Node) -> str:
    """Add `node` unless it is in `nodes`, and return its signature.

    Its runtime notes the outside packages that its files may name: those named by its config or by a stage before it;
    and the hardware that its worker must have, where it takes times or runs an executor.
    """
    if node.signature not in nodes:
        inherited = (nodes[parent].runtime["allow"] for parent in node.parents)
        node.runtime["allow"] = sorted(find_named_packages(node.stage_config).union(*inherited))
        hardware = timing_config.find_hardware(node.stage_config)
        if hardware is not None:
            node.runtime["hardware"] = hardware
        nodes[node.signature] = node
    return node.signature


def _add_dense(nodes: dict[str, Node], point: PointLike) -> str:
    """Add the network that the point begins with: adopted, or trained."""
    for reference in point.references:
        if reference.step_index < 0:
            return _add_reference(nodes, reference, point.config)
    return _add_node(nodes, _build_train_node(point.config))


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
    """Add the network that a reference names, and return its signature: the same however it was named."""
    if reference.config is not None:
        return _add_node(nodes, _build_train_node(reference.config))
    for fields in reference.node_fields:
        identity = {**fields, "parents": tuple(fields["parents"])}
        node = Node(**identity, runtime=_select_runtime_fields(config, fields["stage"]))
        signature = _add_node(nodes, node)
    return signature  # the fields are those of a chain, parents first: the last node made the network


def _build_compress_node(point: PointLike, position: int, parents: tuple[str, ...]) -> Node:
    config = point.config
    steps = config["compression"][: position + 1]
    step = steps[-1]
    budget_inputs = _collect_budget_inputs(point, position) if "budget" in step else {}
    stage_config = CompressConfig(
        step=_strip_unhashed_knobs(point, position),
        dataset=_drop_dataset_root(config),
        task=config["task"],
        # Each phase has a number of epochs of its own: that of the dense network must not change the signature.
        recipe={key: value for key, value in config["recipe"].items() if key != "epochs"},
        seed=derive_seed(config["seed"], "step", position),
        references=[reference.knob for reference in _list_references(point, position)],
        **budget_inputs,
    )
    return _build_node(COMPRESS, config, stage_config, parents, count_epochs(step), steps)


def _list_references(point: PointLike, position: int) -> list[Reference]:
    """Return the references of one step in the order of their knobs: that of the parents, which are hashed."""
    references = [reference for reference in point.references if reference.step_index == position]
    return sorted(references, key=lambda reference: reference.knob)


def _strip_unhashed_knobs(point: PointLike, position: int) -> Json:
    """Return a step as it is hashed: the networks that it refers to are parents, and its name decides nothing."""
    references = [reference.knob for reference in _list_references(point, position)]
    return _drop_knobs(point.config["compression"][position], ("name", *references))


def _collect_budget_inputs(point: PointLike, position: int) -> Json:
    """Return what meeting a budget depends on besides the step: the later steps, and for a latency how it is timed."""
    steps = point.config["compression"]
    following = [_strip_unhashed_knobs(point, later) for later in range(position + 1, len(steps))]
    time_config = None
    if steps[position]["budget"]["quantity"] == "latency":
        setting = timing_config.select_latency_setting(point.config)
        time_config = timing_config.build_time_config(setting, point.config["measurement"]).to_json()
    return {"following": following, "time": time_config}


def count_epochs(step: Mapping[str, Any]) -> int:
    """Return how many epochs a step trains in all its phases."""
    epochs = 0
    for phase in step["phases"]:
        repeats = _resolve_count(step, phase.get("repeat", 1))
        epochs += repeats * _resolve_count(step, phase.get("epochs", 0))
    return epochs


def _resolve_count(step: Mapping[str, Any], count: int | str) -> int:
    """Return a count of a phase, which may be the name of a knob of its step."""
    return int(step[count]) if isinstance(count, str) else count


def _drop_knobs(step: Json, names: Iterable[str]) -> Json:
    """Return the step without its knobs of these names ("teacher", or "kd.teacher": one of the term kd)."""
    kept = dict(step)
    for name in names:
        key, _, inner_name = name.partition(".")
        if inner_name:
            kept[key] = _drop_knobs(kept[key], (inner_name,))
        else:
            kept.pop(key, None)
    return kept


def _build_measure_node(config: Json, parents: tuple[str, ...]) -> Node:
    stage_config = MeasureConfig(dataset=_drop_dataset_root(config), task=config["task"])
    return _build_node(MEASURE, config, stage_config, parents, 0, config["compression"])


def _build_score_node(config: Json, parents: tuple[str, ...]) -> Node:
    stage_config = ScoreConfig(dataset=_drop_dataset_root(config), task=config["task"])
    return _build_node(SCORE, config, stage_config, parents, 0, config["compression"])


def _build_execute_node(config: Json, executor: str, network: str, steps: Iterable[Mapping[str, Any]]) -> Node:
    stage_config = timing_config.build_execute_config(
        executor, _drop_dataset_root(config), config["task"], config["measurement"]["cpu"]
    )
    node = _build_node(EXECUTE, config, stage_config, (network,), 0, steps)
    return _append_to_name(node, executor)


def _build_time_node(
    config: Json, setting: Json, parents: tuple[str, ...], executions: Mapping[str, tuple[str, ...]]
) -> Node:
    """Build the race of a network against its dense one; the models that `execute` kept of them become parents."""
    executor = setting["executor"]
    if executor in timing_config.EXPORTED_EXECUTORS:
        parents = (*parents, *executions[executor])
    stage_config = timing_config.build_time_config(setting, config["measurement"])
    node = _build_node(TIME, config, stage_config, parents, 0, config["compression"])
    return _append_to_name(node, executor, f"{setting['batch']}x")


def _append_to_name(node: Node, *suffixes: str) -> Node:
    return replace(node, name="-".join((node.name, *suffixes)))


def _build_node(
    stage: StageDeclaration,
    config: Json,
    stage_config: StageConfig,
    parents: tuple[str, ...],
    epochs: int,
    steps: Iterable[Mapping[str, Any]],
) -> Node:
    dataset = config["dataset"]
    images = dataset.get("train_size") or dataset.get("images", {}).get("train", 1)
    return Node(
        stage=stage.name,
        version=stage.version,
        stage_config=stage_config.to_json(),
        parents=parents,
        fingerprint=dataset.get("fingerprint"),
        name=format_node_name(config, steps),
        runtime=_select_runtime_fields(config, stage.name),
        work=float(epochs * images),
    )


def _select_runtime_fields(config: Json, stage: str) -> Json:
    """Return where and how a stage runs, which is never hashed."""
    return {
        "root": config["dataset"].get("root"),
        "accelerator": config["runtime"]["accelerator"],
        "threads": config["runtime"]["threads"],
        "devices": config["runtime"]["devices"],
        "checkpoint_minutes": config["runtime"]["checkpoint_minutes"],
        "alone": find_stages()[stage].needs_quiet_host,
    }


def _drop_dataset_root(config: Json) -> Json:
    return {key: value for key, value in config["dataset"].items() if key != "root"}
