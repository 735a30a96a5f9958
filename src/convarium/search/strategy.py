"""What a search asks of its strategy: a sampler of Optuna, made anew for each trial.

Samplers restart their random state with the process and would repeat their first proposals (optuna#3255). So each
trial gets a sampler of its own, whose seed follows from how many were asked before; it learns from the journal alone.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study

from convarium.errors import UserError
from convarium.lookup import find_by_name
from convarium.search.distinct_sampler import DistinctSampler, list_asked_points
from convarium.search.needs import Need, has_finite_space
from convarium.search.space import Domain
from convarium.seeds import derive_seed

Names = Mapping[str, Domain]
ENDED_ATTRIBUTE = "asking_ended"


@dataclass(frozen=True)
class Strategy:
    """How a search chooses.

    Attributes:
        build: gives a sampler for a seed and the names of the space.
        asks_all_names: its samplers model only names that all trials share, so that each trial asks all of them, and
            ignores those that its point does not have.
        learns_from_complete_only: its samplers see no trial that was refused before training, and would propose it
            again and again.
        keeps_seed: all its samplers need the same seed.
        ends_with_points: it proposes no point twice, and ends when all are asked.
        loads_pickles: its samplers load pickles from the journal.
        random_trials: how many trials it draws at random before it learns, as far as that is known.
        needs: what a search must offer.
    """

    build: Callable[[int, Names], BaseSampler]
    asks_all_names: bool = False
    learns_from_complete_only: bool = False
    keeps_seed: bool = False
    ends_with_points: bool = False
    loads_pickles: bool = False
    random_trials: int = 0
    needs: frozenset[Need] = frozenset()


def find_strategy(config: Mapping[str, Any]) -> Strategy:
    """Return the strategy that a checked config (`search.strategy`) names, and make Optuna's log silent.

    Raises:
        UserError: there is no such strategy, or its knobs are wrong.
    """
    _silence_optuna()
    knobs = {key: value for key, value in config.items() if key != "name"}
    strategy: Strategy = find_by_name("search.strategies", config["name"])(**knobs)
    return strategy


def build_sampler(
    strategy: Strategy, search_seed: int, asked_count: int, names: Names, after_refusal: bool = False
) -> BaseSampler:
    """Return the sampler of one trial.

    Args:
        search_seed: `search.seed`.
        asked_count: how many trials were asked before, told or not.
        after_refusal: whether the trial before was refused or gated.
    """
    seed = derive_seed(search_seed, "sampler", 0 if strategy.keeps_seed else asked_count) % 2**32
    if after_refusal and strategy.learns_from_complete_only:
        return DistinctSampler(seed, names)
    return strategy.build(seed, names)


def list_asked_distributions(strategy: Strategy, names: Names) -> dict[str, BaseDistribution]:
    """Return what each trial has to ask for, whether its point needs it or not; for `Study.ask`."""
    if not strategy.asks_all_names:
        return {}
    return {name: domain.to_distribution() for name, domain in names.items()}


def check_journal_owner(strategy: Strategy, journal: Path) -> None:
    """Check that a journal whose pickles would be loaded was written by this user.

    Raises:
        UserError: the file or its folder is another user's.
    """
    if not strategy.loads_pickles:
        return
    for path in (journal, journal.parent):
        if path.exists() and path.stat().st_uid != os.getuid():
            raise UserError(
                f"{path} is another user's, and this sampler runs what a journal holds; take search/strategy=tpe, or"
                " a store of your own (runtime.store)"
            )


def let_sampler_end_asking(study: Study) -> None:
    """Replace `study.stop`, which ends a loop that a search does not have, by a note in the journal."""
    study.stop = lambda: study.set_user_attr(ENDED_ATTRIBUTE, True)  # type: ignore[method-assign]


def has_asking_ended(strategy: Strategy, study: Study, names: Names) -> bool:
    """Whether nothing is left to ask: the sampler said so, or each point of the space was asked."""
    if strategy.ends_with_points and has_finite_space(names):
        return not list_asked_points(study, names).count_free({})
    return ENDED_ATTRIBUTE in study.user_attrs


def _silence_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Constraints have been set, but")  # by a sampler that does not learn them
