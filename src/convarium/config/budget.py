"""A budget becomes an order to one step of the chain: to solve one of its knobs for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from convarium.config.messages import format_value
from convarium.config.rules import parse_knob_rule
from convarium.errors import UserError

Json = dict[str, Any]
SOLVE_TOLERANCE = 0.002
NO_BUDGET: Json = dict.fromkeys(("bytes", "macs", "parameters", "latency", "sparsity"))


def assign_budget(steps: Sequence[Json], options: Mapping[str, Any], budget: Mapping[str, Any]) -> Json:
    """Give its order to a step that has a knob for the budget (`_budget_knobs_` of its YAML); return the budget.

    The order is `step["budget"]`: quantity, value, knob, candidates (the ends of an interval of floats, or all values),
    close (the tolerance of the solution, as a share of the budget). The dense network has no budget.

    Args:
        options: the YAML of each step's method, in the order of the steps.

    Raises:
        UserError: two quantities at once, no step that could meet it, or a knob that is set as well.
    """
    limits = {quantity: value for quantity, value in budget.items() if value is not None}
    if not limits or not steps:
        return NO_BUDGET
    if len(limits) > 1:
        raise UserError(f"budget: {' and '.join(limits)} at once; one of them decides a knob, leave the others null")
    ((quantity, value),) = limits.items()
    step, option, knob = _select_solvable_step(steps, options, quantity)
    if step[knob] != option[knob]:
        step_name = step.get("name", step["method"].rpartition("/")[2])
        raise UserError(f"budget.{quantity} decides compression.{step_name}.{knob}; leave one of them out")
    if knob == quantity:  # as for sparsity: the budget is the knob's value, there is nothing to solve
        step[knob] = value
    else:
        step["budget"] = {
            "quantity": quantity,
            "value": value,
            "knob": knob,
            "candidates": _list_candidates(option, knob),
            "close": SOLVE_TOLERANCE,
        }
    return {**NO_BUDGET, quantity: value}


def find_decided_knob(options: Mapping[str, Any], budget: Mapping[str, Any]) -> str | None:
    """Return the key of the knob that a budget decides, such as "compression.magnitude.sparsity"; None for none.

    Args:
        options: the YAML of each step's method by the step's name, in the order of the steps.
    """
    quantities = [quantity for quantity, value in budget.items() if value is not None]
    if len(quantities) != 1 or not options:
        return None
    steps = [{"name": name, "method": option["method"]} for name, option in options.items()]
    try:
        step, _, knob = _select_solvable_step(steps, options, quantities[0])
    except UserError:
        return None  # the point itself is refused, with the reason
    return f"compression.{step['name']}.{knob}"


def _select_solvable_step(
    steps: Sequence[Json], options: Mapping[str, Any], quantity: str
) -> tuple[Json, Mapping[str, Any], str]:
    """Return the last step with a knob for the quantity, the YAML of its method, and the knob.

    A knob that takes any value of an interval is preferred to one of few values.
    """
    # Of two the later step, so that all budgets share the results of the steps before it.
    last_steps_first = reversed([*zip(steps, options.values(), strict=True)])
    candidates = [
        (step, option, knob) for step, option in last_steps_first for knob in _list_budget_knobs(option, quantity)
    ]
    if not candidates:
        methods = ", ".join(step["method"] for step in steps)
        raise UserError(f"budget.{quantity}: {methods} has no knob that could meet it")
    continuous = [(step, option, knob) for step, option, knob in candidates if isinstance(option[knob], float)]
    return (continuous or candidates)[0]


def _list_budget_knobs(option: Mapping[str, Any], quantity: str) -> list[str]:
    budget_knobs = option.get("_budget_knobs_") or {}
    return [knob for knob, quantities in budget_knobs.items() if quantity in quantities]


def _list_candidates(option: Mapping[str, Any], knob: str) -> list[Any]:
    checks = option.get("_check_") or {}
    rule = parse_knob_rule(option[knob], checks.get(knob), knob)
    if rule.choices:
        return [choice for choice in rule.choices if choice is not None]
    if rule.low is None or rule.high is None:
        raise UserError(
            f"{option['method']}: {knob}={format_value(option[knob])} needs a range in _check_ to be solved"
        )
    if float in rule.types:
        return [rule.low, rule.high]
    return list(range(int(rule.low), int(rule.high) + 1))
