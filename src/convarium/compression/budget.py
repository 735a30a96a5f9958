"""Budgets: a knob is solved so that the cost of the finished network, or of its file, is within a limit.

Deciders are tried on the weights as they are, without training. After the last round's decision the positions of
weights and the shapes of tensors are final, so retraining changes no byte of them.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from convarium.architectures import factory
from convarium.cost.network_cost import Cost
from convarium.cvm import header as file_header
from convarium.errors import BudgetNotReachable, UserError

Json = Mapping[str, Any]
CostFunction = Callable[[Any], float]
MAX_TRIES = 48  # of which each third halves the interval, to less than 2 ** -16 of its first length
MIN_INTERVAL = 1e-9  # a share that differs by less is the same whole number of weights


def solve_knob(budget_spec: Json, measure_cost: CostFunction, limit: float) -> Any:
    """Return the value of the knob with the highest cost that is not above `limit`.

    Args:
        budget_spec: `quantity`, `value`, `knob`, `candidates` (the ends of an interval of floats, or all whole values),
            and `close`: a float is accepted once its cost is within this share of the limit.
        measure_cost: returns the cost of the network that the chain makes with a value of the knob; monotone in it.
        limit: in the unit of the cost.

    Raises:
        BudgetNotReachable: even the cheapest value costs more; the line names the range.
    """
    # A trial compresses the network and writes its file: no value is tried twice.
    get_cost = cache(measure_cost)
    candidates = budget_spec["candidates"]
    cheapest, dearest = sorted((candidates[0], candidates[-1]), key=get_cost)
    if get_cost(cheapest) > limit:
        least, most = _format_cost(get_cost(cheapest)), _format_cost(get_cost(dearest))
        raise BudgetNotReachable(f"not reachable (least {least}, most {most})")
    if get_cost(dearest) <= limit:
        return dearest
    if isinstance(cheapest, float) or isinstance(dearest, float):
        return _search_interval(get_cost, cheapest, dearest, limit, budget_spec["close"])
    return max((value for value in candidates if get_cost(value) <= limit), key=get_cost)


def _search_interval(get_cost: CostFunction, within: float, above: float, limit: float, tolerance: float) -> float:
    """Return a value whose cost is close to the limit, from a value within the limit and one above it.

    Each trial takes the value at which the chord through both costs reaches the middle of the tolerance (regula falsi).
    With a curved cost one end of the interval may stay for long, so each third trial bisects it, which always ends.
    """
    target_cost = limit * (1 - tolerance / 2)
    for trial in range(1, MAX_TRIES + 1):
        is_close = get_cost(within) > limit * (1 - tolerance)
        if is_close or abs(within - above) < MIN_INTERVAL:
            break
        share = 0.5 if trial % 3 == 0 else (target_cost - get_cost(within)) / (get_cost(above) - get_cost(within))
        middle = within + share * (above - within)
        if get_cost(middle) <= limit:
            within = middle
        else:
            above = middle
    return within


def _format_cost(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"


def compute_cost_limit(budget_spec: Json, header: Json) -> float:
    """Return the most that the network may cost: bytes, MACs, parameters, or its latency as a share of the dense one's.

    Up to 1, MACs and parameters are shares of the dense network's; a sparsity is the share of parameters to remove.
    """
    quantity, value = budget_spec["quantity"], float(budget_spec["value"])
    if quantity in ("bytes", "latency") or (value > 1 and quantity != "sparsity"):
        return value
    dense_cost = Cost(factory.build_architecture(header["architecture"], "meta"), header["input"]["shape"])
    if quantity == "sparsity":
        return (1 - value) * dense_cost.parameters
    return value * (dense_cost.macs if quantity == "macs" else dense_cost.parameters)


def check_byte_budget(step: Json, architecture: Json) -> None:
    """Refuse a budget of bytes that not even the file's header would fit into.

    Raises:
        UserError: said before anything is trained.
    """
    budget_spec = step.get("budget", {})
    if budget_spec.get("quantity") != "bytes":
        return
    channels, size = architecture["in_chans"], architecture["img_size"]
    header = {
        "architecture": architecture,
        "task": "classification",
        "classes": architecture["num_classes"],
        "input": {"shape": [channels, size, size], "mean": [0.5] * channels, "std": [0.5] * channels},
        "surgery": [],
    }
    header_bytes = len(file_header.pack_file(header, [], b""))
    if budget_spec["value"] < header_bytes:
        raise UserError(f"budget.bytes={budget_spec['value']}: the header of the file alone takes {header_bytes} bytes")
