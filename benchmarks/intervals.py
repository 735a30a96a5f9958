"""Do the intervals of `convarium compare` hold what they promise?

    python benchmarks/intervals.py [--repeats 1000]

Simulates differences of correctness between a compressed network and its dense one (seeds x images) with a known true
difference, and prints, for each kind of interval, coverage, mean width in points, and the share of differences shown;
then, for the margin test ("no worse than"), how often it claims so of a true loss of just the margin, and of no loss.
`discordant`: share of images on which exactly one of the two networks is right. `seed sd`: how much the true accuracy
differs from seed to seed, in points. `tilt sd`: how much some images favour one of the two networks whatever the seed.
`hard`: the share of images that are ever in doubt; where it is near `discordant`, all seeds differ on the same images.

Then come few images: coverage and mean width of the interval of an accuracy, and of a difference of zero. With one seed
the truth is that of this one network. `alike`: how often seeds err on the same images.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from convarium.comparison.noninferiority import bound_accuracy_loss
from convarium.comparison.statistics import (
    Estimate,
    estimate_accuracy,
    estimate_mean_over_seeds,
    estimate_paired_difference,
)

Table = NDArray[np.float64]
EFFECT = 0.01
MARGINS = (0.002, 0.003)


@dataclass(frozen=True)
class Scenario:
    """A world to draw differences from."""

    seeds: int
    images: int
    discordant: float
    seed_sd: float
    tilt_sd: float
    hard: float = 0.1

    def draw(self, effect: float, rng: np.random.Generator) -> Table:
        """Draw a table of -1, 0, 1 (seeds, images) whose expectation is `effect`.

        A seed that differs by more than `discordant` is discordant on so many images, or on all that are hard.
        """
        hard = rng.random(self.images) < self.hard
        bias = rng.uniform(-1, 1, self.images) * self.tilt_sd * np.sqrt(3)
        shift = effect + rng.normal(0, self.seed_sd, (self.seeds, 1))
        share = np.clip(np.abs(shift), self.discordant, max(self.hard, self.discordant))
        rate = np.where(hard, share / self.hard, 0.0)
        chance = rng.random((self.seeds, self.images))
        gain = rate * (1 + np.clip(shift / share + bias, -1, 1)) / 2
        return np.where(chance < gain, 1.0, np.where(chance < rate, -1.0, 0.0))


@dataclass(frozen=True)
class Accuracies:
    """A world to draw correctness from: seeds whose true accuracies are normal, at most 1."""

    seeds: int
    images: int
    accuracy: float
    seed_sd: float
    alike: float = 0.5

    @property
    def truth(self) -> float:
        """The mean of the seeds' true accuracies."""
        if not self.seed_sd:
            return self.accuracy
        room = (1 - self.accuracy) / self.seed_sd
        over = np.exp(-(room**2) / 2) / np.sqrt(2 * np.pi) - room * ndtr(-room)
        return float(self.accuracy - self.seed_sd * over)

    def draw(self, rng: np.random.Generator) -> Table:
        """Draw a table of 0, 1 (seeds, images)."""
        of_seed = np.minimum(self.accuracy + rng.normal(0, self.seed_sd, (self.seeds, 1)), 1)
        size = (self.seeds, self.images)
        chance = np.where(rng.random(size) < self.alike, rng.random(self.images), rng.random(size))
        return (chance < of_seed).astype(float)


SCENARIOS = [
    Scenario(seeds, images, *world)
    for seeds in (2, 3, 5, 10)
    for images, *world in [
        (1000, 0.02, 0.0, 0.0),
        (1000, 0.03, 0.001, 0.25),
        (1000, 0.04, 0.005, 0.25),
        (10000, 0.02, 0.0, 0.0),
        (10000, 0.03, 0.001, 0.25),
        (10000, 0.04, 0.005, 0.25),
    ]
]


SMALL_LOSSES = [
    Scenario(seeds, images, *world)
    for seeds in (3, 5)
    for images, *world in [
        (1000, 0.004, 0.0, 0.0, 0.005),
        (1000, 0.01, 0.0005, 0.25, 0.1),
        (10000, 0.004, 0.0, 0.0, 0.005),
        (10000, 0.006, 0.0005, 0.1, 0.02),
        (10000, 0.01, 0.0005, 0.25, 0.1),
        (10000, 0.01, 0.001, 0.25, 0.02),
        (10000, 0.02, 0.002, 0.25, 0.1),
        (10000, 0.04, 0.005, 0.25, 0.1),
    ]
]


IMAGES = (20, 40, 100, 1000)
SEEDS = ((1, 0.0), (3, 0.0), (3, 0.005), (3, 0.02))
ACCURACIES = (0.5, 0.9, 0.97, 0.99)
ALIKE = (0.0, 0.5, 1.0)
DISCORDANT = (0.005, 0.02, 0.1)


def percentile(table: Table, rng: np.random.Generator, resamples: int = 1000) -> tuple[float, float]:
    """Return the plain percentile interval of the pigeonhole bootstrap, drawn.

    Images alike in all seeds are interchangeable, so their number in a resample is drawn at once.
    """
    seeds, images = table.shape
    codes = 3 ** np.arange(seeds) @ (table + 1)
    _, places, counts = np.unique(codes, return_index=True, return_counts=True)
    patterns = table[:, places]
    by_image = rng.multinomial(images, counts / images, resamples) / images
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    low, high = np.quantile(((by_image @ patterns.T) * by_seed).sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def intervals(rng: np.random.Generator) -> dict[str, Callable[[Table], tuple[float, float]]]:
    """Return the kinds of intervals to compare: ours, the paired t over seeds, the plain pigeonhole, images alone."""
    return {
        "crossed": lambda table: _ends(estimate_paired_difference(table)),
        "paired t": lambda table: _ends(estimate_mean_over_seeds(list(table.mean(axis=1)))),
        "percentile": lambda table: percentile(table, rng),
        "images": lambda table: _ends(estimate_paired_difference(table.mean(axis=0, keepdims=True))),
    }


def _ends(estimate: Any) -> tuple[float, float]:
    return float(estimate.low), float(estimate.high)


def score(scenario: Scenario, kind: str, effect: float, repeats: int, seed: int = 0) -> tuple[float, float, float]:
    """Return coverage, mean width, and the share of draws that show a difference of the right sign."""
    rng = np.random.default_rng(seed)
    interval = intervals(rng)[kind]
    found = np.array([interval(scenario.draw(effect, rng)) for _ in range(repeats)])
    covered = (found[:, 0] <= effect) & (effect <= found[:, 1])
    shown = found[:, 0] > 0 if effect > 0 else found[:, 1] < 0
    return float(covered.mean()), float((found[:, 1] - found[:, 0]).mean()), float(shown.mean())


def cover(estimates: Iterable[Estimate], truth: float) -> tuple[float, float]:
    """Return coverage and mean width of the intervals of an experiment that is done again and again."""
    found = np.array([_ends(estimate) for estimate in estimates])
    covered = (found[:, 0] <= truth) & (truth <= found[:, 1])
    return float(covered.mean()), float((found[:, 1] - found[:, 0]).mean())


def accuracies(world: Accuracies, repeats: int, seed: int = 0) -> tuple[float, float]:
    """Return coverage and mean width of the interval of an accuracy."""
    rng = np.random.default_rng(seed)
    return cover((estimate_accuracy(world.draw(rng)) for _ in range(repeats)), world.truth)


def differences(world: Scenario, repeats: int, seed: int = 0) -> tuple[float, float]:
    """Return coverage and mean width of the interval of a difference of zero."""
    rng = np.random.default_rng(seed)
    return cover((estimate_paired_difference(world.draw(0.0, rng)) for _ in range(repeats)), 0.0)


def equivalent(scenario: Scenario, margin: float, effect: float, repeats: int, seed: int = 0) -> float:
    """Return the share of draws of which the margin test says "no worse than `margin`"."""
    rng = np.random.default_rng(seed)
    return float(
        np.mean([bound_accuracy_loss(scenario.draw(effect, rng), margin).p_value < 0.05 for _ in range(repeats)])
    )


def main() -> None:
    """Print all tables in Markdown."""
    parser = argparse.ArgumentParser(description="coverage and power of the intervals of convarium compare")
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    print_intervals(repeats)
    print_margins(repeats)
    print_few_images(repeats)


def print_intervals(repeats: int) -> None:
    """Print coverage, width and power of each kind of interval."""
    kinds = list(intervals(np.random.default_rng(0)))
    print(
        f"Nominal coverage 95 %; power: how often a difference of {100 * EFFECT:g} point is shown; {repeats} draws.\n"
    )
    print("| seeds | images | discordant % | seed sd | tilt sd |", end="")
    print("".join(f" {kind}: coverage % / width / power % |" for kind in kinds))
    print("|---|---|---|---|---|" + "---|" * len(kinds))
    for world in SCENARIOS:
        cells = [f"{100 * world.discordant:g}", f"{100 * world.seed_sd:g}", f"{world.tilt_sd:g}"]
        for kind in kinds:
            coverage, width, _ = score(world, kind, 0.0, repeats)
            power = score(world, kind, EFFECT, repeats)[2]
            cells.append(f"{100 * coverage:.1f} / {100 * width:.2f} / {100 * power:.0f}")
        print(f"| {world.seeds} | {world.images} | {' | '.join(cells)} |", flush=True)


def print_margins(repeats: int) -> None:
    """Print how often the margin test claims equivalence where it must not, and where it should."""
    print(f"\nMargin test at 5 %: false: claims at a true loss of the margin; power: at no loss; {repeats} draws.\n")
    heads = "".join(f" {100 * margin:g} points: false % / power % |" for margin in MARGINS)
    print(f"| seeds | images | discordant % | seed sd | tilt sd | hard % |{heads}")
    print("|---|---|---|---|---|---|" + "---|" * len(MARGINS))
    for world in SMALL_LOSSES:
        cells = [100 * world.discordant, 100 * world.seed_sd, world.tilt_sd, 100 * world.hard]
        shares = [[equivalent(world, margin, effect, repeats) for effect in (-margin, 0.0)] for margin in MARGINS]
        claims = [f"{100 * false:.1f} / {100 * power:.0f}" for false, power in shares]
        print(f"| {world.seeds} | {world.images} | {' | '.join([f'{c:g}' for c in cells] + claims)} |", flush=True)


def print_few_images(repeats: int) -> None:
    """Print coverage and mean width for few images, of accuracies and of differences."""
    heads = "".join(f" {images} images: coverage % / width |" for images in IMAGES)
    print(f"\nAccuracies; {repeats} draws.\n\n| accuracy % | seeds | seed sd | alike % |{heads}")
    print("|---|---|---|---|" + "---|" * len(IMAGES))
    for share, (seeds, sd) in product(ACCURACIES, SEEDS):
        for alike in ALIKE if seeds > 1 else ALIKE[:1]:
            found = [accuracies(Accuracies(seeds, images, share, sd, alike), repeats) for images in IMAGES]
            print(f"| {100 * share:g} | {seeds} | {100 * sd:g} | {100 * alike:g} | {_cells(found)} |", flush=True)
    print(f"\nDifferences; {repeats} draws.\n\n| discordant % | seeds | seed sd | hard % |{heads}")
    print("|---|---|---|---|" + "---|" * len(IMAGES))
    for share, (seeds, sd) in product(DISCORDANT, SEEDS):
        for hard in (max(share, 0.1), 0.5) if seeds > 1 else (0.5,):
            found = [differences(Scenario(seeds, images, share, sd, 0.0, hard), repeats) for images in IMAGES]
            print(f"| {100 * share:g} | {seeds} | {100 * sd:g} | {100 * hard:g} | {_cells(found)} |", flush=True)


def _cells(found: Iterable[tuple[float, float]]) -> str:
    return " | ".join(f"{100 * coverage:.1f} / {100 * width:.2f}" for coverage, width in found)


if __name__ == "__main__":
    main()
