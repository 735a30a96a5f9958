"""Tree-structured Parzen estimators (Bergstra et al. 2011), which learn from conditional spaces and pruned trials."""

from optuna.samplers import BaseSampler, TPESampler

from convarium.search.strategy import Names, Strategy


def tpe(startup_trials: int, candidates: int, multivariate: bool | None, group: bool) -> Strategy:
    """Return the strategy.

    Args:
        startup_trials: trials at random before anything is learned.
        candidates: points of which the most promising is proposed.
        multivariate: whether names are modelled together; None: with one objective.
        group: whether also names that only some trials have are modelled together.
    """

    def build(seed: int, names: Names) -> BaseSampler:
        return TPESampler(
            seed=seed,
            n_startup_trials=startup_trials,
            n_ei_candidates=candidates,
            multivariate=True if group else multivariate,
            group=group,
        )

    return Strategy(build, random_trials=startup_trials)
