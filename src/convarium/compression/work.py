"""A network between its parent's file and its own: what deciders see of it and make of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium import names
from convarium.compression import change, contract, host, sites
from convarium.compression.deciders.view import View
from convarium.compression.file import streams
from convarium.compression.schedule import Phase
from convarium.datasets.splits import Splits
from convarium.seeds import stream
from convarium.store.runtime import Runtime

Json = Mapping[str, Any]


@dataclass
class Work:
    """A network in the making.

    Attributes:
        network: with its representations attached.
        surgery: the edits that made its structure out of the architecture's.
        coders: how the sites are coded that name a coder.
        solved: the knob that a budget decided, and its value.
        outside: the network in another coder's format, whose bytes count in place of our file's.
    """

    network: nn.Module
    surgery: list[Json]
    coders: dict[str, str]
    solved: dict[str, Any] = field(default_factory=dict)
    outside: bytes | None = None

    @property
    def structure(self) -> dict[str, Any]:
        """What a checkpoint needs beside the state dict."""
        return {"surgery": self.surgery, "sites": host.structure(self.network), "solved": self.solved}


@dataclass(frozen=True)
class Bench:
    """What all phases of a step work with."""

    header: Json
    own: Json
    runtime: Runtime
    references: Mapping[str, Path]
    data: Callable[[], Splits]


def code(work: Work, todo: Iterable[Phase]) -> None:
    """Note the coders that phases name: of represented sites, or of all tensors if it codes values."""
    for phase in todo:
        if phase.coder:
            every = streams.find_coder(phase.coder).codes_values
            work.coders |= dict.fromkeys((host.stored if every else host.structure)(work.network), phase.coder)


def choose(work: Work, step: Json, phase: Phase, bench: Bench) -> None:
    """Let the phase's decider choose with the knobs of `step`."""
    assert phase.decider is not None
    decided = names.find("compression.deciders", phase.decider)(_view(work.network, step, phase, bench))
    decision = change.carry_out(work.network, contract.decision(decided, phase.decider))
    work.surgery += decision.edits
    work.outside = decision.outside


def _view(network: nn.Module, step: Json, phase: Phase, bench: Bench) -> View:
    """What a decider sees of `network`."""
    chosen = sites.resolve(network, step) if "sites" in step else ()
    return View(
        sites=chosen,
        weights={site.name: host.materialised(network, site.name) for site in chosen},
        represented=host.find_representations(network),
        step=step,
        progress=phase.progress,
        generator=torch.Generator().manual_seed(stream(bench.own["seed"], "decider", phase.index)),
        network=network,
        header=bench.header,
        data=bench.data,
        references=bench.references,
    )
