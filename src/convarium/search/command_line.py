"""From a command line to a search, checked before anything runs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from convarium.compose.hydra_adapter import Composer
from convarium.compose.points import split_arguments
from convarium.compose.search_config import compose_search_settings
from convarium.config import search_path
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.planning.host_check import check_hardware_named, is_launched_here
from convarium.search.configured_space import build_search_space
from convarium.search.curve import check_has_curve
from convarium.search.evaluator import build_evaluator
from convarium.search.first_trials import parse_first_trials
from convarium.search.found_sweep import check_found_name
from convarium.search.limits import parse_limits
from convarium.search.measures import parse_objectives
from convarium.search.needs import check_needs
from convarium.search.offers import ProbedSearch
from convarium.search.pruning import find_pruning, list_needs
from convarium.search.search import Search
from convarium.search.strategy import find_strategy
from convarium.search.trial import PreparedTrial

REFUSED_KEYS = {
    "sweep": "a sweep lists its points; write convarium run sweep=NAME",
    "hparams_search": "the space is what is typed; write convarium search 'recipe.lr=tag(log,interval(0.001,0.1))'",
    "hydra/sweeper": "no sweeper is needed; write convarium search … search/strategy=tpe search.trials=40",
    "hydra.sweeper": "no sweeper is needed; write search/strategy=tpe, search.trials=40 (convarium options search)",
}


class SearchRequest(NamedTuple):
    """What a command line asks for.

    Attributes:
        runtime: the checked config of the group, which decides no result.
        launcher_overrides: `hydra/launcher=…` and `hydra.launcher.…`.
        step_count: how many epochs a pruner sees of a trial; 0 where none looks.
        possible_trial: one that can be made, as an example; None where few can, and none was found.
    """

    search: Search
    runtime: dict[str, Any]
    launcher_overrides: tuple[Override, ...]
    step_count: int
    possible_trial: PreparedTrial | None


def parse_command_line(arguments: Sequence[Override]) -> SearchRequest:
    """Return the search that a command line asks for.

    Raises:
        UserError: the first mistake, in one line.
    """
    for override in arguments:
        refusal = REFUSED_KEYS.get(override.key) or REFUSED_KEYS.get(override.key.rpartition(".")[0])
        if refusal is not None:
            raise UserError(f"{override}: {refusal}")
    search, launcher_overrides = build_search(arguments)
    own = [override for override in search.fixed if override.group == "runtime"]
    runtime = search.compose_points(own)[0].config["runtime"]
    probed = ProbedSearch(search)
    possible_trial = probed.find_possible_trial()
    if not is_launched_here(launcher_overrides):
        check_hardware_named(probed.list_timed_configs(), launcher_overrides)
    return SearchRequest(search, runtime, launcher_overrides, _check_needs(search, probed), possible_trial)


def build_search(arguments: Sequence[Override]) -> tuple[Search, tuple[Override, ...]]:
    """Return the search of a command line, and the overrides of its launcher."""
    of_search = [override for override in arguments if override.group.partition("/")[0] == "search"]
    typed, launcher_overrides, _ = split_arguments([override for override in arguments if override not in of_search])
    folders = search_path.list_search_folders("conf")
    settings = compose_search_settings(folders, of_search)
    composer = Composer(folders)
    if settings.own.save is not None:
        check_found_name(settings.own.save)
    evaluator, offers = build_evaluator(settings.evaluator)
    line = build_search_space(composer, settings.space, typed)
    search = Search(
        composer=composer,
        space=line.space,
        fixed=line.fixed,
        seeds=line.seeds,
        strategy=find_strategy(settings.strategy),
        pruning=find_pruning(settings.pruner),
        evaluator=evaluator,
        offers=offers,
        objectives=parse_objectives(settings.own.objectives, offers),
        limits=parse_limits(settings.own.constraints, offers),
        first=parse_first_trials(composer, line.space, settings.own.first),
        settings=settings,
    )
    return search, launcher_overrides


def _check_needs(search: Search, probed: ProbedSearch) -> int:
    """Check that a search offers what its strategy and its pruner need; return how many steps the pruner sees."""
    pruner_needs = list_needs(search.pruning, len(search.objectives))
    if not (search.strategy.needs or pruner_needs):
        return 0
    if pruner_needs:
        qualities = [objective for objective in search.objectives if not objective.is_cost]
        for objective in qualities or search.objectives:
            check_has_curve(objective)
    offers = probed.find_offers()
    check_needs(_name_strategy(search.settings.strategy), search.strategy.needs, offers)
    check_needs(f"search/pruner={search.settings.pruner['name']}", pruner_needs, offers)
    return probed.count_steps()


def _name_strategy(config: Mapping[str, Any]) -> str:
    if "sampler" in config:
        return f"search.strategy.sampler={config['sampler']}"
    return f"search/strategy={config['name']}"
