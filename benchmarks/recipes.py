"""What each ingredient of a recipe does to one network: the table of `sweep=recipes`.

    python benchmarks/recipes.py [--output docs/results/recipes.md] [--stored] [overrides, such as dataset.root=data]

Runs the sweep (what is stored is not done again; with --stored nothing is run), then writes a page. Each row is
compared with the recipe without the ingredient, seed by seed and image by image.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convarium.comparison.collect import collect_plan_results
from convarium.comparison.result import NetworkResult
from convarium.comparison.statistics import adjust_by_holm, estimate_paired_difference
from convarium.compose.points import compose_points
from convarium.compose.store_access import open_store
from convarium.config.messages import format_value
from convarium.planning.plan import Plan
from convarium.planning.stage_graph import build_plan
from convarium.store.store import Store
from families import convarium, seconds

SWEEP = "sweep=recipes"
PAGE = """# What the ingredients of a recipe do to one network

Made by `.venv/bin/python benchmarks/recipes.py {overrides}`: {network} on 3,000 training images of
Fashion-MNIST, 15 epochs, three seeds, `sgd_cosine` as it ships and with one ingredient each; {minutes:,.0f} minutes of
one core in all, on a busy machine. Test accuracy is the mean over seeds on 10,000 images. Δ accuracy is to the recipe
without the ingredient: paired by seed and image, 95 % interval, p adjusted by Holm over the rows. No knob was searched
for. What is worse here may be better in longer trainings of larger networks, for which most of it was made.

{table}
{rest}"""

Rows = Mapping[str, Sequence[NetworkResult]]


def main() -> None:
    """Run the sweep and write the page."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/recipes.md"))
    parser.add_argument("--stored", action="store_true", help="of what is stored alone")
    options, overrides = parser.parse_known_args()
    if not options.stored:
        convarium("run", SWEEP, *overrides)
    asked = compose_points([SWEEP, *overrides])
    plan, store = build_plan(asked.points), open_store(asked.runtime)
    typed = [text for text in overrides if not text.startswith(("dataset.root", "runtime."))]
    told = {
        "overrides": " ".join([*typed, "dataset.root=data"]),
        "network": plan.points[0].config["architecture"]["name"],
        "minutes": seconds(overrides, SWEEP) / 60,
        "table": "\n".join(table(group_results(plan, store))),
        "rest": tell_other_network(plan),
    }
    options.output.write_text(PAGE.format(**told))


def tell_other_network(plan: Plan) -> str:
    """Return a line on the sweep's own network, where another one was trained."""
    (own, *_) = compose_points([SWEEP]).points
    network = own.config["architecture"]["name"]
    if network == plan.points[0].config["architecture"]["name"]:
        return ""
    return f"\nThe sweep's own network is {network}: [recipes.md](recipes.md).\n"


def group_results(plan: Plan, store: Store) -> Rows:
    """Return the measured networks of each row, by what its recipe adds; the recipe without an ingredient first."""
    rows: dict[str, list[NetworkResult]] = {name_ingredient(point.config, plan): [] for point in plan.points}
    for result in collect_plan_results(plan, store).results:
        rows[name_ingredient(result.config, plan)].append(result)
    return {name: sorted(results, key=lambda result: result.seed) for name, results in rows.items()}


def name_ingredient(config: Mapping[str, Any], plan: Plan) -> str:
    """Return the keys in which a recipe differs from the first one's, as they are typed."""
    usual, recipe = plan.points[0].config["recipe"], config["recipe"]
    changed = {key: value for key, value in recipe.items() if key not in usual or value != usual[key]}
    changed.pop("schedule_kwargs", None)
    return ", ".join(f"{key}={format_value(value)}" for key, value in changed.items())


def table(rows: Rows) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| `recipe.…` | test acc % | Δ accuracy, pp | 95 % | p |"
    yield "|---|---|---|---|---|"
    (_, usual), *others = rows.items()
    yield f"| as it ships | {mean_accuracy(usual):.2f} | | | |"
    by_seed = {result.seed: result for result in usual}
    whole = {name: results for name, results in others if len(results) == len(usual)}
    estimates = {name: estimate_paired_difference(build_table(results, by_seed)) for name, results in whole.items()}
    adjusted = dict(zip(estimates, adjust_by_holm([one.p_value or 0.0 for one in estimates.values()]), strict=True))
    for name, results in others:
        if name not in whole:
            yield f"| `{name}` | not measured | | | |"
            continue
        estimate = estimates[name]
        assert estimate.low is not None
        assert estimate.high is not None
        bounds = f"{100 * estimate.low:+.2f}..{100 * estimate.high:+.2f}"
        cells = (f"{mean_accuracy(results):.2f}", f"{100 * estimate.mean:+.2f}", bounds, f"{adjusted[name]:.2g}")
        yield f"| `{name}` | {' | '.join(cells)} |"


def build_table(results: Sequence[NetworkResult], by_seed: Mapping[int, NetworkResult]) -> np.ndarray[Any, Any]:
    """Return the difference in correctness, (seeds, images)."""
    pairs = [(result, by_seed[result.seed]) for result in results]
    return np.stack([one.unpack_correctness() - other.unpack_correctness() for one, other in pairs])


def mean_accuracy(results: Sequence[NetworkResult]) -> float:
    """Return the mean over seeds, in percent."""
    return 100 * float(np.mean([result.metrics["accuracy"] for result in results]))


if __name__ == "__main__":
    main()
