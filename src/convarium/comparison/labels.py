"""Labels that tell the rows of a comparison apart."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from convarium.config.recipe import TRACELESS_KEYS
from convarium.config.search_path import list_group_options
from convarium.planning.node_names import MAIN_KNOBS
from convarium.store.signature import canonical_json

Config = Mapping[str, Any]
# Of a method with several, the one that decides: svd's rank_fraction counts only where no energy is given.
ALWAYS_SHOWN_KNOBS = ("energy", *MAIN_KNOBS, "max_drop")
BARE_KNOBS = MAIN_KNOBS  # whose value is shown without its key
# What follows from the data or from other keys: shown only where nothing else tells two rows apart.
DERIVED_KEYS = (
    "architecture.in_chans", "architecture.num_classes", "architecture.img_size", "dataset.channels", "dataset.classes",
    "dataset.class_names", "dataset.native_size", "dataset.img_size", "dataset.fingerprint", "dataset.images",
    "dataset.mean", "dataset.std",
)  # fmt: skip
HIDDEN_KEYS = ("method", "name", "version", "phases", "budget")


def flatten_config(config: Config) -> dict[str, Any]:
    """Return the config's values by keys as they are typed, such as "compression.magnitude.sparsity".

    The list of methods itself is under "compression".
    """
    flat_config: dict[str, Any] = {"compression": [step["method"] for step in config["compression"]] or "none"}
    # Set for every config, so that adopted weights differ from none.
    flat_config["architecture.weights"] = None
    for group, values in config.items():
        if group not in ("compression", "budget") and isinstance(values, Mapping):
            flat_config |= {f"{group}.{key}": value for key, value in values.items()}
    for step in config["compression"]:
        budget = step.get("budget", {})
        hidden_keys = (*HIDDEN_KEYS, budget.get("knob"))
        name = _get_step_name(step)
        flat_config |= {f"compression.{name}.{key}": step[key] for key in step if key not in hidden_keys}
        flat_config |= _flatten_references(flat_config.pop(f"compression.{name}.references", {}), name)
        if budget:
            flat_config[f"budget.{budget['quantity']}"] = budget["value"]
    return flat_config


def select_differing_values(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """Return, for each config, its flat keys whose values are not the same in all configs that have the key.

    An ingredient of a recipe differs from its absence too.
    """
    flat_configs = [flatten_config(config) for config in configs]
    values_by_key: dict[str, list[Any]] = {}
    for flat_config in flat_configs:
        for key, value in flat_config.items():
            values_by_key.setdefault(key, []).append(value)
    keys = [key for key, values in values_by_key.items() if _is_differing(key, values, len(configs))]
    return [{key: flat_config[key] for key in keys if key in flat_config} for flat_config in flat_configs]


def _is_differing(key: str, values: Sequence[Any], config_count: int) -> bool:
    """Whether the values of the configs that have a key differ; a recipe without an ingredient has its default."""
    if key.removeprefix("recipe.") in TRACELESS_KEYS and len(values) < config_count:
        return True
    return any(value != values[0] for value in values)


def format_distinct_labels(configs: Sequence[Config]) -> list[str]:
    """Return a label for each config, such as "magnitude 0.9 → kmeans 5 → huffman"; equal labels get what differs."""
    plain_labels = [format_label(config) for config in configs]
    indices_by_label: dict[str, list[int]] = {}
    for index, label in enumerate(plain_labels):
        indices_by_label.setdefault(label, []).append(index)
    distinct_labels = list(plain_labels)
    for indices in indices_by_label.values():
        if len(indices) == 1:
            continue
        differing_values = _drop_derived_values(select_differing_values([configs[index] for index in indices]))
        for index, values in zip(indices, differing_values, strict=True):
            distinct_labels[index] = format_label(configs[index], values)
    return distinct_labels


def format_labels_by_table(configs: Sequence[Config]) -> list[str]:
    """Return a label for each config, distinct among those of its architecture and dataset, which share a table."""
    indices_by_table: dict[tuple[str, str], list[int]] = {}
    for index, config in enumerate(configs):
        table = get_architecture_option(config), str(config["dataset"]["name"])
        indices_by_table.setdefault(table, []).append(index)
    row_labels = [""] * len(configs)
    for indices in indices_by_table.values():
        table_labels = format_distinct_labels([configs[index] for index in indices])
        for index, label in zip(indices, table_labels, strict=True):
            row_labels[index] = label
    return row_labels


def _drop_derived_values(differing_values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the values without those that follow from others, unless rows differ in nothing else."""
    chosen = [{key: entry[key] for key in entry if key not in DERIVED_KEYS} for entry in differing_values]
    distinct_counts = [len({canonical_json(entry) for entry in entries}) for entries in (differing_values, chosen)]
    return chosen if distinct_counts[0] == distinct_counts[1] else list(differing_values)


def format_label(config: Config, differing_values: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the chain of methods; knobs in `differing_values` follow their method, other keys follow in brackets."""
    steps = [_format_step(step, differing_values) for step in config["compression"]]
    chain = " → ".join(steps or ["dense"])
    other_keys = [key for key in differing_values if not key.startswith("compression")]
    if not other_keys:
        return chain
    other_values = ", ".join(_format_key_value(key, differing_values[key]) for key in other_keys)
    return f"{chain} [{other_values}]"


def get_architecture_option(config: Config) -> str:
    """Return the architecture's option, such as "basic/lenet5" or "timm/resnet10t"."""
    source = config["architecture"]["source"]
    name = str(config["architecture"]["name"])
    if source != "own":
        return f"{source}/{name}"
    return _find_own_option(name, os.getcwd())  # noqa: PTH109, a tenth of the time of Path.cwd


# Asked for each row of a comparison. By the working folder too, since its ./conf is searched.
@cache
def _find_own_option(name: str, working_folder: str) -> str:
    for option in list_group_options("architecture"):
        if option.rpartition("/")[2] == name:
            return option
    return name  # its YAML is not on this installation's search path


def _flatten_references(references: Mapping[str, Config | str], step_name: str) -> dict[str, Any]:
    """Return the values of the networks that a step refers to; a signature where the network's config is not known."""
    flat_config: dict[str, Any] = {}
    for knob, reference in references.items():
        prefix = f"compression.{step_name}.{knob}"
        if isinstance(reference, str):
            flat_config[prefix] = reference
        else:
            flat_config |= {f"{prefix}.{key}": value for key, value in flatten_config(reference).items()}
            if "seed" in reference:
                flat_config[f"{prefix}.seed"] = reference["seed"]
    return flat_config


def _get_step_name(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _format_step(step: Mapping[str, Any], differing_values: Mapping[str, Any]) -> str:
    name = _get_step_name(step)
    prefix = f"compression.{name}."
    knobs = {key.removeprefix(prefix): value for key, value in differing_values.items() if key.startswith(prefix)}
    parts = [name]
    if "budget" in step:
        # The budget stands in place of the knob that was solved for it.
        budget = step["budget"]
        parts.append(f"≤{budget['value']:,.10g} {budget['quantity']}")
    else:
        main_knob = next((key for key in ALWAYS_SHOWN_KNOBS if isinstance(step.get(key), int | float)), None)
        if main_knob and step[main_knob]:  # at 0 a method leaves this as it is, such as the width of kd's student
            knobs.pop(main_knob, None)
            value = _format_label_value(step[main_knob])
            parts.append(value if main_knob in BARE_KNOBS else f"{main_knob}={value}")
    parts += [f"{key}={_format_label_value(value)}" for key, value in knobs.items()]
    return " ".join(parts)


def _format_key_value(key: str, value: Any) -> str:
    return str(value) if key in ("architecture.name", "dataset.name") else f"{key}={_format_label_value(value)}"


def _format_label_value(value: Any) -> str:
    if isinstance(value, Mapping):
        entries = ", ".join(f"{key}: {_format_label_value(entry)}" for key, entry in value.items())
        return f"{{{entries}}}"
    if value is None:
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)
