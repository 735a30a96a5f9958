"""A search without points and stores: trials that are asked of a strategy and told a function of their answers."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.study import StudyDirection

from convarium.search.choosers import TrialChooser, ask_domain
from convarium.search.space import Domain, Options, RealRange, WholeRange
from convarium.search.strategy import (
    Strategy,
    build_sampler,
    has_asking_ended,
    let_sampler_end_asking,
    list_asked_distributions,
)

Names = Mapping[str, Domain]
Answers = dict[str, Any]
Choose = Callable[[optuna.Trial], Answers]

# A method, and a knob of each that only its own trials ask for.
BRANCHES: Names = {
    "method": Options(("none", "prune", "share")),
    "prune.rounds": WholeRange(1, 3),
    "share.bits": Options(("2", "4")),
}
NUMBERS: Names = {"lr": RealRange(0.001, 0.3, log=True), "decay": RealRange(0, 1), "epochs": WholeRange(1, 9)}


def choose_branch(trial: optuna.Trial) -> Answers:
    """Ask for a point of BRANCHES."""
    method = ask(trial, BRANCHES, "method")
    if method == "none":
        return {"method": method}
    knob = "prune.rounds" if method == "prune" else "share.bits"
    return {"method": method, knob: ask(trial, BRANCHES, knob)}


def choose_all(names: Names) -> Choose:
    """Return a function that asks for each name."""
    return lambda trial: {name: ask(trial, names, name) for name in names}


def ask(trial: optuna.Trial, names: Names, name: str) -> Any:
    """Ask a trial for a name."""
    return ask_domain(TrialChooser(trial), name, names[name])


def build_study(objectives: int = 1, storage: optuna.storages.BaseStorage | None = None) -> optuna.Study:
    """Return an empty study; all objectives are maximised."""
    study = optuna.create_study(storage=storage, directions=[StudyDirection.MAXIMIZE] * objectives)
    let_sampler_end_asking(study)
    return study


def ask_point(
    study: optuna.Study, strategy: Strategy, names: Names, choose: Choose, seed: int = 0, after_refusal: bool = False
) -> tuple[optuna.Trial, Answers]:
    """Ask for one trial as a search does."""
    asked_count = len(study.get_trials(deepcopy=False))
    study.sampler = build_sampler(strategy, seed, asked_count, names, after_refusal)
    trial = study.ask(list_asked_distributions(strategy, names))
    return trial, choose(trial)


def run_search(
    strategy: Strategy,
    names: Names,
    choose: Choose,
    objective: Callable[[Answers], Any],
    trials: int,
    seed: int = 0,
    study: optuna.Study | None = None,
) -> list[Answers]:
    """Return the points of a search, one trial after another, until the strategy ends it."""
    study = study or build_study()
    points = []
    while len(points) < trials and not has_asking_ended(strategy, study, names):
        trial, answers = ask_point(study, strategy, names, choose, seed)
        points.append(answers)
        study.tell(trial, objective(answers))
    return points
