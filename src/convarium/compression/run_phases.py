"""The run of a step: its phases, each a decision and a fit with a checkpoint of its own, resumable after each epoch."""

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
from convarium.tasks.fit_job import FitJob
from convarium.workers.runtime import Runtime

Json = Mapping[str, Any]


def check_compression_step(network: nn.Module, step: Json) -> None:
    """Refuse, in one line, a step that can't work on `network` (which may live on the meta device).

    Raises:
        UserError: a phase names a decider, a term, a coder or a knob that is not there, or the sites don't fit the
            network, or the decider (its module's `check_step(network, step)`, if it has one) refuses it.
    """
    for entry in step["phases"]:
        _check_entry_names(step, entry)
    sites.check_sites(network, step)
    for entry in step["phases"]:
        if entry.get("decider"):
            decider = find_decider(entry["decider"])
            check_step = lookup.find_companion(decider, "check_step")
            if check_step is not None:
                check_step(network, step)


def _check_entry_names(step: Json, entry: Json) -> None:
    """Look up the knobs, terms and coder that an entry of the YAML's phases names."""
    for key in ("repeat", "epochs", "terms"):
        value = entry.get(key)
        if isinstance(value, str) and value not in step:
            raise UserError(f"{step['method']}: its phases name a knob '{value}' that it does not have")
    for term in resolve_phase_value(step, entry.get("terms", ())):
        lookup.find_by_name("compression.terms", term)
    if entry.get("coder"):
        site_streams.find_coder(entry["coder"])


def run_all_phases(
    file: container.CompressedFile, stage_config: Json, runtime: Runtime, references: Mapping[str, Path]
) -> StepState:
    """Run all phases of `stage_config["step"]` on the network of `file`, from where an earlier owner was stopped."""
    phases = unroll_phases(stage_config["step"])
    context = StepContext(file.header, stage_config, runtime, references, _build_split_loader(stage_config, runtime))
    resumed, structure = _find_resumed_phase(phases, runtime)
    state = _start_state(file) if resumed is None else _restore_state(file, structure)
    for phase in phases[0 if resumed is None else resumed.index :]:
        # A phase with a checkpoint had decided before its fit began: the checkpoint's structure is what it decided.
        if phase is not resumed:
            run_phase_decider(state, phase, context)
        if phase.epochs:
            _fit_phase(state, phase, context)
    assign_coders(state, phases)
    return state


def run_phase_decider(state: StepState, phase: Phase, context: StepContext) -> None:
    """Let the phase's decider choose, and carry out what it chose.

    The knob that a budget is solved by is that of the step's first decider; it is solved anew in each round.
    """
    if phase.decider is None:
        return
    step = context.stage_config["step"]
    if "budget" in step:
        first_decider = next(entry["decider"] for entry in step["phases"] if "decider" in entry)
        if phase.decider == first_decider:
            state.solved_knobs = budget_trials.solve_budget_knob(state, phase, context)
    run_decider(state, {**step, **state.solved_knobs}, phase, context)


def _fit_phase(state: StepState, phase: Phase, context: StepContext) -> None:
    stage_config, runtime = context.stage_config, context.runtime
    step = stage_config["step"]
    splits = context.load_splits()
    job = FitJob(
        task=stage_config["task"],
        checkpoint=_get_checkpoint_path(phase, runtime),
        structure=state.structure,
        seed=derive_seed(stage_config["seed"], "phase", phase.index),
        terms=[_build_term(name, context) for name in phase.terms],
    )
    recipe = _build_phase_recipe(stage_config["recipe"], step, phase)
    fit_network(state.network, splits, recipe, job, runtime.name_phase(f"{step['method']} {phase.index + 1}"))


def _build_phase_recipe(recipe: Json, step: Json, phase: Phase) -> Json:
    """The pipeline's recipe with what the step and the phase say otherwise: learning rate, epochs, schedule."""
    phase_recipe = {**recipe, "epochs": phase.epochs}
    if step.get("lr") is not None:
        phase_recipe["lr"] = step["lr"]
    if phase.schedule is not None:
        phase_recipe["schedule"] = phase.schedule
    return phase_recipe


def _build_term(name: str, context: StepContext) -> Term:
    """A term of the loss, from its block of the step; a step that has no such block is the term's own."""
    step = context.stage_config["step"]
    knobs, prefix = (step[name], f"{name}.") if name in step else (step, "")
    references = {
        knob.removeprefix(prefix): path for knob, path in context.references.items() if knob.startswith(prefix)
    }
    term_context = TermContext(
        knobs=knobs,
        references=references,
        splits=context.load_splits(),
        num_classes=context.header["architecture"]["num_classes"],
        is_augmented=context.stage_config["recipe"]["augmentation"] != "none",
    )
    build_term = lookup.find_by_name("compression.terms", name)
    term: Term = build_term(term_context)
    return term


def _build_split_loader(stage_config: Json, runtime: Runtime) -> Callable[[], Splits]:
    """A function that loads the images when something first asks for them, and only once."""
    return cache(
        lambda: load_splits(stage_config["dataset"], runtime.data_root, ("train", "validation"), runtime.cache_folder)
    )


def _get_checkpoint_path(phase: Phase, runtime: Runtime) -> Path:
    return runtime.checkpoint_folder / f"phase-{phase.index}.ckpt"


def _find_resumed_phase(phases: tuple[Phase, ...], runtime: Runtime) -> tuple[Phase | None, Json]:
    """The last phase with a sound checkpoint, and its structure: all before it need not be done again."""
    for phase in reversed(phases):
        structure = checkpoints.read_structure(_get_checkpoint_path(phase, runtime))
        if structure is not None:
            return phase, structure
    return None, {}


def _start_state(file: container.CompressedFile) -> StepState:
    return StepState(
        network=container.build_parametrized_network(file),
        surgery=list(file.header["surgery"]),
        coders=dict(file.coders),
    )


def _restore_state(file: container.CompressedFile, structure: Json) -> StepState:
    """The state with the structure of a checkpoint; its values are loaded by the fit."""
    network = factory.build_architecture(file.header["architecture"])
    edits.apply_surgery(network, structure["surgery"])
    parametrization.restore_representations(network, structure["sites"])
    return StepState(
        network=network,
        surgery=list(structure["surgery"]),
        coders=dict(file.coders),
        solved_knobs=dict(structure["solved"]),
    )
