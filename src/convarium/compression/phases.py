"""Phases of a step, unrolled from its YAML.

The `phases` of a method's YAML are a list of entries `{decider, epochs, repeat, terms, schedule, coder}`, each of which
gives `repeat` phases. A string for `epochs`, `repeat` or `terms` names the step's knob that holds the number or list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """One round of an entry: a decision, then training, and the coder of the file.

    Attributes:
        index: position among all phases of the step, from 0.
        progress: share of the entry's rounds that are done after this one, in (0, 1]; 1 in the last round.
        decider: name of the decider; None if nothing is decided.
        coder: name of the coder; None leaves the coders as they are.
        epochs: number of training epochs after the decision.
        terms: names of the terms added to the loss.
        schedule: name of the learning rate schedule; None means the recipe's.
    """

    index: int
    progress: float
    decider: str | None = None
    coder: str | None = None
    epochs: int = 0
    terms: tuple[str, ...] = ()
    schedule: str | None = None


def unroll_phases(step: Json) -> tuple[Phase, ...]:
    """Return the phases of a step in the order in which they run."""
    phases: list[Phase] = []
    for entry in step["phases"]:
        rounds = int(resolve_phase_value(step, entry.get("repeat", 1)))
        epochs = int(resolve_phase_value(step, entry.get("epochs", 0)))
        terms = tuple(resolve_phase_value(step, entry.get("terms", ())))
        for round_number in range(1, rounds + 1):
            phase = Phase(
                index=len(phases),
                progress=round_number / rounds,
                decider=entry.get("decider"),
                coder=entry.get("coder"),
                epochs=epochs,
                terms=terms,
                schedule=entry.get("schedule"),
            )
            phases.append(phase)
    return tuple(phases)


def resolve_phase_value(step: Json, value: Any) -> Any:
    """Return the value of the knob that a string names, or any other value of an entry unchanged."""
    return step[value] if isinstance(value, str) else value
