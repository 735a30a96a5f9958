"""Try a chain without training it, to solve a step's knob for a budget."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convarium import edits
from convarium.architectures import factory
from convarium.compression import budget
from convarium.compression.phases import Phase, unroll_phases
from convarium.compression.step_state import StepContext, StepState, assign_coders, run_decider
from convarium.cvm import container
from convarium.errors import BudgetNotReachable
from convarium.representations import parametrization

Json = Mapping[str, Any]
EARLY_ROUND_TOLERANCE = 0.03
HEADER_KEYS = ("architecture", "task", "classes", "input")


def solve_budget_knob(state: StepState, phase: Phase, context: StepContext) -> dict[str, Any]:
    """Return the step's knob, solved for its budget, as if all rounds were done at once on the weights of now.

    A round before the last solves it EARLY_ROUND_TOLERANCE only: the weights change until the last one.

    Raises:
        NotReachable: no value of the knob meets the budget.
    """
    step = context.stage_config["step"]
    order = step["budget"] if phase.progress == 1.0 else {**step["budget"], "close": EARLY_ROUND_TOLERANCE}

    def cost(value: Any) -> float:
        return _measure_cost(_try_chain(state, {**step, order["knob"]: value}, phase, context), order, context)

    try:
        value = budget.solve_knob(order, cost, budget.compute_cost_limit(order, context.header))
    except BudgetNotReachable as error:
        raise BudgetNotReachable(f"budget.{order['quantity']}={order['value']:g} is {error}") from None
    return {order["knob"]: value}


def _try_chain(state: StepState, step: Json, phase: Phase, context: StepContext) -> StepState:
    """What the chain makes of a copy of `state` from `phase` on, without training."""
    copied = copy_step_state(state, context)
    run_decider(copied, step, replace(phase, progress=1.0), context)
    following = [one for one in unroll_phases(step)[phase.index + 1 :] if one.progress == 1.0]
    for own, todo in [(step, following), *((one, unroll_phases(one)) for one in context.stage_config["following"])]:
        for one in todo:
            if one.decider and one.decider != phase.decider and one.progress == 1.0:
                run_decider(copied, own, one, context)
        assign_coders(copied, todo)
    return copied


def copy_step_state(state: StepState, context: StepContext) -> StepState:
    """The same network again, built anew: copies of parametrised modules share their class."""
    network = factory.build_architecture(context.header["architecture"])
    edits.apply_surgery(network, state.surgery)
    parametrization.restore_representations(network, parametrization.describe_representations(state.network))
    network.load_state_dict(state.network.state_dict())
    return replace(state, network=network, surgery=list(state.surgery), coders=dict(state.coders))


def _measure_cost(state: StepState, budget_spec: Json, context: StepContext) -> float:
    quantity = budget_spec["quantity"]
    if quantity == "bytes":
        header = {key: context.header[key] for key in HEADER_KEYS}
        return budget.measure_file_bytes(state.network, state.surgery, header, state.coders)
    if quantity == "latency":
        return _measure_latency_share(state, context)
    return budget.count_structural_cost(
        state.network, "parameters" if quantity == "sparsity" else quantity, context.header
    )


def _measure_latency_share(state: StepState, context: StepContext) -> float:
    """Time of a pass as a share of the dense network's, in turns in this process."""
    from convarium.measurement.latency import measure_time_share

    header = {key: context.header[key] for key in HEADER_KEYS}
    with TemporaryDirectory() as folder:
        file, dense = Path(folder) / "network.cvm", Path(folder) / "dense.cvm"
        container.write_cvm(file, state.network, {**header, "surgery": list(state.surgery)}, {})
        container.write_cvm(dense, factory.build_architecture(header["architecture"]), {**header, "surgery": []}, {})
        return measure_time_share(file, dense, header["input"]["shape"], context.stage_config["time"]["measurement"])
