"""A point: composed values become the plain, complete, checked dict that every later layer reads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from convarium.config.budget import assign_budget
from convarium.config.checker import check_closed_group, check_open_set
from convarium.config.compression_steps import parse_steps
from convarium.config.measurement import check_measurement
from convarium.config.override import Override
from convarium.config.paths import expand_home
from convarium.config.recipe import SMALLEST_PART, check_recipe
from convarium.config.rules import Rule, check_known_keys, check_value
from convarium.config.schema import CLOSED_GROUPS, LAYER_KEYS, ArchitectureConfig, DatasetConfig
from convarium.errors import UserError
from convarium.lookup import find_by_name
from convarium.store.disk import cache_folder_of, check_store_root

MAX_POINTS = 100_000  # of one command line
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
    step_options = default.get("compression") or {}
    dataset = _check_half_open_group(values, default, "dataset", DatasetConfig)
    architecture = _check_half_open_group(values, default, "architecture", ArchitectureConfig)
    closed_groups = {name: check_closed_group(values.get(name), group, name) for name, group in CLOSED_GROUPS.items()}
    config = {
        **closed_groups,
        "compression": parse_steps(values.get("compression"), step_options),
        "seed": check_value(values.get("seed"), SEED_RULE, "seed"),
    }
    config["recipe"] = check_recipe(config["recipe"], dataset["channels"])
    runtime = config["runtime"]
    runtime["store"] = expand_home(runtime["store"])
    dataset["img_size"] = dataset["img_size"] or dataset["native_size"]
    if dataset["root"]:
        dataset["root"] = expand_home(dataset["root"])
    config["measurement"] = check_measurement(config["measurement"], config["budget"])
    store = check_store_root(runtime["store"])
    config["dataset"] = _fill_dataset(dataset, default["dataset"].get("_inspect_folder_"), store)
    architecture = _drop_default_layers(architecture, default["architecture"])
    config["architecture"] = _fill_architecture(architecture, config["dataset"])
    for step in config["compression"]:
        if step.get("epochs", 0) is None:
            step["epochs"] = config["recipe"]["epochs"]
    config["budget"] = assign_budget(config["compression"], step_options, config["budget"])
    _check_devices(runtime, config["recipe"]["batch_size"])
    if not config["tracking"]["experiment"].strip():
        raise UserError("tracking.experiment is empty, expected a name such as convarium")
    return {key: config[key] for key in POINT_KEYS}


def _check_devices(runtime: Mapping[str, Any], batch_size: int) -> None:
    """Check that each of several devices has a share of a batch."""
    devices = runtime["devices"]
    if devices == 1:
        return
    if runtime["accelerator"] == "mps":
        raise UserError(f"runtime.devices={devices}: there is one device of runtime.accelerator=mps")
    smallest = SMALLEST_PART * devices
    if batch_size < smallest:
        raise UserError(
            f"recipe.batch_size={batch_size} leaves fewer than {SMALLEST_PART} images for each of"
            f" runtime.devices={devices}, expected at least {smallest}"
        )


def _check_half_open_group(
    config: Mapping[str, Any], default_config: Mapping[str, Any], name: str, group: type
) -> dict[str, Any]:
    """Check a group of an open set: keys of the dataclass by the dataclass, all others by the YAML they came from."""
    values: Any = config.get(name)
    option = default_config[name]
    common_keys = [field.name for field in fields(group)]
    own_option = _drop_keys(option, common_keys)
    own_values = _drop_keys(values, common_keys)
    unknown_keys = [key for key in own_values if key not in own_option]
    knobs = [key for key in own_option if not key.startswith("_")]
    # Here rather than in check_open_set, which would suggest knobs only.
    check_known_keys(unknown_keys, [*common_keys, *knobs], name)
    own_option["_check_"] = _drop_keys(own_option.get("_check_") or {}, common_keys)
    common_values = {key: value for key, value in values.items() if key in common_keys}
    return {**check_closed_group(common_values, group, name), **check_open_set(own_values, own_option, name)}


def _drop_keys(values: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _fill_dataset(dataset: dict[str, Any], function_name: str | None, store: Path) -> dict[str, Any]:
    """Let the function that the dataset's YAML names under `_inspect_folder_` fill in what only the data show."""
    if function_name:
        inspect_folder = find_by_name("datasets.folder_images", function_name)
        dataset = inspect_folder(dataset, cache_folder_of(store))
    if dataset["classes"] is None:
        raise UserError("dataset.classes is missing, expected int of at least 1")
    return dataset


def _drop_default_layers(architecture: dict[str, Any], option: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the layers that are the network's own by default: a choice that is not made leaves no trace."""
    return {key: value for key, value in architecture.items() if key not in LAYER_KEYS or value != option[key]}


def _fill_architecture(architecture: dict[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Take channels, classes and image size from the dataset where the architecture leaves them open."""
    # Absent where unset, as before these keys existed: the signatures of networks trained from scratch stay the same.
    filled = {key: value for key, value in architecture.items() if key not in ("weights", "pretrained") or value}
    if {"pretrained", "weights"} <= set(filled):
        raise UserError("architecture.pretrained=true and architecture.weights both set the weights; leave one out")
    for key, dataset_key in (("in_chans", "channels"), ("num_classes", "classes"), ("img_size", "img_size")):
        dataset_value = dataset[dataset_key]
        if filled[key] is None:
            filled[key] = dataset_value
        if filled[key] != dataset_value:
            raise UserError(
                f"architecture.{key}={filled[key]} does not fit dataset.{dataset_key}={dataset_value} of"
                f" {dataset['name']}; leave architecture.{key}=null"
            )
    filled["kwargs"] = filled.get("kwargs") or {}
    return filled
