"""A search: everything that decides which trials are asked, and the folder that is named after it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from convarium.compose.single_point import compose_single_point
from convarium.config.override import Override
from convarium.config.point import Point
from convarium.planning.validate import TriedNetworks
from convarium.search.evaluator import Evaluator
from convarium.search.first_trials import Answers
from convarium.search.limits import Limit
from convarium.search.measures import Measure
from convarium.search.method_versions import find_method_versions
from convarium.search.pruning import Pruning
from convarium.search.space import SearchSpace
from convarium.search.strategy import Strategy
from convarium.stages.declaration import find_stages
from convarium.store.signature import SIGNATURE_LENGTH, canonical_json

if TYPE_CHECKING:
    from convarium.compose.hydra_adapter import Composer
    from convarium.compose.search_config import SearchSettings

NOT_HASHED_KEYS = ("dataset.root",)
NOT_HASHED_GROUPS = ("runtime", "tracking")


@dataclass(frozen=True)
class Search:
    """What a search chooses from, by what, and how.

    Attributes:
        fixed: overrides of all trials.
        seeds: of each trial; its value is the mean over them.
        pruning: which trials are left before their training ends.
        offers: the measures that the evaluator gives.
        first: answers of the trials that are tried before any other.
        tried_networks: what came of building the trials' networks.
    """

    composer: "Composer"
    space: SearchSpace
    fixed: tuple[Override, ...]
    seeds: tuple[int, ...]
    strategy: Strategy
    pruning: Pruning
    evaluator: Evaluator
    offers: tuple[str, ...]
    objectives: tuple[Measure, ...]
    limits: tuple[Limit, ...]
    first: tuple[Answers, ...]
    settings: "SearchSettings"
    tried_networks: TriedNetworks = field(default_factory=TriedNetworks)

    def compose_points(self, overrides: Sequence[Override]) -> tuple[Point, ...]:
        """Return the point of each seed.

        Raises:
            UserError: the first mistake, in one line.
        """
        return tuple(self.compose_point(overrides, seed) for seed in self.seeds)

    def compose_point(self, overrides: Sequence[Override], seed: int) -> Point:
        """Return the point of a seed."""
        return compose_single_point(self.composer, (*overrides, Override(f"seed={seed}")))

    def describe(self) -> dict[str, Any]:
        """Return all that decides which trials are asked, but for how many: those may become more."""
        data = [override for override in self.fixed if override.group in ("dataset", "task", "runtime")]
        config = self.compose_points(data)[0].config
        return {
            "fixed": sorted(str(override) for override in self.fixed if _is_hashed(override)),
            "dataset": {key: value for key, value in config["dataset"].items() if key != "root"},
            "task": config["task"],
            "seeds": list(self.seeds),
            "stages": {name: stage.version for name, stage in find_stages().items()},
            "methods": find_method_versions(self.composer, self._list_compressions()),
            "space": self.space.to_json(),
            "strategy": self.settings.strategy,
            "evaluator": self.settings.evaluator,
            "pruner": self.settings.pruner,
            "objectives": [objective.metric for objective in self.objectives],
            "first": [dict(answers) for answers in self.first],
            "constraints": {limit.measure.metric: limit.value for limit in self.limits},
            "seed": self.settings.own.seed,
        }

    def _list_compressions(self) -> frozenset[str]:
        fixed = {override.value for override in self.fixed if override.key == "compression"}
        return self.space.list_compressions() | fixed


def compute_search_signature(description: dict[str, Any]) -> str:
    """Return the 12 hex digits that name a search's folder."""
    return sha256(canonical_json(description).encode()).hexdigest()[:SIGNATURE_LENGTH]


def _is_hashed(override: Override) -> bool:
    return override.group not in NOT_HASHED_GROUPS and override.key not in NOT_HASHED_KEYS
