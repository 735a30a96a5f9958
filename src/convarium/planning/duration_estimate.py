"""How long the missing stages of a plan would take, estimated from the durations of stored results."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from convarium.planning.plan import Node, Plan
from convarium.stages.declaration import find_stages
from convarium.store.store import Store

DEFAULT_SECONDS_PER_WORK = 2e-4  # LeNet-5, one image of one epoch, one core
NOTHING_SPENT: Mapping[str, float] = {}

Json = dict[str, Any]
RateKey = tuple[str, ...]


@dataclass
class Rates:
    """Durations of stored results.

    Attributes:
        seconds_per_work: one rate for each result, under (stage, architecture, method, augmentation), and again under
            (stage, architecture, method) and (stage,).
    """

    seconds_per_work: Mapping[RateKey, list[float]] = field(default_factory=dict)

    def estimate_seconds(self, node: Node, architecture: str) -> float:
        """Return the seconds `node` should take on one worker, from the most similar results in the store."""
        exact_key = _build_rate_key(node.stage, node.stage_config, architecture)
        for key in _list_rate_keys(exact_key):
            rates = self.seconds_per_work.get(key)
            if rates:
                return median(rates) * max(node.work, 1.0)
        return estimate_default_seconds(node)


def summarize_plan(plan: Plan, store: Store, invalid: Sequence[Json], workers: int = 1) -> Json:
    """Return what is stored of a plan, what would run, and how many seconds that would take `workers` workers."""
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


def estimate_plan_seconds(
    plan: Plan, store: Store, missing: Sequence[Node], workers: int, spent_seconds: Mapping[str, float] = NOTHING_SPENT
) -> float:
    """Return the seconds that the missing nodes take: their work shared evenly, or their longest chain if it is longer.

    Args:
        missing: parents first.
        spent_seconds: by signature, for how long a node has run already. One that runs for longer than it should takes
            nothing from what the others need.
    """
    if not missing:
        return 0.0
    rates = read_rates(store)
    end_seconds: dict[str, float] = {}
    total_seconds = 0.0
    for node in missing:
        seconds = rates.estimate_seconds(node, _find_node_architecture(node, plan))
        seconds = max(0.0, seconds - spent_seconds.get(node.signature, 0.0))
        total_seconds += seconds
        start_seconds = max((end_seconds.get(parent, 0.0) for parent in node.parents), default=0.0)
        end_seconds[node.signature] = seconds + start_seconds
    return max(total_seconds / workers, max(end_seconds.values()))


def read_rates(store: Store) -> Rates:
    """Read the seconds per unit of work of every result in the store."""
    seconds_per_work: defaultdict[RateKey, list[float]] = defaultdict(list)
    for record in store.read_records():
        stage = record["stage"]
        # A stage that does not train has no work: its rate is its duration.
        rate = record["seconds"] / max(record.get("work", 0.0), 1.0)
        key = _build_rate_key(stage, record["stage_config"], _find_record_architecture(record, store))
        for rate_key in _list_rate_keys(key):
            seconds_per_work[rate_key].append(rate)
    return Rates(seconds_per_work)


def estimate_default_seconds(node: Node) -> float:
    """Return the seconds that `node` takes by the constants of its stage, without a look at any store."""
    stage = find_stages().get(node.stage)  # None: a stage of an outside module
    fixed_seconds = stage.fixed_seconds if stage else 1.0
    return fixed_seconds + node.work * DEFAULT_SECONDS_PER_WORK


def _count_stages(plan: Plan, done_signatures: set[str]) -> dict[str, dict[str, int]]:
    stages: dict[str, dict[str, int]] = {}
    for signature, node in plan.nodes.items():
        counts = stages.setdefault(node.stage, {"stored": 0, "to_run": 0})
        counts["stored" if signature in done_signatures else "to_run"] += 1
    return stages


def _build_rate_key(stage: str, stage_config: Mapping[str, Any], architecture: str) -> RateKey:
    method = stage_config.get("step", {}).get("method", "")
    recipe = stage_config.get("recipe") or {}
    augmentation = [str(recipe.get(key, "none")) for key in ("augmentation", "policy")]
    return stage, architecture, str(method), " ".join(augmentation)


def _list_rate_keys(exact_key: RateKey) -> tuple[RateKey, ...]:
    """Return the keys of results from the most to the least similar: crops and policies take time."""
    return exact_key, exact_key[:3], exact_key[:1]


def _find_node_architecture(node: Node, plan: Plan) -> str:
    """Return the architecture's name from the stage that began the chain: later ones do not repeat it."""
    while "architecture" not in node.stage_config and node.parents:
        node = plan.nodes[node.parents[0]]
    return _get_architecture_name(node.stage_config)


def _find_record_architecture(record: Json, store: Store) -> str:
    for ancestor in store.walk_chain(record["signature"]):
        if "architecture" in ancestor["stage_config"]:
            return _get_architecture_name(ancestor["stage_config"])
    return ""


def _get_architecture_name(stage_config: Mapping[str, Any]) -> str:
    return str(stage_config.get("architecture", {}).get("name", ""))
