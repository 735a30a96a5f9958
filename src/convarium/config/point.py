"""One point: composed values become the plain, complete, checked dict that every later layer reads."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from convarium.config.budget import assign_budget
from convarium.config.checker import check_closed_group, check_open_set
from convarium.config.compression_steps import parse_steps
from convarium.config.measurement import check_measurement
from convarium.config.override import Override
from convarium.config.paths import expand_home
from convarium.config.recipe import check_recipe
from convarium.config.rules import Rule, check_known_keys, check_value
from convarium.config.schema import CLOSED_GROUPS, ArchitectureConfig, DatasetConfig
from convarium.errors import UserError
from convarium.lookup import find_by_name
from convarium.store.disk import cache_folder_of, check_store_root

MAX_POINTS = 100_000  # of one command line
LAYER_KEYS = ("activation", "norm", "pooling", "dropout")
SEED_RULE = Rule(types=frozenset({int}), low=0)
POINT_KEYS = [
    "architecture", "dataset", "task", "recipe", "compression", "budget", "measurement", "seed", "runtime", "tracking",
]  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """Another network that a step needs: the config of a dense one, or the stored stages that made it.

    Attributes:
        step_index: the step's position in the compression list; -1 for the adopted network that the point begins with.
        knob: the step's knob that names the network, such as "teacher".
        node_fields: fields of nodes (stage, version, stage_config, parents, fingerprint, name), parents first, the
            network last.
    """

    step_index: int
    knob: str
    config: dict[str, Any] | None = None
    node_fields: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Point:
    """One experiment: the overrides that reproduce it, its config (plain JSON types, complete), other networks."""

    overrides: tuple[Override, ...]
    config: dict[str, Any]
    references: tuple[Reference, ...] = ()


def check_config(values: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of one point; `default` is the same composition before any value was set.

    Raises:
        UserError: the first mistake, by the override key that mends it.
    """
    check_known_keys(values, POINT_KEYS, "")
    for key in ("architecture", "dataset"):
        if not isinstance(default.get(key), Mapping):
            raise UserError(f"{key} is {default.get(key)}, expected keys and values")
    dataset = _check_half_open_group(values.get("dataset"), default["dataset"], DatasetConfig, "dataset")
    config = {
        "architecture": _check_half_open_group(
            values.get("architecture"), default["architecture"], ArchitectureConfig, "architecture"
        ),
        "dataset": {**dataset, "img_size": dataset["img_size"] or dataset["native_size"]},
        **{name: check_closed_group(values.get(name), group, name) for name, group in CLOSED_GROUPS.items()},
        "compression": parse_steps(values.get("compression"), default.get("compression") or {}),
        "seed": check_value(values.get("seed"), SEED_RULE, "seed"),
    }
    config["recipe"] = check_recipe(config["recipe"], config["dataset"]["channels"])
    config["runtime"]["store"] = expand_home(config["runtime"]["store"])
    if config["dataset"]["root"]:
        config["dataset"]["root"] = expand_home(config["dataset"]["root"])
    config["measurement"] = check_measurement(config["measurement"], config["budget"])
    store = check_store_root(config["runtime"]["store"])
    config["dataset"] = _fill_dataset(config["dataset"], default["dataset"].get("_inspect_folder_"), store)
    config["architecture"] = _fill_architecture(
        _drop_usual_layers(config["architecture"], default["architecture"]), config["dataset"]
    )
    for step in config["compression"]:
        if step.get("epochs", 0) is None:
            step["epochs"] = config["recipe"]["epochs"]
    config["budget"] = assign_budget(config["compression"], default.get("compression") or {}, config["budget"])
    if config["runtime"]["devices"] > 1:
        raise UserError(f"runtime.devices={config['runtime']['devices']}: only one device is built so far")
    if not config["tracking"]["experiment"].strip():
        raise UserError("tracking.experiment is empty, expected a name such as convarium")
    return {key: config[key] for key in POINT_KEYS}


def _check_half_open_group(values: Any, default: Mapping[str, Any], group: type, where: str) -> dict[str, Any]:
    """A group of an open set: its dataclass's keys by the dataclass, all other keys by the YAML they came from."""
    names = [field.name for field in fields(group)]
    own = {key: value for key, value in default.items() if key not in names}
    entries = {key: value for key, value in (own.get("_check_") or {}).items() if key not in names}
    rest = {key: value for key, value in values.items() if key not in names}
    if wrong := [key for key in rest if key not in own]:
        check_known_keys({wrong[0]: None}, [*names, *(key for key in own if not key.startswith("_"))], where)
    common = check_closed_group({key: value for key, value in values.items() if key in names}, group, where)
    return {**common, **check_open_set(rest, {**own, "_check_": entries}, where)}


def _fill_dataset(dataset: dict[str, Any], function_name: str | None, store: Path) -> dict[str, Any]:
    """Let the function that the dataset's YAML names under `_inspect_folder_` fill in what only the data tell."""
    looked: dict[str, Any] = (
        find_by_name("datasets.folder_images", function_name)(dataset, cache_folder_of(store))
        if function_name
        else dataset
    )
    if looked["classes"] is None:
        raise UserError("dataset.classes is missing, expected int of at least 1")
    return looked


def _drop_usual_layers(architecture: dict[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out layers that are the network's usual ones: a choice that is not made leaves no trace."""
    return {key: value for key, value in architecture.items() if key not in LAYER_KEYS or value != usual[key]}


def _fill_architecture(architecture: dict[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Take channels, classes and image size from the dataset where the architecture leaves them open.

    Without `weights` and `pretrained` there is no trace of them: what is trained is as it was before there were any.
    """
    filled = {key: value for key, value in architecture.items() if key not in ("weights", "pretrained") or value}
    if {"pretrained", "weights"} <= set(filled):
        raise UserError("architecture.pretrained=true and architecture.weights are two beginnings; leave one out")
    for key, of in (("in_chans", "channels"), ("num_classes", "classes"), ("img_size", "img_size")):
        filled[key] = architecture[key] if architecture[key] is not None else dataset[of]
        if filled[key] != dataset[of]:
            raise UserError(
                f"architecture.{key}={filled[key]} does not fit dataset.{of}={dataset[of]} of {dataset['name']};"
                f" leave architecture.{key}=null"
            )
    return {**filled, "kwargs": filled.get("kwargs") or {}}
