"""A step's phases, unrolled from its YAML.

A step lists phases, each `{decider, epochs, repeat, terms, schedule, coder}`; a string where a number or a list is due
names a knob of the step.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """One round: what is decided, how the network is then trained, how the file is coded."""

    index: int
    progress: float
    decider: str | None = None
    coder: str | None = None
    epochs: int = 0
    terms: tuple[str, ...] = ()
    schedule: str | None = None


def unroll_phases(step: Json) -> tuple[Phase, ...]:
    """Unroll `step["phases"]`."""
    return tuple(Phase(index, **fields) for index, fields in enumerate(_iterate_rounds(step)))


def _iterate_rounds(step: Json) -> Iterator[dict[str, Any]]:
    for phase in step["phases"]:
        rounds = int(resolve_phase_value(step, phase.get("repeat", 1)))
        for done in range(1, rounds + 1):
            yield {
                "progress": done / rounds,
                "decider": phase.get("decider"),
                "coder": phase.get("coder"),
                "epochs": int(resolve_phase_value(step, phase.get("epochs", 0))),
                "terms": tuple(resolve_phase_value(step, phase.get("terms", ()))),
                "schedule": phase.get("schedule"),
            }


def resolve_phase_value(step: Json, entry: Any) -> Any:
    """Return what a phase's entry stands for: itself, or the knob it names."""
    return step[entry] if isinstance(entry, str) else entry
