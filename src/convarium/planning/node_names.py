"""The names of nodes, by which people know a stage and with which the folder of its result begins."""

from collections.abc import Iterable, Mapping
from typing import Any

MAIN_KNOBS = ("sparsity", "channels_removed", "rank_fraction", "bits", "quant_max")
MAX_NAME_CHARS = 100

Json = dict[str, Any]


def format_node_name(config: Json, steps: Iterable[Mapping[str, Any]]) -> str:
    """Return a short name for people: `lenet5-mnist5k-magnitude0.9-kmeans5-s0`."""
    architecture, dataset = config["architecture"]["name"], config["dataset"]["name"]
    parts: list[str] = [architecture, dataset, *map(_format_step_name, steps), f"s{config['seed']}"]
    name = "-".join(parts)
    # The folder of a result begins with the name: only characters that a file name can hold.
    plain = "".join(character if character.isalnum() or character in "._-" else "_" for character in name)
    return plain[:MAX_NAME_CHARS]


def _format_step_name(step: Mapping[str, Any]) -> str:
    name: str = step["method"].rpartition("/")[2]
    if "budget" in step:
        budget = step["budget"]
        return f"{name}-{budget['value']:g}{budget['quantity']}"
    knob = next((step[key] for key in MAIN_KNOBS if isinstance(step.get(key), int | float)), None)
    if knob is None:
        return name
    separator = "-" if name[-1].isdigit() else ""
    return f"{name}{separator}{knob}"
