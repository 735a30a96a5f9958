"""Solve a method's knob for a budget, on the real cost: the file, or the structure, that the rest of the chain makes.

What training will change is not known yet, so deciders are tried on the weights as they are, without training. After
the last round's decision positions and shapes stand, and retraining changes no byte of them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from convarium.architectures import factory
from convarium.cost.macs import count_macs
from convarium.cvm import container
from convarium.cvm import header as envelope
from convarium.errors import BudgetNotReachable, UserError

Json = Mapping[str, Any]
CostFunction = Callable[[Any], float]
MAX_TRIES = 48


def solve_knob(budget_spec: Json, cost: CostFunction, limit: float) -> Any:
    """Return the value of the knob with the highest cost that is not above `compute_cost_limit`.

    Args:
        budget_spec: `quantity`, `value`, `knob`, `candidates` (the ends of an interval of floats, or all whole values),
            and `close`: a float is found once its cost is within this share of the limit.
        cost: of the network that the chain makes with a value of the knob; monotone in the knob.
        limit: in the unit of `cost`.

    Raises:
        NotReachable: even the cheapest value costs more; the line names the range.
    """
    known: dict[Any, float] = {}

    def costs(value: Any) -> float:
        if value not in known:
            known[value] = cost(value)
        return known[value]

    cheap, dear = sorted((budget_spec["candidates"][0], budget_spec["candidates"][-1]), key=costs)
    if costs(cheap) > limit:
        raise BudgetNotReachable(
            f"not reachable (least {_format_cost(costs(cheap))}, most {_format_cost(costs(dear))})"
        )
    if costs(dear) <= limit:
        return dear
    if isinstance(cheap, float) or isinstance(dear, float):
        return _search_interval(costs, cheap, dear, limit, budget_spec["close"])
    return max((value for value in budget_spec["candidates"] if costs(value) <= limit), key=costs)


def _search_interval(costs: CostFunction, cheap: float, dear: float, limit: float, tolerance: float) -> float:
    """Follow the chord through the interval's ends; each third time halve the interval, which always ends."""
    aim = limit * (1 - tolerance / 2)
    for tried in range(1, MAX_TRIES + 1):
        if costs(cheap) > limit * (1 - tolerance) or abs(cheap - dear) < 1e-9:
            break
        share = 0.5 if tried % 3 == 0 else (aim - costs(cheap)) / (costs(dear) - costs(cheap))
        middle = cheap + share * (dear - cheap)
        if costs(middle) <= limit:
            cheap = middle
        else:
            dear = middle
    return cheap


def _format_cost(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"


def compute_cost_limit(budget_spec: Json, header: Json) -> float:
    """The most the network may cost, in the unit of `cost`: shares are turned into numbers of the dense network."""
    quantity, value = budget_spec["quantity"], budget_spec["value"]
    if quantity in ("bytes", "latency") or (value > 1 and quantity != "sparsity"):
        return float(value)
    dense = factory.build_architecture(header["architecture"], "meta")
    if quantity == "sparsity":
        return (1 - float(value)) * count_structural_cost(dense, "parameters", header)
    return float(value) * count_structural_cost(dense, quantity, header)


def count_structural_cost(network: nn.Module, quantity: str, header: Json) -> float:
    """MACs of one image, or the number of parameters."""
    if quantity == "macs":
        return float(count_macs(network, header["input"]["shape"]))
    return float(sum(parameter.numel() for parameter in network.parameters()))


def measure_file_bytes(network: nn.Module, surgery: Sequence[Json], header: Json, coders: Mapping[str, str]) -> float:
    """The size of the file that holds `network`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.cvm"
        container.write_cvm(path, network, {**header, "surgery": list(surgery)}, coders)
        return float(path.stat().st_size)


def check_byte_budget(step: Json, architecture: Json) -> None:
    """Refuse a budget of bytes that not even the file's header would fit into.

    Raises:
        UserError: said before anything is trained.
    """
    order = step.get("budget", {})
    if order.get("quantity") == "bytes":
        channels, size = architecture["in_chans"], architecture["img_size"]
        given = {"shape": [channels, size, size], "mean": [0.5] * channels, "std": [0.5] * channels}
        classes = architecture["num_classes"]
        bare = {"architecture": architecture, "task": "classification", "classes": classes, "input": given}
        least = len(envelope.pack_file({**bare, "surgery": []}, [], b""))
        if order["value"] < least:
            raise UserError(f"budget.bytes={order['value']}: the header of the file alone takes {least} bytes")
