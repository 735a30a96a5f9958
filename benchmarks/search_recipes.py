"""A searched recipe against the default one: equal epochs, seeds that the search never used, test images.

    python benchmarks/search_recipes.py [--output docs/results/search_recipes.md] [--trials 40] [overrides]

For each of three `search.seed` the space `recipe` is searched by TPE and at random, with as many trials each, on
validation accuracy. Each winner is then trained with three new seeds and compared with the default recipe, paired by
seed and image. What is stored is not done again.
"""

import json
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convarium.comparison.collect import collect_plan_results
from convarium.comparison.result import NetworkResult
from convarium.comparison.statistics import estimate_paired_difference
from convarium.compose.points import compose_points
from convarium.compose.store_access import open_store
from convarium.planning.stage_graph import build_plan

BASE = ("architecture=lenet5", "dataset=mnist5k", "recipe.epochs=5")
SEARCH_SEEDS = (0, 1, 2)
NEW_SEEDS = "seed=1,2,3"  # the trials have seed 0
STRATEGIES = ("tpe", "random")
PAGE = """# A searched recipe against the default one

Made by `.venv/bin/python benchmarks/search_recipes.py --trials {trials}{overrides}`: {base}, the space `recipe`
(optimiser, learning rate, decay, batch, schedule, warm-up, smoothing), {trials} trials for each search, on a busy
machine of two cores. Searches choose by validation accuracy; the table shows the test images: each winner was trained
with three seeds that no search used. Δ is to the default recipe, paired by seed and image, 95 % interval.

| strategy | `search.seed` | best trial, validation % | test % | Δ accuracy, pp | 95 % | distinct | minutes |
|---|---|---|---|---|---|---|---|
| default recipe | | | {default:.2f} | | | | |
{rows}

Mean Δ over the three searches: {means}. A search's own best validation figure is the best of {trials}: it flatters.
"""


def main() -> None:
    """Run the searches, retrain the winners, and write the page."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/search_recipes.md"))
    parser.add_argument("--trials", type=int, default=40)
    options, overrides = parser.parse_known_args()
    overridden = {text.partition("=")[0] for text in overrides}
    base = (*(text for text in BASE if text.partition("=")[0] not in overridden), *overrides)
    default = retrain(base)
    deltas: dict[str, list[float]] = {strategy: [] for strategy in STRATEGIES}
    rows = list(describe_searches(base, options.trials, default, deltas))
    means = ", ".join(f"{strategy} {np.mean(values):+.2f} pp" for strategy, values in deltas.items())
    typed = "".join(f" {text}" for text in overrides if not text.startswith("runtime."))
    options.output.write_text(
        PAGE.format(
            trials=options.trials,
            overrides=typed,
            base=f"`{' '.join(text for text in base if not text.startswith('runtime.'))}`",
            default=mean_accuracy(default),
            rows="\n".join(rows),
            means=means,
        )
    )


def describe_searches(
    base: Sequence[str], trials: int, default: Sequence[NetworkResult], deltas: dict[str, list[float]]
) -> Iterator[str]:
    """Yield a line of the table for each search; `deltas` gets what each winner gains, in pp."""
    for seed in SEARCH_SEEDS:
        for strategy in STRATEGIES:
            start = time.monotonic()
            found = search(
                "search/space=recipe", *base, f"search.trials={trials}", f"search.seed={seed}",
                f"search/strategy={strategy}",
            )  # fmt: skip
            minutes = (time.monotonic() - start) / 60
            (best,) = found["best"]
            winner = retrain([text for text in best["overrides"] if not text.startswith("runtime.")] + runtime_of(base))
            pairs = zip(winner, default, strict=True)
            table = np.stack([one.unpack_correctness() - other.unpack_correctness() for one, other in pairs])
            estimate = estimate_paired_difference(table)
            deltas[strategy].append(100 * estimate.mean)
            low, high = estimate.low or 0.0, estimate.high or 0.0
            validation = 100 * best["values"]["validation_accuracy"]
            figures = f"{validation:.2f} | {mean_accuracy(winner):.2f} | {100 * estimate.mean:+.2f}"
            interval = f"{100 * low:+.2f}..{100 * high:+.2f}"
            yield f"| {strategy} | {seed} | {figures} | {interval} | {found['distinct']} | {minutes:.0f} |"


def search(*arguments: str) -> dict[str, Any]:
    """Return the document of a search."""
    line = [sys.executable, "-m", "convarium", "search", *arguments, "--json"]
    document: dict[str, Any] = json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout)
    return document


def retrain(overrides: Sequence[str]) -> list[NetworkResult]:
    """Return the measured networks of the new seeds."""
    line = [*overrides, NEW_SEEDS]
    subprocess.run([sys.executable, "-m", "convarium", "run", *line], check=True, stdout=sys.stderr)
    asked = compose_points(line)
    results = collect_plan_results(build_plan(asked.points), open_store(asked.runtime)).results
    return sorted(results, key=lambda result: result.seed)


def runtime_of(overrides: Sequence[str]) -> list[str]:
    """Return where and how it runs."""
    return [text for text in overrides if text.startswith("runtime.")]


def mean_accuracy(results: Sequence[NetworkResult]) -> float:
    """Return the mean over seeds, in percent of the test images."""
    return 100 * float(np.mean([result.metrics["accuracy"] for result in results]))


if __name__ == "__main__":
    main()
