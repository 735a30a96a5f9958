"""State of a step while its phases run, and how a decider sees and changes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium.coding import site_streams
from convarium.compression import decision_checks, decisions, sites
from convarium.compression.deciders import find_decider
from convarium.compression.deciders.interface import NetworkView
from convarium.compression.phases import Phase
from convarium.datasets.splits import Splits
from convarium.representations import parametrization
from convarium.seeds import derive_seed
from convarium.workers.runtime import Runtime

Json = Mapping[str, Any]


@dataclass
class StepState:
    """The network that a step is working on, and what its file will say of it.

    Attributes:
        network: with its representations attached.
        surgery: the edits that lead from the architecture to the network's structure.
        coders: name of the coder by tensor, where it is not the default one.
        solved_knobs: value of the knob that a budget was solved for, by the knob's name.
        external_bytes: the network in an external coder's format; its size counts in place of the compressed file's.
    """

    network: nn.Module
    surgery: list[Json]
    coders: dict[str, str]
    solved_knobs: dict[str, Any] = field(default_factory=dict)
    external_bytes: bytes | None = None

    @property
    def structure(self) -> dict[str, Any]:
        """What a checkpoint needs besides the state dict to rebuild the network."""
        return {
            "surgery": self.surgery,
            "sites": parametrization.describe_representations(self.network),
            "solved": self.solved_knobs,
        }


@dataclass(frozen=True)
class StepContext:
    """Inputs that all phases of a step share.

    Attributes:
        header: header of the parent's file.
        stage_config: config of the compress stage: the step, and what its fits need.
        runtime: runtime of the stage.
        references: files of the networks that the step refers to, by knob.
        load_splits: loads the training and validation images on its first call, and returns the same ones later.
    """

    header: Json
    stage_config: Json
    runtime: Runtime
    references: Mapping[str, Path]
    load_splits: Callable[[], Splits]


def assign_coders(state: StepState, phases: Iterable[Phase]) -> None:
    """Set the coder that each phase names: for all stored tensors if it codes values, else for represented sites."""
    for phase in phases:
        if not phase.coder:
            continue
        names: Iterable[str]  # mypy would take the type of the first branch
        if site_streams.find_coder(phase.coder).codes_values:
            names = parametrization.collect_stored_tensors(state.network)
        else:
            names = parametrization.describe_representations(state.network)
        state.coders |= dict.fromkeys(names, phase.coder)


def run_decider(state: StepState, step: Json, phase: Phase, context: StepContext) -> None:
    """Run the phase's decider with the knobs of `step`, and apply its decision to the state.

    Raises:
        UserError: the decider refuses, or its answer is not a decision or does not fit the network.
    """
    assert phase.decider is not None
    decider = find_decider(phase.decider)
    answer = decider(_build_network_view(state.network, step, phase, context))
    decision = decision_checks.check_decision(answer, phase.decider)
    decisions.apply_decision(state.network, decision)
    state.surgery += decision.edits
    state.external_bytes = decision.external_bytes


def _build_network_view(network: nn.Module, step: Json, phase: Phase, context: StepContext) -> NetworkView:
    """View of `network` that a decider gets, with a random stream of its own for each phase."""
    step_sites = sites.resolve_sites(network, step) if "sites" in step else ()
    decider_seed = derive_seed(context.stage_config["seed"], "decider", phase.index)
    return NetworkView(
        sites=step_sites,
        weights={site.name: parametrization.materialise_site(network, site.name) for site in step_sites},
        representations=parametrization.collect_representations_with_aliases(network),
        step=step,
        progress=phase.progress,
        generator=torch.Generator().manual_seed(decider_seed),
        network=network,
        header=context.header,
        load_splits=context.load_splits,
        references=context.references,
    )
