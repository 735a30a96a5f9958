"""The state of a step: a network between its parent's file and its own, what deciders see of it and make of it."""

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
    """A network in the making.

    Attributes:
        network: with its representations attached.
        surgery: the edits that made its structure out of the architecture's.
        coders: how the sites are coded that name a coder.
        solved_knobs: the knob that a budget decided, and its value.
        external_bytes: the network in another coder's format, whose bytes count in place of our file's.
    """

    network: nn.Module
    surgery: list[Json]
    coders: dict[str, str]
    solved_knobs: dict[str, Any] = field(default_factory=dict)
    external_bytes: bytes | None = None

    @property
    def structure(self) -> dict[str, Any]:
        """What a checkpoint needs beside the state dict."""
        return {
            "surgery": self.surgery,
            "sites": parametrization.describe_representations(self.network),
            "solved": self.solved_knobs,
        }


@dataclass(frozen=True)
class StepContext:
    """What all phases of a step work with.

    Attributes:
        header: of the parent's file.
        stage_config: what the stage hashes: the step, and what its fits need.
        runtime: the stage's.
        references: files of the networks that the step refers to, by the knobs' names.
        load_splits: loads the training and validation images, once.
    """

    header: Json
    stage_config: Json
    runtime: Runtime
    references: Mapping[str, Path]
    load_splits: Callable[[], Splits]


def assign_coders(state: StepState, phases: Iterable[Phase]) -> None:
    """Note the coders that phases name: of represented sites, or of all tensors if it codes values."""
    for phase in phases:
        if not phase.coder:
            continue
        names: Iterable[str]
        if site_streams.find_coder(phase.coder).codes_values:
            names = parametrization.collect_stored_tensors(state.network)
        else:
            names = parametrization.describe_representations(state.network)
        state.coders |= dict.fromkeys(names, phase.coder)


def run_decider(state: StepState, step: Json, phase: Phase, context: StepContext) -> None:
    """Let the phase's decider choose with the knobs of `step`, and change the state by its decision.

    Raises:
        UserError: the decider refuses, or what it returns is no decision or does not fit the network.
    """
    assert phase.decider is not None
    decider = find_decider(phase.decider)
    answer = decider(_build_network_view(state.network, step, phase, context))
    decision = decision_checks.check_decision(answer, phase.decider)
    decisions.apply_decision(state.network, decision)
    state.surgery += decision.edits
    state.external_bytes = decision.external_bytes


def _build_network_view(network: nn.Module, step: Json, phase: Phase, context: StepContext) -> NetworkView:
    """What a decider sees of `network`."""
    step_sites = sites.resolve_sites(network, step) if "sites" in step else ()
    return NetworkView(
        sites=step_sites,
        weights={site.name: parametrization.materialise_site(network, site.name) for site in step_sites},
        representations=parametrization.collect_representations_with_aliases(network),
        step=step,
        progress=phase.progress,
        generator=torch.Generator().manual_seed(derive_seed(context.stage_config["seed"], "decider", phase.index)),
        network=network,
        header=context.header,
        load_splits=context.load_splits,
        references=context.references,
    )
