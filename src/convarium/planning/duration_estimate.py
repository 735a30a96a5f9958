"""How long what is not stored would take, by what is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from convarium.planning.plan import Node, Plan
from convarium.stages.declaration import find_stages
from convarium.store.store import Store

DEFAULT_SECONDS_PER_WORK = 2e-4  # LeNet-5, one image of one epoch, one core

Json = dict[str, Any]
RateKey = tuple[str, ...]


@dataclass
class Rates:
    """Seconds per unit of work seen in a store, by (stage, architecture, method), by stage, and by default."""

    seconds_per_work: Mapping[RateKey, list[float]] = field(default_factory=dict)

    def estimate_seconds(self, node: Node, architecture: str) -> float:
        """Return the seconds `node` should take on one worker."""
        for kind in (_build_rate_key(node.stage, node.stage_config, architecture), (node.stage,)):
            if self.seconds_per_work.get(kind):
                return median(self.seconds_per_work[kind]) * max(node.work, 1.0)
        return estimate_default_seconds(node)


def summarize_plan(plan: Plan, store: Store, invalid: Sequence[Json], workers: int = 1) -> Json:
    """Return what is stored of a plan, what would run, and how long that would take `workers` workers."""
    done = store.select_finished(plan.nodes)
    needed = plan.select_needed(done)
    missing = [node for key, node in plan.nodes.items() if key in needed]
    stored = sum(done.issuperset(point.figure_signatures) for point in plan.points)
    return {
        "points": len(plan.points),
        "stored": stored,
        "to_run": len(plan.points) - stored,
        "invalid": list(invalid),
        "estimated_seconds": round(estimate_plan_seconds(plan, store, missing, workers)),
        "stages": _count_stages(plan, done),
    }


def estimate_plan_seconds(plan: Plan, store: Store, missing: Sequence[Node], workers: int) -> float:
    """Return the longer of the missing nodes' work shared evenly and their longest chain."""
    if not missing:
        return 0.0
    seen = read_rates(store)
    end: dict[str, float] = {}
    total = 0.0
    for node in missing:
        seconds = seen.estimate_seconds(node, _find_node_architecture(node, plan))
        total += seconds
        end[node.signature] = seconds + max((end.get(parent, 0.0) for parent in node.parents), default=0.0)
    return max(total / workers, max(end.values()))


def read_rates(store: Store) -> Rates:
    """Read the durations of everything stored."""
    seen: defaultdict[RateKey, list[float]] = defaultdict(list)
    for done in store.read_records():
        rate = done["seconds"] / max(done.get("work", 0.0), 1.0)
        seen[_build_rate_key(done["stage"], done["stage_config"], _find_record_architecture(done, store))].append(rate)
        seen[done["stage"],].append(rate)
    return Rates(seen)


def estimate_default_seconds(node: Node) -> float:
    """Return a guess without any experience."""
    stage = find_stages().get(node.stage)
    return (stage.fixed_seconds if stage else 1.0) + node.work * DEFAULT_SECONDS_PER_WORK


def _count_stages(plan: Plan, done_signatures: set[str]) -> dict[str, dict[str, int]]:
    stages: dict[str, dict[str, int]] = {}
    for signature, node in plan.nodes.items():
        counts = stages.setdefault(node.stage, {"stored": 0, "to_run": 0})
        counts["stored" if signature in done_signatures else "to_run"] += 1
    return stages


def _build_rate_key(stage: str, stage_config: Mapping[str, Any], architecture: str) -> RateKey:
    return stage, architecture, str(stage_config.get("step", {}).get("method", ""))


def _find_node_architecture(node: Node, plan: Plan) -> str:
    while "architecture" not in node.stage_config and node.parents:
        node = plan.nodes[node.parents[0]]
    return _get_architecture_name(node.stage_config)


def _find_record_architecture(done: Json, store: Store) -> str:
    configs = (record["stage_config"] for record in store.walk_chain(done["signature"]))
    return next((_get_architecture_name(config) for config in configs if "architecture" in config), "")


def _get_architecture_name(stage_config: Mapping[str, Any]) -> str:
    return str(stage_config.get("architecture", {}).get("name", ""))
