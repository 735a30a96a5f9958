"""What a search lacks before its result can be believed, as codes."""

from collections.abc import Iterable
from typing import Any

from convarium.config.override import Override
from convarium.errors import UserError
from convarium.planning.stage_graph import build_plan
from convarium.search.found_sweep import list_unused_seeds
from convarium.search.journal_end import count_trials_of_outcomes
from convarium.search.search import Search
from convarium.search.search_folder import SearchFolder
from convarium.search.tally import COUNTED_OUTCOMES
from convarium.store import disk
from convarium.store.store import Store

EXPLANATIONS = {
    "all_random": "the strategy has drawn all trials at random: it learns only from more of them, which"
    " search.strategy.startup_trials or search.strategy.population_size says",
    "no_control": "no random search of the same budget to compare with: add search.control=random",
    "few_searches": "fewer than three values of search.seed were searched: another seed may find something else",
    "not_retrained": "the best was not trained with other seeds: search.save=NAME, then convarium run sweep=found/NAME",
}
LEAST_SEARCHES = 3
RANDOM = "random"

Json = dict[str, Any]


def audit_search(search: Search, folder: SearchFolder, store: Store, best: Iterable[Json]) -> list[str]:
    """Return a code for each thing that is missing, in the order of EXPLANATIONS.

    Args:
        best: the best trials, as the document describes them.
    """
    description = search.describe()
    is_random = description["strategy"]["name"] == RANDOM
    made_count = count_trials_of_outcomes(folder.journal, COUNTED_OUTCOMES)
    siblings = _find_searches_of_budget(folder, made_count)
    seeds = {other["seed"] for other in siblings if _equal_but(other, description, "seed")}
    codes = {
        "all_random": 0 < made_count <= search.strategy.random_trials,
        "no_control": not is_random and not any(_is_control(other, description) for other in siblings),
        "few_searches": len(seeds) < LEAST_SEARCHES,
        "not_retrained": not all(_is_retrained(search, store, trial["overrides"]) for trial in best),
    }
    return [code for code in EXPLANATIONS if codes[code]]


def _find_searches_of_budget(folder: SearchFolder, budget: int) -> list[Json]:
    """Return the descriptions of the store's searches that made as many trials as `budget`.

    Refused and gated trials don't count: how many of them there are is the strategy's and the seed's.
    """
    descriptions = []
    for path in disk.list_folder(folder.path.parent):
        other = SearchFolder(path)
        try:
            description = disk.read_json_object(other.description, {"seed": int, "strategy": dict})
            made_count = count_trials_of_outcomes(other.journal, COUNTED_OUTCOMES)
        except (UserError, OSError):
            continue
        if description is not None and made_count >= budget:
            descriptions.append(description)
    return descriptions


def _is_control(other: Json, description: Json) -> bool:
    return bool(other["strategy"]["name"] == RANDOM) and _equal_but(other, description, "strategy")


def _equal_but(other: Json, description: Json, key: str) -> bool:
    return all(other.get(name) == value for name, value in description.items() if name != key)


def _is_retrained(search: Search, store: Store, overrides: Iterable[str]) -> bool:
    """Whether a point is measured with seeds that the search never used."""
    typed = tuple(Override(text) for text in overrides)
    points = [search.compose_point(typed, seed) for seed in list_unused_seeds(search)]
    measured = {point.measure for point in build_plan(points).points}
    return store.select_finished(measured) == measured
