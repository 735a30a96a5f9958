"""How long what is not stored would take, by what is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from convarium.store.plan import Node, Plan
from convarium.store.store import Store

START_SECONDS = 1.0
SECONDS_PER_WORK = 2e-4  # LeNet-5, one image of one epoch, one core
SECONDS_WITHOUT_WORK = {"measure": 4.0, "execute": 10.0, "time": 60.0}

Json = dict[str, Any]
Kind = tuple[str, ...]


@dataclass
class Rates:
    """Seconds per unit of work seen in a store, by (stage, architecture, method), by stage, and by default."""

    seen: Mapping[Kind, list[float]] = field(default_factory=dict)

    def seconds(self, node: Node, architecture: str) -> float:
        """Return the seconds `node` should take on one worker."""
        for kind in (_kind(node.stage, node.stage_config, architecture), (node.stage,)):
            if self.seen.get(kind):
                return median(self.seen[kind]) * max(node.work, 1.0)
        return seconds_by_default(node)


def summary(plan: Plan, store: Store, invalid: Sequence[Json], workers: int = 1) -> Json:
    """Return what is stored of a plan, what would run, and how long that would take `workers` workers."""
    done = store.finished(plan.nodes)
    needed = plan.needed(done)
    missing = [node for key, node in plan.nodes.items() if key in needed]
    stored = sum(done.issuperset(point.ends) for point in plan.points)
    return {
        "points": len(plan.points),
        "stored": stored,
        "to_run": len(plan.points) - stored,
        "invalid": list(invalid),
        "estimated_seconds": round(estimated_seconds(plan, store, missing, workers)),
        "stages": _stages(plan, done),
    }


def estimated_seconds(plan: Plan, store: Store, missing: Sequence[Node], workers: int) -> float:
    """Return the longer of the missing nodes' work shared evenly and their longest chain."""
    if not missing:
        return 0.0
    seen = rates(store)
    end: dict[str, float] = {}
    total = 0.0
    for node in missing:
        seconds = seen.seconds(node, _architecture_of(node, plan))
        total += seconds
        end[node.signature] = seconds + max((end.get(parent, 0.0) for parent in node.parents), default=0.0)
    return max(total / workers, max(end.values()))


def rates(store: Store) -> Rates:
    """Read the durations of everything stored."""
    seen: defaultdict[Kind, list[float]] = defaultdict(list)
    for done in store.results():
        rate = done["seconds"] / max(done.get("work", 0.0), 1.0)
        seen[_kind(done["stage"], done["stage_config"], _architecture_in(done, store))].append(rate)
        seen[done["stage"],].append(rate)
    return Rates(seen)


def seconds_by_default(node: Node) -> float:
    """Return a guess without any experience."""
    return SECONDS_WITHOUT_WORK.get(node.stage, START_SECONDS) + node.work * SECONDS_PER_WORK


def _stages(plan: Plan, done: set[str]) -> dict[str, dict[str, int]]:
    stages: dict[str, dict[str, int]] = {}
    for signature, node in plan.nodes.items():
        counts = stages.setdefault(node.stage, {"stored": 0, "to_run": 0})
        counts["stored" if signature in done else "to_run"] += 1
    return stages


def _kind(stage: str, own: Mapping[str, Any], architecture: str) -> Kind:
    return stage, architecture, str(own.get("step", {}).get("method", ""))


def _architecture_of(node: Node, plan: Plan) -> str:
    while "architecture" not in node.stage_config and node.parents:
        node = plan.nodes[node.parents[0]]
    return _architecture(node.stage_config)


def _architecture_in(done: Json, store: Store) -> str:
    record: Json | None = done
    while record is not None and "architecture" not in record["stage_config"] and record["parents"]:
        record = store.done(record["parents"][0])
    return _architecture(record["stage_config"]) if record else ""


def _architecture(own: Mapping[str, Any]) -> str:
    return str(own.get("architecture", {}).get("name", ""))
