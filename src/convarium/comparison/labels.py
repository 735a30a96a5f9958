"""Names for rows that people can tell apart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from convarium.config.search_path import list_group_options

Config = Mapping[str, Any]
ALWAYS_SHOWN_KNOB = "sparsity"
HIDDEN_KEYS = ("method", "name", "version", "phases", "budget")


def flatten_config(config: Config) -> dict[str, Any]:
    """Return the config by keys as they are typed, such as "compression.magnitude.sparsity".

    The list of methods itself is under "compression", the architecture's option under "architecture".
    """
    result: dict[str, Any] = {"compression": [step["method"] for step in config["compression"]] or "none"}
    result["architecture.weights"] = None
    for group, values in config.items():
        if group not in ("compression", "budget") and isinstance(values, Mapping):
            result |= {f"{group}.{key}": value for key, value in values.items()}
    for step in config["compression"]:
        order = step.get("budget", {})
        silent = (*HIDDEN_KEYS, order.get("knob"))
        result |= {f"compression.{_get_step_name(step)}.{key}": step[key] for key in step if key not in silent}
        result |= {f"budget.{order['quantity']}": order["value"]} if order else {}
    return result


def select_differing_values(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """Return, for each config, its flat keys whose values are not the same in all that have the key."""
    flats = [flatten_config(config) for config in configs]
    values: dict[str, list[Any]] = {}
    for one in flats:
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    keys = [key for key, found in values.items() if any(value != found[0] for value in found)]
    return [{key: one[key] for key in keys if key in one} for one in flats]


def format_distinct_labels(configs: Sequence[Config]) -> list[str]:
    """Return a label for each config, such as "magnitude 0.9 → kmeans → huffman"; equal ones get what differs."""
    plain = [format_label(config) for config in configs]
    counts = Counter(plain)
    result = list(plain)
    for text in [text for text, count in counts.items() if count > 1]:
        places = [place for place, other in enumerate(plain) if other == text]
        for place, differs in zip(places, select_differing_values([configs[place] for place in places]), strict=True):
            result[place] = format_label(configs[place], differs)
    return result


def format_label(config: Config, differing_values: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the chain of methods; knobs in `differing_values` stand behind their method, other keys in brackets."""
    steps = [_format_step(step, differing_values) for step in config["compression"]]
    rest = [
        _format_key_value(key, value) for key, value in differing_values.items() if not key.startswith("compression")
    ]
    return " → ".join(steps or ["dense"]) + (f" [{', '.join(rest)}]" if rest else "")


def get_architecture_option(config: Config) -> str:
    """Return the architecture's option, such as "basic/lenet5" or "timm/resnet10t"."""
    source, name = config["architecture"]["source"], str(config["architecture"]["name"])
    if source != "own":
        return f"{source}/{name}"
    return next((option for option in list_group_options("architecture") if option.rpartition("/")[2] == name), name)


def _get_step_name(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _format_step(step: Mapping[str, Any], differing_values: Mapping[str, Any]) -> str:
    name = _get_step_name(step)
    prefix = f"compression.{name}."
    shown = {key.removeprefix(prefix): value for key, value in differing_values.items() if key.startswith(prefix)}
    main = shown.pop(ALWAYS_SHOWN_KNOB, step.get(ALWAYS_SHOWN_KNOB))
    parts = [name] if main is None else [name, _format_label_value(main)]
    if "budget" in step:
        parts = [name, f"≤{step['budget']['value']:,.10g} {step['budget']['quantity']}"]
    return " ".join(parts + [f"{key}={_format_label_value(value)}" for key, value in shown.items()])


def _format_key_value(key: str, value: Any) -> str:
    return str(value) if key in ("architecture.name", "dataset.name") else f"{key}={_format_label_value(value)}"


def _format_label_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_format_label_value(entry)}" for key, entry in value.items()) + "}"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
