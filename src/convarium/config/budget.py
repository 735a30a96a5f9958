"""A budget becomes an order to one step of the chain: solve your knob for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from convarium.config.messages import format_value
from convarium.config.rules import parse_knob_rule
from convarium.errors import UserError

Json = dict[str, Any]
SOLVE_TOLERANCE = 0.002
NO_BUDGET: Json = dict.fromkeys(("bytes", "macs", "parameters", "latency", "sparsity"))


def assign_budget(steps: Sequence[Json], default: Mapping[str, Any], budget: Mapping[str, Any]) -> Json:
    """Give a step that has a knob for the budget (`_budget_knobs_` of its YAML) its order; return the budget.

    The order is `step["budget"]`: quantity, value, knob, candidates (the ends of an interval of floats, or all values),
    close (how near to the budget the knob is solved, as a share of it).
    The dense network has no budget.

    Raises:
        UserError: two quantities at once, no step that could meet it, or a knob that is set as well.
    """
    asked = {quantity: value for quantity, value in budget.items() if value is not None}
    if not asked or not steps:
        return NO_BUDGET
    if len(asked) > 1:
        raise UserError(f"budget: {' and '.join(asked)} at once; one of them decides a knob, leave the others null")
    ((quantity, value),) = asked.items()
    step, described, knob = _find_solvable_step(steps, default, quantity)
    if step[knob] != described[knob]:
        where = f"compression.{step['name'] if 'name' in step else _format_method_name(step)}.{knob}"
        raise UserError(f"budget.{quantity} decides {where}; leave one of them out")
    if knob == quantity:
        step[knob] = value
    else:
        step["budget"] = {
            "quantity": quantity,
            "value": value,
            "knob": knob,
            "candidates": _list_candidates(described, knob),
            "close": SOLVE_TOLERANCE,
        }
    return {**NO_BUDGET, quantity: value}


def _find_solvable_step(
    steps: Sequence[Json], default: Mapping[str, Any], quantity: str
) -> tuple[Json, Mapping[str, Any], str]:
    """The last step with a knob for the quantity, one that can take any value in an interval before one of few."""
    found = [
        (step, described, knob)
        for step, described in reversed([*zip(steps, default.values(), strict=True)])
        for knob, quantities in (described.get("_budget_knobs_") or {}).items()
        if quantity in quantities
    ]
    if not found:
        methods = ", ".join(step["method"] for step in steps)
        raise UserError(f"budget.{quantity}: {methods} has no knob that could meet it")
    return min(found, key=lambda one: not isinstance(one[1][one[2]], float))


def _list_candidates(described: Mapping[str, Any], knob: str) -> list[Any]:
    rule = parse_knob_rule(described[knob], (described.get("_check_") or {}).get(knob), knob)
    if rule.choices:
        return [choice for choice in rule.choices if choice is not None]
    if rule.low is None or rule.high is None:
        raise UserError(
            f"{described['method']}: {knob}={format_value(described[knob])} needs a range in _check_ to be solved"
        )
    return [rule.low, rule.high] if float in rule.types else list(range(int(rule.low), int(rule.high) + 1))


def _format_method_name(step: Json) -> str:
    return str(step["method"]).rpartition("/")[2]
