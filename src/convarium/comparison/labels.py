"""Names for rows that people can tell apart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from convarium.config.places import options

Config = Mapping[str, Any]
ALWAYS = "sparsity"
SILENT = ("method", "name", "version", "phases", "budget")


def flat(config: Config) -> dict[str, Any]:
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
        silent = (*SILENT, order.get("knob"))
        result |= {f"compression.{_name(step)}.{key}": step[key] for key in step if key not in silent}
        result |= {f"budget.{order['quantity']}": order["value"]} if order else {}
    return result


def differing(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """Return, for each config, its flat keys whose values are not the same in all that have the key."""
    flats = [flat(config) for config in configs]
    values: dict[str, list[Any]] = {}
    for one in flats:
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    keys = [key for key, found in values.items() if any(value != found[0] for value in found)]
    return [{key: one[key] for key in keys if key in one} for one in flats]


def labels(configs: Sequence[Config]) -> list[str]:
    """Return a label for each config, such as "magnitude 0.9 → kmeans → huffman"; equal ones get what differs."""
    plain = [label(config) for config in configs]
    counts = Counter(plain)
    result = list(plain)
    for text in [text for text, count in counts.items() if count > 1]:
        places = [place for place, other in enumerate(plain) if other == text]
        for place, differs in zip(places, differing([configs[place] for place in places]), strict=True):
            result[place] = label(configs[place], differs)
    return result


def label(config: Config, differs: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the chain of methods; knobs in `differs` stand behind their method, other keys in brackets."""
    steps = [_step(step, differs) for step in config["compression"]]
    rest = [_pair(key, value) for key, value in differs.items() if not key.startswith("compression")]
    return " → ".join(steps or ["dense"]) + (f" [{', '.join(rest)}]" if rest else "")


def architecture(config: Config) -> str:
    """Return the architecture's option, such as "basic/lenet5" or "timm/resnet10t"."""
    source, name = config["architecture"]["source"], str(config["architecture"]["name"])
    if source != "own":
        return f"{source}/{name}"
    return next((option for option in options("architecture") if option.rpartition("/")[2] == name), name)


def _name(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _step(step: Mapping[str, Any], differs: Mapping[str, Any]) -> str:
    name = _name(step)
    prefix = f"compression.{name}."
    shown = {key.removeprefix(prefix): value for key, value in differs.items() if key.startswith(prefix)}
    main = shown.pop(ALWAYS, step.get(ALWAYS))
    parts = [name] if main is None else [name, _value(main)]
    if "budget" in step:
        parts = [name, f"≤{step['budget']['value']:,.10g} {step['budget']['quantity']}"]
    return " ".join(parts + [f"{key}={_value(value)}" for key, value in shown.items()])


def _pair(key: str, value: Any) -> str:
    return str(value) if key in ("architecture.name", "dataset.name") else f"{key}={_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(entry)}" for key, entry in value.items()) + "}"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
