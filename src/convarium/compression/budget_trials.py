"""Trials of a budget: a chain run without training on a copy of the network, to solve a step's knob."""

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
from convarium.cost.network_cost import Cost, measure_file_bytes
from convarium.cvm import container
from convarium.errors import BudgetNotReachable
from convarium.representations import parametrization

Json = Mapping[str, Any]
EARLY_ROUND_TOLERANCE = 0.03
HEADER_KEYS = ("architecture", "task", "classes", "input")


def solve_budget_knob(state: StepState, phase: Phase, context: StepContext) -> dict[str, Any]:
    """Return the step's knob, solved for its budget, as if all rounds were done at once on the current weights.

    A round before the last solves it to EARLY_ROUND_TOLERANCE only, because the weights change until the last one.

    Raises:
        BudgetNotReachable: no value of the knob meets the budget.
    """
    step = context.stage_config["step"]
    budget_spec, knob = step["budget"], step["budget"]["knob"]
    if phase.progress < 1.0:
        budget_spec = {**budget_spec, "close": EARLY_ROUND_TOLERANCE}

    def measure_cost(value: Any) -> float:
        tried_state = _try_chain(state, {**step, knob: value}, phase, context)
        return _measure_state_cost(tried_state, budget_spec["quantity"], context)

    limit = budget.compute_cost_limit(budget_spec, context.header)
    try:
        solved_value = budget.solve_knob(budget_spec, measure_cost, limit)
    except BudgetNotReachable as error:
        raise BudgetNotReachable(f"budget.{budget_spec['quantity']}={budget_spec['value']:g} is {error}") from None
    return {knob: solved_value}


def _try_chain(state: StepState, step: Json, phase: Phase, context: StepContext) -> StepState:
    """Return what the chain makes of a copy of `state` from `phase` on, without training."""
    trial = copy_step_state(state, context)
    run_decider(trial, step, replace(phase, progress=1.0), context)
    remaining_phases = unroll_phases(step)[phase.index + 1 :]
    _try_phases(trial, step, remaining_phases, phase, context)
    for next_step in context.stage_config["following"]:
        _try_phases(trial, next_step, unroll_phases(next_step), phase, context)
    return trial


def _try_phases(
    trial: StepState, step: Json, phases: tuple[Phase, ...], solved_phase: Phase, context: StepContext
) -> None:
    """Run the deciders and coders of a step's phases; of many rounds only the last, which decides for all."""
    last_rounds = [phase for phase in phases if phase.progress == 1.0]
    for phase in last_rounds:
        # The decider that is solved has run to its end already.
        if phase.decider and phase.decider != solved_phase.decider:
            run_decider(trial, step, phase, context)
    assign_coders(trial, last_rounds)


def copy_step_state(state: StepState, context: StepContext) -> StepState:
    """Return an equal state with another network object, which trials may change."""
    # Built anew, not deep-copied: copies of parametrised modules share their class with the original.
    network = factory.build_architecture(context.header["architecture"])
    edits.apply_surgery(network, state.surgery)
    parametrization.restore_representations(network, parametrization.describe_representations(state.network))
    network.load_state_dict(state.network.state_dict())
    return replace(state, network=network, surgery=list(state.surgery), coders=dict(state.coders))


def _measure_state_cost(state: StepState, quantity: str, context: StepContext) -> float:
    """Return the cost of the state's network, in the unit of `budget.compute_cost_limit`."""
    if quantity == "bytes":
        return measure_file_bytes(state.network, state.surgery, _select_header(context), state.coders)
    if quantity == "latency":
        return _measure_latency_share(state, context)
    cost = Cost(state.network, context.header["input"]["shape"])
    return cost.macs if quantity == "macs" else cost.parameters


def _measure_latency_share(state: StepState, context: StepContext) -> float:
    """Return the latency as a share of the dense network's, timed in turns in this process."""
    from convarium.measurement.latency import measure_time_share

    header = _select_header(context)
    dense_network = factory.build_architecture(header["architecture"])
    with TemporaryDirectory() as folder:
        trial_file, dense_file = Path(folder) / "network.cvm", Path(folder) / "dense.cvm"
        container.write_cvm(trial_file, state.network, {**header, "surgery": list(state.surgery)}, {})
        container.write_cvm(dense_file, dense_network, {**header, "surgery": []}, {})
        settings = context.stage_config["time"]["measurement"]
        with context.runtime.hold_host_alone():
            return measure_time_share(trial_file, dense_file, header["input"]["shape"], settings)


def _select_header(context: StepContext) -> dict[str, Any]:
    """Return the network's file header without its surgery."""
    return {key: context.header[key] for key in HEADER_KEYS}
