"""Searched pipelines of compression against random ones and against single methods: accuracy and bytes, test images.

    python benchmarks/search_pipelines.py [--output docs/results/search_pipelines.md] [--seconds 1200] [overrides]

For each of three `search.seed` the space `pipeline` is searched by TPE and at random, both at the same time with
one worker each, for as many seconds, on validation accuracy and the bytes of the file. Each front is then made anew
with three seeds that no search used, and every single method of the catalogue at its default as well. What is stored
is not done again, but a search that is begun anew gets its seconds again.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convarium.comparison.result import NetworkResult
from convarium.comparison.statistics import Estimate, estimate_paired_difference
from convarium.config.search_path import list_group_options
from search_recipes import mean_accuracy, retrain, runtime_of, search

BASE = ("architecture=lenet5", "dataset=mnist5k")
SEARCH_SEEDS = (0, 1, 2)
STRATEGIES = ("tpe", "random")  # no time is enough for a second generation of NSGA-II, whose first is 50 random trials
SINGLE_FAMILIES = ("pruning", "decomposition", "quantization", "transfer")  # coders have nothing to work on alone
LEAST_ACCURACY = 90.0  # percent; below it nobody looks for the smallest file
PAGE = """# Searched pipelines of compression

Made by `.venv/bin/python benchmarks/search_pipelines.py --seconds {seconds:g}{searches}{typed}`: {base}, the space
`pipeline` (at most one method of each family, their knobs), objectives validation accuracy and bytes of the file. Of
each `search.seed` TPE and random search ran at the same time with one worker each, for {seconds:g} s, on a machine of
two cores{load}. Each front was then made anew with three seeds that no search used; all figures below are of the test
images, means over these seeds.

The area is that of log10(dense bytes / bytes) times (accuracy - {least:g} %) which a front dominates, in pp; points
of it that others dominate on the test images count for nothing. Single methods: {singles},
each at its default. One beats a point of a front if its files are smaller and its accuracy is better by the paired
95 % interval (seeds and images).

| strategy | `search.seed` | trials | on the front | area, pp | bytes within 0.5 pp | beaten by single methods |
|---|---|---|---|---|---|---|
{rows}

Dense: {dense:.2f} %, {dense_bytes:,} bytes. Area of the single methods' own front: {single_area:.2f} pp.
Mean area: {means}.

## The fronts of `search.seed=0`

| strategy | pipeline | accuracy, % | bytes | times smaller |
|---|---|---|---|---|
{points}

## Single methods at their defaults

| method | accuracy, % | bytes | times smaller |
|---|---|---|---|
{single_rows}
"""


@dataclass(frozen=True)
class Candidate:
    """A pipeline or a method, made with the new seeds.

    Attributes:
        told: its chain, or its name.
        results: one for each seed, sorted by it.
    """

    told: str
    results: Sequence[NetworkResult]

    @property
    def accuracy(self) -> float:
        """Mean over the seeds, in percent of the test images."""
        return mean_accuracy(self.results)

    @property
    def file_bytes(self) -> float:
        """Mean over the seeds."""
        return float(np.mean([result.metrics["file_bytes"] for result in self.results]))


@dataclass(frozen=True)
class Front:
    """What a search found."""

    strategy: str
    search_seed: int
    trials: int
    candidates: Sequence[Candidate]


def main() -> None:
    """Run the searches, make what they found anew, and write the page."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/search_pipelines.md"))
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--searches", type=int, default=len(SEARCH_SEEDS), help="how many search.seed")
    parser.add_argument("--load", default="", help="what else ran on the machine, as the page says it")
    options, overrides = parser.parse_known_args()
    overridden = {text.partition("=")[0] for text in overrides}
    base = (*(text for text in BASE if text.partition("=")[0] not in overridden), *overrides)
    dense = Candidate("dense", retrain(base))
    fronts = [front for seed in SEARCH_SEEDS[: options.searches] for front in search_both(base, options.seconds, seed)]
    singles = [
        Candidate(method, retrain((*base, f"compression={method}")))
        for method in list_group_options("compression")
        if method.partition("/")[0] in SINGLE_FAMILIES
    ]
    options.output.write_text(format_page(base, overrides, options, dense, fronts, singles))


def search_both(base: Sequence[str], seconds: float, seed: int) -> Iterator[Front]:
    """Search with all strategies at once; yield the front of each, made anew with the new seeds."""

    def search_with(strategy: str) -> dict[str, Any]:
        return search(
            "search/space=pipeline", *base, "search.objectives=[accuracy,file_bytes]", "search.trials=100000",
            f"search.seconds={seconds:g}", f"search.seed={seed}", f"search/strategy={strategy}", "runtime.workers=1",
        )  # fmt: skip

    with ThreadPoolExecutor(len(STRATEGIES)) as threads:
        documents = list(threads.map(search_with, STRATEGIES))
    for strategy, document in zip(STRATEGIES, documents, strict=True):
        print(f"search.seed={seed} {strategy}: {document['trials']} trials, {document['path']}", file=sys.stderr)
        candidates = [rebuild(best, base) for best in document["best"]]
        yield Front(strategy, seed, document["trials"], candidates)


def rebuild(best: Mapping[str, Any], base: Sequence[str]) -> Candidate:
    """Make what a search found with the new seeds."""
    overrides = [text for text in best["overrides"] if not text.startswith("runtime.")]
    chain = next(text for text in overrides if text.startswith("compression="))
    return Candidate(chain.removeprefix("compression="), retrain([*overrides, *runtime_of(base)]))


def format_page(
    base: Sequence[str],
    overrides: Sequence[str],
    options: Any,
    dense: Candidate,
    fronts: Sequence[Front],
    singles: Sequence[Candidate],
) -> str:
    """Return the page."""
    areas: dict[str, list[float]] = {strategy: [] for strategy in STRATEGIES}
    for front in fronts:
        areas[front.strategy].append(compute_area(front.candidates, dense))
    return PAGE.format(
        seconds=options.seconds,
        typed="".join(f" {text}" for text in overrides if not text.startswith("runtime.")),
        searches="" if options.searches == len(SEARCH_SEEDS) else f" --searches {options.searches}",
        base=f"`{' '.join(text for text in base if not text.startswith('runtime.'))}`",
        load=options.load,
        least=LEAST_ACCURACY,
        singles=", ".join(single.told for single in singles),
        rows="\n".join(format_front(front, dense, singles) for front in fronts),
        dense=dense.accuracy,
        dense_bytes=round(dense.file_bytes),
        single_area=compute_area(singles, dense),
        means=", ".join(f"{strategy} {np.mean(values):.2f} pp" for strategy, values in areas.items()),
        points="\n".join(
            f"| {front.strategy} {format_candidate(candidate, dense)}"
            for front in fronts
            if front.search_seed == SEARCH_SEEDS[0]
            for candidate in sorted(front.candidates, key=lambda candidate: candidate.file_bytes)
        ),
        single_rows="\n".join(format_candidate(single, dense) for single in singles),
    )


def format_front(front: Front, dense: Candidate, singles: Sequence[Candidate]) -> str:
    """Return a line of the first table."""
    near = [candidate.file_bytes for candidate in front.candidates if candidate.accuracy >= dense.accuracy - 0.5]
    smallest = f"{round(min(near)):,} bytes" if near else "none"
    beaten = [
        f"{single.told} beats {candidate.told}"
        for single in singles
        for candidate in front.candidates
        if single.file_bytes < candidate.file_bytes and (compare(single, candidate).low or 0.0) > 0
    ]
    return (
        f"| {front.strategy} | {front.search_seed} | {front.trials} | {len(front.candidates)} "
        f"| {compute_area(front.candidates, dense):.2f} | {smallest} | {'; '.join(beaten) or 'none'} |"
    )


def compare(one: Candidate, other: Candidate) -> Estimate:
    """Estimate the difference of two accuracies, paired by seed and image."""
    pairs = zip(one.results, other.results, strict=True)
    return estimate_paired_difference(np.stack([a.unpack_correctness() - b.unpack_correctness() for a, b in pairs]))


def format_candidate(candidate: Candidate, dense: Candidate) -> str:
    """Return the cells of one pipeline or method."""
    ratio = dense.file_bytes / candidate.file_bytes
    return f"| {candidate.told} | {candidate.accuracy:.2f} | {round(candidate.file_bytes):,} | {ratio:.1f} |"


def compute_area(candidates: Sequence[Candidate], dense: Candidate) -> float:
    """Return the area that candidates dominate above LEAST_ACCURACY, by the logarithm of how many times smaller."""
    points = sorted(
        ((np.log10(dense.file_bytes / candidate.file_bytes), candidate.accuracy - LEAST_ACCURACY))
        for candidate in candidates
        if candidate.accuracy > LEAST_ACCURACY and candidate.file_bytes < dense.file_bytes
    )
    area, reached = 0.0, 0.0
    for index, (smaller, _) in enumerate(points):
        area += (smaller - reached) * max(accuracy for _, accuracy in points[index:])
        reached = smaller
    return float(area)


if __name__ == "__main__":
    main()
