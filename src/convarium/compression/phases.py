"""Phases: a method's rounds of deciding and retraining, resumable after each epoch.

A step's YAML lists phases, each `{decider, epochs, repeat, coder}`; a string where a number is due names a knob of the
step. One phase with epochs is one `fit`, with a checkpoint of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium import datasets, names
from convarium.architectures import library
from convarium.compression import host, sites
from convarium.compression.deciders.view import View
from convarium.compression.file import container, streams
from convarium.errors import UserError
from convarium.seeds import stream
from convarium.store.runtime import Runtime
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.fit import fit

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """One round: what is decided, for how long the network is then trained, how the file is coded."""

    index: int
    decider: str | None
    coder: str | None
    epochs: int
    progress: float


def phases(step: Json) -> tuple[Phase, ...]:
    """Unroll `step["phases"]`."""
    return tuple(Phase(index, *fields) for index, fields in enumerate(_unroll(step)))


def _unroll(step: Json) -> Iterator[tuple[str | None, str | None, int, float]]:
    for phase in step["phases"]:
        rounds = _number(step, phase.get("repeat", 1))
        for done in range(1, rounds + 1):
            yield phase.get("decider"), phase.get("coder"), _number(step, phase.get("epochs", 0)), done / rounds


def _number(step: Json, value: int | str) -> int:
    return int(step[value] if isinstance(value, str) else value)


def check(network: nn.Module, step: Json) -> None:
    """Refuse, in one line, a step that can't work on `network` (which may live on the meta device).

    Raises:
        UserError: a phase names a decider, a coder or a knob that is not there, or the sites don't fit the network.
    """
    for phase in step["phases"]:
        for key in ("repeat", "epochs"):
            if isinstance(phase.get(key), str) and phase[key] not in step:
                raise UserError(f"{step['method']}: its phases name a knob '{phase[key]}' that it does not have")
        if phase.get("decider"):
            names.find("compression.deciders", phase["decider"])
        if phase.get("coder"):
            streams.coder_module(phase["coder"])
    sites.check(network, step)


def run(
    file: container.File, own: Json, runtime: Runtime, references: tuple[Path, ...] = ()
) -> tuple[nn.Module, dict[str, str]]:
    """Run all phases of `own["step"]` on the network of `file`, from where an earlier owner was stopped.

    Returns the network with its representations attached, and the coder of each coded site.
    """
    todo = phases(own["step"])
    begun, structure = _begun(todo, runtime)
    network = _restored(file, structure) if begun else container.hosted(file)
    splits = _splits(todo, own, runtime)
    coders = dict(file.coders)
    for phase in todo[begun.index if begun else 0 :]:
        if phase is not begun:
            decide(network, phase, own, references)
        if phase.epochs:
            _retrain(network, phase, own, splits, runtime)
    for phase in todo:
        if phase.coder:
            coders |= dict.fromkeys(host.structure(network), phase.coder)
    return network, coders


def decide(network: nn.Module, phase: Phase, own: Json, references: tuple[Path, ...]) -> None:
    """Let the phase's decider choose, and attach what it chose."""
    if phase.decider is None:
        return
    chosen = sites.resolve(network, own["step"])
    view = View(
        sites=chosen,
        weights={site.name: host.materialised(network, site.name) for site in chosen},
        represented=host.represented(network),
        step=own["step"],
        progress=phase.progress,
        generator=torch.Generator().manual_seed(stream(own["seed"], "decider", phase.index)),
        references=references,
    )
    host.attach(network, names.find("compression.deciders", phase.decider)(view))


def _retrain(network: nn.Module, phase: Phase, own: Json, splits: Any, runtime: Runtime) -> None:
    step = own["step"]
    fit(
        network,
        splits,
        own["task"],
        own["recipe"],
        epochs=phase.epochs,
        lr=own["recipe"]["lr"] if step.get("lr") is None else step["lr"],
        seed=stream(own["seed"], "phase", phase.index),
        checkpoint=_checkpoint(phase, runtime),
        structure=host.structure(network),
        report=lambda **figures: runtime.report(phase=f"{step['method']} {phase.index + 1}", **figures),
        check=runtime.check,
        threads=runtime.threads,
        accelerator=runtime.accelerator,
    )


def _splits(todo: tuple[Phase, ...], own: Json, runtime: Runtime) -> Any:
    if any(phase.epochs for phase in todo):
        return datasets.load(own["dataset"], runtime.root, ("train", "validation"))
    return None


def _checkpoint(phase: Phase, runtime: Runtime) -> Path:
    return runtime.checkpoints / f"phase-{phase.index}.ckpt"


def _begun(todo: tuple[Phase, ...], runtime: Runtime) -> tuple[Phase | None, Json]:
    """The last phase with a sound checkpoint, and its structure: all before it need not be done again."""
    for phase in reversed(todo):
        structure = checkpoints.structure(_checkpoint(phase, runtime))
        if structure is not None:
            return phase, structure
    return None, {}


def _restored(file: container.File, structure: Json) -> nn.Module:
    network = library.build(file.header["architecture"])
    host.restore(network, structure)
    return network
