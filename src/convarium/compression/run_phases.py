"""Run a step: its phases one by one, each a decision and a fit with its own checkpoint, resumable after each epoch."""

from collections.abc import Mapping
from functools import cache, partial
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
from convarium.config.recipe import has_changed_images
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
PHASE_SCHEDULES = ("constant", "cosine")  # those without arguments


def check_compression_step(network: nn.Module, step: Json) -> None:
    """Check that a step can work on `network` (which may be on the meta device), before anything is trained.

    Raises:
        UserError: a phase names a decider, term, coder or knob that does not exist, the sites don't fit the network,
            or `check_step(network, step)` of a decider's module, where it has one, refuses the step.
    """
    for entry in step["phases"]:
        _check_entry_names(step, entry)
    sites.check_sites(network, step)
    for entry in step["phases"]:
        if not entry.get("decider"):
            continue
        decider = find_decider(entry["decider"])
        check_step = lookup.find_companion(decider, "check_step")
        if check_step is not None:
            check_step(network, step)


def _check_entry_names(step: Json, entry: Json) -> None:
    """Check that the knobs, terms and coder exist that an entry of the step's `phases` names."""
    for key in ("repeat", "epochs", "terms"):
        value = entry.get(key)
        if isinstance(value, str) and value not in step:
            raise UserError(f"{step['method']}: its phases name a knob '{value}' that it does not have")
    if (entry.get("schedule") or "constant") not in PHASE_SCHEDULES:
        raise UserError(
            f"{step['method']}: its phases name the schedule '{entry['schedule']}', expected one of"
            f" {', '.join(PHASE_SCHEDULES)}"
        )
    for term in resolve_phase_value(step, entry.get("terms", ())):
        lookup.find_by_name("compression.terms", term)
    if entry.get("coder"):
        site_streams.find_coder(entry["coder"])


def run_all_phases(
    file: container.CompressedFile, stage_config: Json, runtime: Runtime, references: Mapping[str, Path]
) -> StepState:
    """Run all phases of a step, resuming from the last phase that has a checkpoint.

    Args:
        file: the network that the step starts from.
        stage_config: config of the compress stage; `stage_config["step"]` is the step.
        runtime: of the stage: checkpoint folder, data root, accelerator.
        references: files of the networks that the step refers to, by knob.
    """
    phases = unroll_phases(stage_config["step"])

    @cache
    def load_step_splits() -> Splits:
        # Loaded when first asked for: a step needs no images if it doesn't train and no decider looks at them.
        return load_splits(stage_config["dataset"], runtime.data_root, ("train", "validation"), runtime.cache_folder)

    context = StepContext(file.header, stage_config, runtime, references, load_step_splits)
    resumed_phase, structure = _find_resumed_phase(phases, runtime)
    if resumed_phase is None:
        first_index = 0
        state = _start_state(file)
    else:
        first_index = resumed_phase.index
        state = _restore_state(file, structure)
    for phase in phases[first_index:]:
        # A phase decides before its fit begins, so the structure in its checkpoint is what it decided.
        if phase is not resumed_phase:
            run_phase_decider(state, phase, context)
        if phase.epochs:
            _fit_phase(state, phase, context)
    assign_coders(state, phases)
    return state


def run_phase_decider(state: StepState, phase: Phase, context: StepContext) -> None:
    """Run the phase's decider, if it has one, and apply its decision to the state.

    Where the step has a budget, its knob is solved for again before each round of the step's first decider.
    """
    if phase.decider is None:
        return
    step = context.stage_config["step"]
    if "budget" in step:
        first_decider = next(entry["decider"] for entry in step["phases"] if "decider" in entry)
        if phase.decider == first_decider:
            # Times differ from rank to rank, and what is solved for one of them is every rank's.
            solve = partial(budget_trials.solve_budget_knob, state, phase, context)
            ranks = context.runtime.ranks
            state.solved_knobs = solve() if ranks is None else ranks.compute_in_first(solve)
    run_decider(state, {**step, **state.solved_knobs}, phase, context)


def _fit_phase(state: StepState, phase: Phase, context: StepContext) -> None:
    """Train the network for the phase's epochs; a fit that was interrupted goes on from its checkpoint."""
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
    phase_name = f"{step['method']} {phase.index + 1}"
    fit_network(state.network, splits, recipe, job, runtime.name_phase(phase_name))


def _build_phase_recipe(recipe: Json, step: Json, phase: Phase) -> Json:
    """Recipe of the pipeline with the learning rate of the step, and the epochs and schedule of the phase."""
    phase_recipe = {**recipe, "epochs": phase.epochs}
    if step.get("lr") is not None:
        phase_recipe["lr"] = step["lr"]
    if phase.schedule is not None:
        phase_recipe |= {"schedule": phase.schedule, "schedule_kwargs": {}}
    return phase_recipe


def _build_term(name: str, context: StepContext) -> Term:
    """Build a term of the loss from its block of knobs in the step, or from the whole step if it has no such block."""
    step = context.stage_config["step"]
    has_block = name in step
    prefix = f"{name}." if has_block else ""
    references: dict[str, Path] = {}
    for knob, path in context.references.items():
        if knob.startswith(prefix):
            references[knob.removeprefix(prefix)] = path
    term_context = TermContext(
        knobs=step[name] if has_block else step,
        references=references,
        splits=context.load_splits(),
        num_classes=context.header["architecture"]["num_classes"],
        is_augmented=has_changed_images(context.stage_config["recipe"]),
    )
    build_term = lookup.find_by_name("compression.terms", name)
    term: Term = build_term(term_context)
    return term


def _get_checkpoint_path(phase: Phase, runtime: Runtime) -> Path:
    return runtime.checkpoint_folder / f"phase-{phase.index}.ckpt"


def _find_resumed_phase(phases: tuple[Phase, ...], runtime: Runtime) -> tuple[Phase | None, Json]:
    """Last phase that has an intact checkpoint, and the structure in it; (None, {}) if no phase has one."""
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
    """State of the step with a checkpoint's structure; the fit then loads the checkpoint's values."""
    network = factory.build_architecture(file.header["architecture"])
    edits.apply_surgery(network, structure["surgery"])
    parametrization.restore_representations(network, structure["sites"])
    return StepState(
        network=network,
        surgery=list(structure["surgery"]),
        coders=dict(file.coders),
        solved_knobs=dict(structure["solved"]),
    )
