"""Phases: a method's rounds of deciding and retraining, resumable after each epoch.

One phase with epochs is one `fit`, with a checkpoint of its own.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from convarium import edits, lookup
from convarium.architectures import factory
from convarium.coding import site_streams
from convarium.compression import budget_trials, sites
from convarium.compression.deciders import find_decider
from convarium.compression.phases import Phase, resolve_phase_value, unroll_phases
from convarium.compression.step_state import StepContext, StepState, assign_coders, run_decider
from convarium.compression.terms.context import TermContext
from convarium.cvm import container
from convarium.datasets.loading import load_splits
from convarium.datasets.splits import Splits
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.seeds import derive_seed
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.batch import Term
from convarium.tasks.fit import fit_network
from convarium.workers.runtime import Runtime

Json = Mapping[str, Any]


def check_compression_step(network: nn.Module, step: Json) -> None:
    """Refuse, in one line, a step that can't work on `network` (which may live on the meta device).

    Raises:
        UserError: a phase names a decider, a term, a coder or a knob that is not there, or the sites don't fit the
            network, or the decider (its module's `check_step(network, step)`, if it has one) refuses it.
    """
    for phase in step["phases"]:
        for key in ("repeat", "epochs", "terms"):
            if isinstance(phase.get(key), str) and phase[key] not in step:
                raise UserError(f"{step['method']}: its phases name a knob '{phase[key]}' that it does not have")
        for term in resolve_phase_value(step, phase.get("terms", ())):
            lookup.find_by_name("compression.terms", term)
        if phase.get("coder"):
            site_streams.find_coder(phase["coder"])
    sites.check_sites(network, step)
    for phase in step["phases"]:
        if phase.get("decider"):
            decider = find_decider(phase["decider"])
            refuse = lookup.find_companion(decider, "check_step")
            if refuse is not None:
                refuse(network, step)


def run_all_phases(
    file: container.CompressedFile, stage_config: Json, runtime: Runtime, references: Mapping[str, Path]
) -> StepState:
    """Run all phases of `own["step"]` on the network of `file`, from where an earlier owner was stopped."""
    todo = unroll_phases(stage_config["step"])
    bench = StepContext(file.header, stage_config, runtime, references, _build_split_loader(stage_config, runtime))
    begun, structure = _find_resumed_phase(todo, runtime)
    work = _restore_state(file, structure) if begun else _start_state(file)
    for phase in todo[begun.index if begun else 0 :]:
        if phase is not begun:
            run_phase_decider(work, phase, bench)
        if phase.epochs:
            _fit_phase(work, phase, bench)
    assign_coders(work, todo)
    return work


def run_phase_decider(state: StepState, phase: Phase, context: StepContext) -> None:
    """Let the phase's decider choose, and carry out what it chose.

    The knob that a budget is solved by is that of the step's first decider; it is solved anew in each round.
    """
    if phase.decider is None:
        return
    step = context.stage_config["step"]
    if "budget" in step and phase.decider == next(one["decider"] for one in step["phases"] if "decider" in one):
        state.solved_knobs = budget_trials.solve_budget_knob(state, phase, context)
    run_decider(state, {**step, **state.solved_knobs}, phase, context)


def _fit_phase(state: StepState, phase: Phase, context: StepContext) -> None:
    own, runtime, splits = context.stage_config, context.runtime, context.load_splits()
    step = own["step"]
    recipe = own["recipe"] if phase.schedule is None else {**own["recipe"], "schedule": phase.schedule}
    fit_network(
        state.network,
        splits,
        own["task"],
        recipe,
        epochs=phase.epochs,
        lr=recipe["lr"] if step.get("lr") is None else step["lr"],
        seed=derive_seed(own["seed"], "phase", phase.index),
        checkpoint=_get_checkpoint_path(phase, runtime),
        structure=state.structure,
        report=lambda **figures: runtime.report(phase=f"{step['method']} {phase.index + 1}", **figures),
        before_save=runtime.check_lease,
        threads=runtime.threads,
        accelerator=runtime.accelerator,
        terms=[_build_term(name, context) for name in phase.terms],
    )


def _build_term(name: str, context: StepContext) -> Term:
    step = context.stage_config["step"]
    knobs, within = (step[name], f"{name}.") if name in step else (step, "")
    references = {key.removeprefix(within): path for key, path in context.references.items() if key.startswith(within)}
    classes = context.header["architecture"]["num_classes"]
    augmented = context.stage_config["recipe"]["augmentation"] != "none"
    term: Term = lookup.find_by_name("compression.terms", name)(
        TermContext(knobs, references, context.load_splits(), classes, augmented)
    )
    return term


def _build_split_loader(stage_config: Json, runtime: Runtime) -> Callable[[], Splits]:
    """Load the images once, when something first asks for them."""
    return cache(
        lambda: load_splits(stage_config["dataset"], runtime.data_root, ("train", "validation"), runtime.cache_folder)
    )


def _get_checkpoint_path(phase: Phase, runtime: Runtime) -> Path:
    return runtime.checkpoint_folder / f"phase-{phase.index}.ckpt"


def _find_resumed_phase(todo: tuple[Phase, ...], runtime: Runtime) -> tuple[Phase | None, Json]:
    """The last phase with a sound checkpoint, and its structure: all before it need not be done again."""
    for phase in reversed(todo):
        structure = checkpoints.read_structure(_get_checkpoint_path(phase, runtime))
        if structure is not None:
            return phase, structure
    return None, {}


def _start_state(file: container.CompressedFile) -> StepState:
    return StepState(container.build_parametrized_network(file), list(file.header["surgery"]), dict(file.coders))


def _restore_state(file: container.CompressedFile, structure: Json) -> StepState:
    network = factory.build_architecture(file.header["architecture"])
    edits.apply_surgery(network, structure["surgery"])
    parametrization.restore_representations(network, structure["sites"])
    return StepState(network, list(structure["surgery"]), dict(file.coders), dict(structure["solved"]))
