"""Phases: a method's rounds of deciding and retraining, resumable after each epoch.

One phase with epochs is one `fit`, with a checkpoint of its own.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from convarium import datasets, names
from convarium.architectures import library
from convarium.compression import edits, host, sites, trials
from convarium.compression.file import container, streams
from convarium.compression.schedule import Phase, phases, value
from convarium.compression.terms.context import Context
from convarium.compression.work import Bench, Work, choose, code
from convarium.datasets.splits import Splits
from convarium.errors import UserError
from convarium.seeds import stream
from convarium.store.runtime import Runtime
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.batch import Term
from convarium.tasks.fit import fit

Json = Mapping[str, Any]


def check(network: nn.Module, step: Json) -> None:
    """Refuse, in one line, a step that can't work on `network` (which may live on the meta device).

    Raises:
        UserError: a phase names a decider, a term, a coder or a knob that is not there, or the sites don't fit the
            network, or the decider (its module's `check(network, step)`, if it has one) refuses it.
    """
    for phase in step["phases"]:
        for key in ("repeat", "epochs", "terms"):
            if isinstance(phase.get(key), str) and phase[key] not in step:
                raise UserError(f"{step['method']}: its phases name a knob '{phase[key]}' that it does not have")
        for term in value(step, phase.get("terms", ())):
            names.find("compression.terms", term)
        if phase.get("coder"):
            streams.find_coder(phase["coder"])
    sites.check(network, step)
    for phase in step["phases"]:
        if phase.get("decider"):
            decider = names.find("compression.deciders", phase["decider"])
            refuse = names.beside(decider, "check")
            if refuse is not None:
                refuse(network, step)


def run(file: container.File, own: Json, runtime: Runtime, references: Mapping[str, Path]) -> Work:
    """Run all phases of `own["step"]` on the network of `file`, from where an earlier owner was stopped."""
    todo = phases(own["step"])
    bench = Bench(file.header, own, runtime, references, _loader(own, runtime))
    begun, structure = _begun(todo, runtime)
    work = _restored(file, structure) if begun else _started(file)
    for phase in todo[begun.index if begun else 0 :]:
        if phase is not begun:
            decide(work, phase, bench)
        if phase.epochs:
            _retrain(work, phase, bench)
    code(work, todo)
    return work


def decide(work: Work, phase: Phase, bench: Bench) -> None:
    """Let the phase's decider choose, and carry out what it chose.

    The knob that a budget is solved by is that of the step's first decider; it is solved anew in each round.
    """
    if phase.decider is None:
        return
    step = bench.own["step"]
    if "budget" in step and phase.decider == next(one["decider"] for one in step["phases"] if "decider" in one):
        work.solved = trials.solved(work, phase, bench)
    choose(work, {**step, **work.solved}, phase, bench)


def _retrain(work: Work, phase: Phase, bench: Bench) -> None:
    own, runtime, splits = bench.own, bench.runtime, bench.data()
    step = own["step"]
    recipe = own["recipe"] if phase.schedule is None else {**own["recipe"], "schedule": phase.schedule}
    fit(
        work.network,
        splits,
        own["task"],
        recipe,
        epochs=phase.epochs,
        lr=recipe["lr"] if step.get("lr") is None else step["lr"],
        seed=stream(own["seed"], "phase", phase.index),
        checkpoint=_checkpoint(phase, runtime),
        structure=work.structure,
        report=lambda **figures: runtime.report(phase=f"{step['method']} {phase.index + 1}", **figures),
        check=runtime.check,
        threads=runtime.threads,
        accelerator=runtime.accelerator,
        terms=[_term(name, bench) for name in phase.terms],
    )


def _term(name: str, bench: Bench) -> Term:
    step = bench.own["step"]
    knobs, within = (step[name], f"{name}.") if name in step else (step, "")
    references = {key.removeprefix(within): path for key, path in bench.references.items() if key.startswith(within)}
    classes = bench.header["architecture"]["num_classes"]
    augmented = bench.own["recipe"]["augmentation"] != "none"
    term: Term = names.find("compression.terms", name)(Context(knobs, references, bench.data(), classes, augmented))
    return term


def _loader(own: Json, runtime: Runtime) -> Callable[[], Splits]:
    """Load the images once, when something first asks for them."""
    return cache(lambda: datasets.load(own["dataset"], runtime.root, ("train", "validation"), runtime.cache))


def _checkpoint(phase: Phase, runtime: Runtime) -> Path:
    return runtime.checkpoints / f"phase-{phase.index}.ckpt"


def _begun(todo: tuple[Phase, ...], runtime: Runtime) -> tuple[Phase | None, Json]:
    """The last phase with a sound checkpoint, and its structure: all before it need not be done again."""
    for phase in reversed(todo):
        structure = checkpoints.structure(_checkpoint(phase, runtime))
        if structure is not None:
            return phase, structure
    return None, {}


def _started(file: container.File) -> Work:
    return Work(container.hosted(file), list(file.header["surgery"]), dict(file.coders))


def _restored(file: container.File, structure: Json) -> Work:
    network = library.build(file.header["architecture"])
    edits.apply(network, structure["surgery"])
    host.restore(network, structure["sites"])
    return Work(network, list(structure["surgery"]), dict(file.coders), dict(structure["solved"]))
