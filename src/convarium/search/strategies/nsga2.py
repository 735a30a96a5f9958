"""NSGA-II (Deb et al. 2002): evolution towards the front of several objectives."""

from optuna.samplers import BaseSampler, NSGAIISampler

from convarium.search.strategy import Names, Strategy


def nsga2(population_size: int, mutation: float | None, crossover: float) -> Strategy:
    """Return the strategy.

    Args:
        population_size: trials of a generation; the first one is random.
        mutation: probability that a name is drawn anew; None: of one name in a child, on average.
        crossover: probability that a child has two parents.
    """

    def build(seed: int, names: Names) -> BaseSampler:
        return NSGAIISampler(
            seed=seed, population_size=population_size, mutation_prob=mutation, crossover_prob=crossover
        )

    return Strategy(build, asks_all_names=True, learns_from_complete_only=True, random_trials=population_size)
