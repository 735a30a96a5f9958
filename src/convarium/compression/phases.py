"""Phases of a step, unrolled from its YAML.

A method's YAML lists entries, each `{decider, epochs, repeat, terms, schedule, coder}`; a string where a number or a
list is due names a knob of the step. An entry is as many phases as it is repeated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """One round: what is decided, how the network is then trained, how the file is coded.

    Attributes:
        index: place among all phases of the step, from 0.
        progress: share of its entry's rounds that are done when this one is, in (0, 1]; 1 in the last.
        decider: name of a decider; None: nothing is decided.
        coder: name of a coder; None: how the file is coded stays as it is.
        epochs: of training after the decision.
        terms: names of the terms added to the loss.
        schedule: of the learning rate; None: the recipe's.
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
    return tuple(Phase(index, **fields) for index, fields in enumerate(_iterate_phase_fields(step)))


def _iterate_phase_fields(step: Json) -> Iterator[dict[str, Any]]:
    """The fields of each phase but its index."""
    for entry in step["phases"]:
        rounds = int(resolve_phase_value(step, entry.get("repeat", 1)))
        epochs = int(resolve_phase_value(step, entry.get("epochs", 0)))
        terms = tuple(resolve_phase_value(step, entry.get("terms", ())))
        for round_number in range(1, rounds + 1):
            yield {
                "progress": round_number / rounds,
                "decider": entry.get("decider"),
                "coder": entry.get("coder"),
                "epochs": epochs,
                "terms": terms,
                "schedule": entry.get("schedule"),
            }


def resolve_phase_value(step: Json, value: Any) -> Any:
    """Return what a value of an entry stands for: itself, or the knob it names."""
    return step[value] if isinstance(value, str) else value
