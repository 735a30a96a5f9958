"""Labels that tell the rows of a comparison apart."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from convarium.config.recipe import TRACELESS_KEYS
from convarium.config.search_path import list_group_options

Config = Mapping[str, Any]
ALWAYS_SHOWN_KNOB = "sparsity"
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
    """Return a label for each config, such as "magnitude 0.9 → kmeans → huffman"; equal labels get what differs."""
    plain_labels = [format_label(config) for config in configs]
    indices_by_label: dict[str, list[int]] = {}
    for index, label in enumerate(plain_labels):
        indices_by_label.setdefault(label, []).append(index)
    distinct_labels = list(plain_labels)
    for indices in indices_by_label.values():
        if len(indices) == 1:
            continue
        differing_values = select_differing_values([configs[index] for index in indices])
        for index, values in zip(indices, differing_values, strict=True):
            distinct_labels[index] = format_label(configs[index], values)
    return distinct_labels


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
    for option in list_group_options("architecture"):
        if option.rpartition("/")[2] == name:
            return option
    return name  # its YAML is not on this installation's search path


def _get_step_name(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _format_step(step: Mapping[str, Any], differing_values: Mapping[str, Any]) -> str:
    name = _get_step_name(step)
    prefix = f"compression.{name}."
    knobs = {key.removeprefix(prefix): value for key, value in differing_values.items() if key.startswith(prefix)}
    main_value = knobs.pop(ALWAYS_SHOWN_KNOB, step.get(ALWAYS_SHOWN_KNOB))
    parts = [name]
    if "budget" in step:
        # The budget stands in place of the knob that was solved for it.
        budget = step["budget"]
        parts.append(f"≤{budget['value']:,.10g} {budget['quantity']}")
    elif main_value is not None:
        parts.append(_format_label_value(main_value))
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
