"""A Gaussian process with expected improvement, for few and costly trials; it takes seconds of a core for each."""

from optuna.samplers import BaseSampler, GPSampler

from convarium.search.strategy import Names, Strategy


def gp(startup_trials: int) -> Strategy:
    """Return the strategy.

    Args:
        startup_trials: trials at random before anything is learned.
    """

    def build(seed: int, names: Names) -> BaseSampler:
        return GPSampler(seed=seed, n_startup_trials=startup_trials, warn_independent_sampling=False)

    return Strategy(build, asks_all_names=True, learns_from_complete_only=True, random_trials=startup_trials)
